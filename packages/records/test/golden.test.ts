import type { Codec } from '@millrace/base'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  baseOffset,
  type BatchRecord,
  codec,
  crcMatches,
  encodeBatch,
  inflate,
  maxTimestamp,
  nextOffset,
  readRecords,
  recordCount,
  recordsSection,
  splitBatches,
} from '../src/index.ts'

// A segment that Apache Kafka 4.3.1 wrote for librdkafka's and Java's producers, every codec in turn, and the records as kcat
// printed them: offset, timestamp, key, value, headers.
const golden = join(import.meta.dirname, 'golden')
const segment = readFileSync(join(golden, 'kafka-4.3.segment'))
const printed = readFileSync(join(golden, 'kafka-4.3.tsv'), 'utf8').trimEnd().split('\n')
const batches = splitBatches(segment)
const text = (bytes: Uint8Array | null): string => (bytes === null ? '' : Buffer.from(bytes).toString())

describe("a segment of Apache Kafka's", () => {
  it('is whole batches to its last byte, with right CRCs and no gap', () => {
    expect(batches.reduce((sum, batch) => sum + batch.length, 0)).toBe(segment.length)
    let next = 0
    for (const batch of batches) {
      expect(crcMatches(batch, 0)).toBe(true)
      expect(baseOffset(batch, 0)).toBe(next)
      next = nextOffset(batch, 0)
    }
    expect(next).toBe(printed.length)
  })

  it('holds batches of every codec by both producers', () => {
    const seen = new Map<Codec | null, number>()
    for (const batch of batches) seen.set(codec(batch, 0), (seen.get(codec(batch, 0)) ?? 0) + 1)
    expect([...seen.keys()].map(String).sort((a, b) => a.localeCompare(b))).toEqual([
      'gzip',
      'lz4',
      'none',
      'snappy',
      'zstd',
    ])
  })

  it('is read as kcat reads it', () => {
    const lines = batches.flatMap((batch) =>
      read(batch).map((record) =>
        [
          record.offset,
          record.timestamp,
          text(record.key),
          text(record.value),
          record.headers.map(({ key, value }) => `${key}=${text(value)}`).join(','),
        ].join('\t'),
      ),
    )
    expect(lines).toEqual(printed)
  })

  it('is written again byte for byte where nothing is compressed', () => {
    const uncompressed = batches.filter((batch) => codec(batch, 0) === 'none')
    expect(uncompressed.length).toBeGreaterThan(2)
    for (const batch of uncompressed) expect(Buffer.compare(rewritten(batch), batch)).toBe(0)
  })

  it('is written again to equal records where something is compressed', () => {
    for (const batch of batches) {
      const again = rewritten(batch)
      expect(read(again)).toEqual(read(batch))
      expect([recordCount(again, 0), maxTimestamp(again, 0)]).toEqual([recordCount(batch, 0), maxTimestamp(batch, 0)])
    }
  })
})

function read(batch: Uint8Array): BatchRecord[] {
  return readRecords(batch, 0, Uint8Array.from(inflate(codec(batch, 0) as Codec, recordsSection(batch, 0), 1 << 20)))
}

function rewritten(batch: Uint8Array): Uint8Array {
  const records = read(batch).map((record) => ({ ...record, offsetDelta: record.offset - baseOffset(batch, 0) }))
  return encodeBatch(records, { ...headerOf(batch), codec: codec(batch, 0) as Codec })
}

function headerOf(batch: Uint8Array): Parameters<typeof encodeBatch>[1] {
  const view = Buffer.from(batch.buffer, batch.byteOffset, batch.length)
  return {
    baseOffset: Number(view.readBigInt64BE(0)),
    leaderEpoch: view.readInt32BE(12),
    producerId: Number(view.readBigInt64BE(43)),
    producerEpoch: view.readInt16BE(51),
    baseSequence: view.readInt32BE(53),
  }
}
