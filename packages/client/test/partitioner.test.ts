import { Partitioners } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { murmur2, partitionOfKey } from '../src/index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('the partitioner', () => {
  it('computes the hashes that Kafka’s Java client is tested with', () => {
    const known = { '21': -973932308, foobar: -790332482, 'a-little-bit-long-string': -985981536, abc: 479470107 }
    for (const [text, hash] of Object.entries(known)) expect(murmur2(bytes(text))).toBe(hash)
  })

  it('chooses the partition that kafkajs chooses, for keys of every length', () => {
    const other = Partitioners.DefaultPartitioner()
    const partitionMetadata = Array.from({ length: 7 }, (_, partitionId) => ({ partitionId, leader: 1 }) as never)
    for (let length = 1; length < 200; length++) {
      const key = Buffer.from(Array.from({ length }, (_, at) => (at * 31 + length * 17) & 0xff))
      const expected = other({ topic: 't', partitionMetadata, message: { key, value: null } })
      expect(partitionOfKey(key, 7)).toBe(expected)
    }
  })
})
