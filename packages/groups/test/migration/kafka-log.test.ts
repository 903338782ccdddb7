import { describe, expect, test } from 'vitest'
import { readSubscription } from '../../src/classic/consumer-protocol.ts'
import { decodeGroupRecord, encodeGroupRecord } from '../../src/records/codec.ts'
import { MigrationHarness } from './migration-harness.ts'

/** What Apache Kafka 4.3 wrote of a Java consumer of the classic protocol when another one joined its group by the newer one. */
const KEY =
  '000500256a6176612d342d67726f75702d6d6967726174696f6e2d6d777465366a6a6e2d67726f75700035636f6e666f726d616e63652d6a6176612d37646132356662352d343863342d346634362d383639342d653133616366386461313863'
const VALUE =
  '0000000011636f6e666f726d616e63652d6a6176610b2f3132372e302e302e3102206a6176612d342d67726f75702d6d6967726174696f6e2d6d777465366a6a6e01000493e000010092010100002710030672616e676536000300000001001f6a6176612d342d67726f75702d6d6967726174696f6e2d6d777465366a6a6effffffff00000000ffffffffffff0013636f6f70657261746976652d737469636b793a000300000001001f6a6176612d342d67726f75702d6d6967726174696f6e2d6d777465366a6a6e00000004ffffffff00000000ffffffffffff0000'

/** What it wrote then, in order: the group became one of the newer protocol, and the one who joined was taken in. */
const KAFKAS = [
  '-groupMetadata',
  'consumerMember',
  'consumerGroup',
  'targetMember',
  'targetMetadata',
  'currentAssignment',
  'consumerMember',
  'consumerGroup',
  'targetMember',
  'targetMember',
  'targetMetadata',
  'currentAssignment',
]

describe('a group that Apache Kafka made one of the newer protocol', () => {
  test('has its classic members in the bytes that we write', () => {
    const record = decodeGroupRecord(Buffer.from(KEY, 'hex'), Buffer.from(VALUE, 'hex'))
    if (record?.name !== 'consumerMember' || record.value === null) throw new Error('no member')
    const { key, value } = encodeGroupRecord(record)
    expect([Buffer.from(key).toString('hex'), Buffer.from(value ?? []).toString('hex')]).toEqual([KEY, VALUE])
    expect(record.value.classic?.protocols.map(({ name }) => name)).toEqual(['range', 'cooperative-sticky'])
    for (const { metadata } of record.value.classic?.protocols ?? [])
      expect(readSubscription(metadata)).toMatchObject({
        topics: ['java-4-group-migration-mwte6jjn'],
        owned: [],
        generation: -1,
        rackId: null,
      })
  })

  test('has the records that we write, in the same order', () => {
    const harness = new MigrationHarness()
    harness.topics.set('t', 4)
    harness.stable(1)
    harness.beat('m')
    expect(harness.records.map(({ name, value }) => (value === null ? `-${name}` : name))).toEqual(KAFKAS)
  })
})
