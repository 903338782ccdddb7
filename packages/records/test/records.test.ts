import type { Codec } from '@millrace/base'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  baseTimestamp,
  checkProducedBatch,
  checkProducedRecords,
  computeCrc,
  crcMatches,
  encodeBatch,
  hasDeleteHorizon,
  inflate,
  InvalidBatch,
  lastOffset,
  lastSequence,
  MALFORMED,
  maxTimestamp,
  nextOffset,
  type NewRecord,
  readControl,
  readRecords,
  recordBytes,
  RecordReader,
  recordsSection,
  splitBatches,
  wholeBatchBytes,
  writeInt32,
} from '../src/index.ts'

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const bytes = fc.uint8Array({ maxLength: 40 })
const anyRecord = fc.record({
  timestamp: fc.integer({ min: -1, max: 4_000_000_000_000 }),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 8 }), value: fc.option(bytes) }), {
    maxLength: 3,
  }),
})
const anyBatch = fc.record({
  records: fc.array(anyRecord, { minLength: 1, maxLength: 20 }),
  codec: fc.constantFrom(...CODECS),
  baseOffset: fc.nat(2 ** 31 - 1).map((n) => n * 4_000_000),
})

describe('a record batch', () => {
  it('of any records and any codec is read as it was written', () => {
    fc.assert(
      fc.property(anyBatch, ({ records, codec, baseOffset }) => {
        const batch = encodeBatch(records, { codec, baseOffset })
        expect(wholeBatchBytes(batch, 0)).toBe(batch.length)
        expect(crcMatches(batch, 0)).toBe(true)
        expect(nextOffset(batch, 0)).toBe(baseOffset + records.length)
        expect(maxTimestamp(batch, 0)).toBe(Math.max(...records.map((record) => record.timestamp)))
        const read = readRecords(batch, 0, inflate(codec, recordsSection(batch, 0), 1 << 20))
        expect(read.map(plain)).toEqual(records.map((record, i) => plain({ ...record, offset: baseOffset + i })))
      }),
      { numRuns: 300 },
    )
  })

  it('keeps the gaps that compaction leaves, and its last offset when it is empty', () => {
    const records = [3, 7].map((offsetDelta) => ({ timestamp: 5, key: null, value: null, offsetDelta }))
    const batch = encodeBatch(records, { baseOffset: 100, lastOffsetDelta: 9 })
    expect(readRecords(batch, 0).map((record) => record.offset)).toEqual([103, 107])
    expect(lastOffset(batch, 0)).toBe(109)
    const empty = encodeBatch([], { baseOffset: 100, lastOffsetDelta: 9, codec: 'lz4' })
    expect(empty.length).toBe(61)
    expect(readRecords(empty, 0, new Uint8Array(0))).toEqual([])
    expect(nextOffset(empty, 0)).toBe(110)
  })

  it('with a delete horizon keeps its record times', () => {
    const records = [{ timestamp: 50, key: Uint8Array.of(1), value: null }]
    const batch = encodeBatch(records, { deleteHorizon: true, baseTimestamp: 9_000 })
    expect(hasDeleteHorizon(batch, 0)).toBe(true)
    expect(baseTimestamp(batch, 0)).toBe(9_000)
    expect(readRecords(batch, 0)[0]?.timestamp).toBe(50)
  })

  it('knows its last sequence, which wraps after 2^31-1 to 0', () => {
    const records = Array.from({ length: 4 }, () => ({ timestamp: 0, key: null, value: null }))
    expect(lastSequence(encodeBatch(records, { baseSequence: 10 }), 0)).toBe(13)
    expect(lastSequence(encodeBatch(records, { baseSequence: 2 ** 31 - 2 }), 0)).toBe(1)
    expect(lastSequence(encodeBatch(records), 0)).toBe(-1)
  })

  it('is told the size of a record before it is written', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        expect(recordBytes(record, 0, 0)).toBe(encodeBatch([record]).length - 61)
      }),
    )
  })
})

describe('a slice of batches', () => {
  const one = encodeBatch([{ timestamp: 1, key: null, value: Uint8Array.of(1) }])

  it('is split into its whole batches and ends at a partial one', () => {
    const slice = Buffer.concat([one, one, one.subarray(0, one.length - 1)])
    expect(splitBatches(slice).map((batch) => batch.length)).toEqual([one.length, one.length])
    expect(wholeBatchBytes(slice, one.length * 2)).toBe(0)
    expect(splitBatches(new Uint8Array(0))).toEqual([])
  })

  it('ends at bytes that can not be a batch', () => {
    const slice = Buffer.concat([one, new Uint8Array(100)])
    expect(splitBatches(slice).length).toBe(1)
    expect(wholeBatchBytes(slice, one.length)).toBe(MALFORMED)
  })
})

describe('hostile records', () => {
  it('changed at random are read within bounds or refused with the one typed error', () => {
    fc.assert(
      fc.property(
        anyBatch,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        ({ records, codec }, changes) => {
          const batch = encodeBatch(records, { codec })
          const section = Uint8Array.from(inflate(codec, recordsSection(batch, 0), 1 << 20))
          for (const [at, value] of changes) section[at % section.length] = value
          expect(outcome(() => readRecords(batch, 0, section))).toMatch(/read|refused/)
          for (const [at, value] of changes) batch[12 + (at % (batch.length - 12))] = value
          writeInt32(batch, 17, computeCrc(batch.subarray(0), 0))
          expectVerdicts(batch)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['a length of 2^31', [0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0, 0]],
    ['a negative length', [1, 0, 0, 0, 1, 1, 0, 0]],
    ['a six-byte varint', [0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0]],
    ['a varint over 32 bits', [0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 0]],
    ['an eleven-byte varlong', [24, 0, ...Array.from({ length: 10 }, () => 0x80), 1, 0, 1, 1, 0]],
    ['a timestamp of 2^63', [30, 0, ...Array.from({ length: 9 }, () => 0xff), 1, 0, 1, 1, 0]],
    ['2^31 headers', [20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]],
    ['-1 headers', [12, 0, 0, 0, 1, 1, 1]],
    ['a header without a key', [16, 0, 0, 0, 1, 1, 2, 1, 1]],
    ['a key of length -2', [12, 0, 0, 0, 3, 1, 0]],
    ['a key longer than its record', [12, 0, 0, 0, 20, 1, 0]],
    ['a record that ends early', [14, 0, 0, 0, 1, 1, 0, 0]],
  ])('with %s are refused', (_, section) => {
    const batch = encodeBatch([{ timestamp: 0, key: null, value: null }])
    expect(() => readRecords(batch, 0, Uint8Array.from(section))).toThrow(InvalidBatch)
  })

  it('that claim 2^31 records are refused before anything is made for them', () => {
    const batch = encodeBatch([{ timestamp: 0, key: null, value: null }])
    writeInt32(batch, 57, 2 ** 31 - 1)
    expect(() => new RecordReader(batch, 0)).toThrow(InvalidBatch)
    writeInt32(batch, 57, -1)
    expect(() => new RecordReader(batch, 0)).toThrow(InvalidBatch)
  })
})

/** What `readRecords` gives and `encodeBatch` takes, made comparable. */
function plain(record: NewRecord & { offset: number }): unknown {
  const text = (value: Uint8Array | null): string | null => (value === null ? null : Buffer.from(value).toString('hex'))
  const { offset, timestamp, key, value, headers = [] } = record
  return {
    offset,
    timestamp,
    key: text(key),
    value: text(value),
    headers: headers.map((header) => [header.key, text(header.value)]),
  }
}

/** Any error but the one typed error is thrown on. */
function outcome(read: () => unknown): 'read' | 'refused' {
  try {
    read()
    return 'read'
  } catch (error) {
    if (error instanceof InvalidBatch) return 'refused'
    throw error
  }
}

function expectVerdicts(batch: Uint8Array): void {
  const rules = {
    maxMessageBytes: 1 << 20,
    segmentBytes: 1 << 20,
    compacted: true,
    timestampType: 'CreateTime',
    timestampBeforeMaxMs: 1000,
    timestampAfterMaxMs: 1000,
    zstdAllowed: true,
  } as const
  expect(checkProducedBatch(batch, rules, 0).error).toBeTypeOf('number')
  expect(checkProducedRecords(batch, recordsSection(batch, 0), rules, 0).error).toBeTypeOf('number')
  expect(outcome(() => readControl(batch, 0))).toMatch(/read|refused/)
}
