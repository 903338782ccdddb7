import { ErrorCode } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import * as records from '../src/index.ts'

const DATA_BATCH =
  '000000000000000000000046ffffffff029ba86d9d0000000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff0000000210000000026b02760016000a020102770202680231'
const COMMIT_MARKER =
  '000000000000002a00000042000000070223f1f13a0030000000000000018bcfe568000000018bcfe5680000000000000003e80004ffffffff000000012000000008000000010c00000000000300'
const text = new TextEncoder()
const bytesOf = (value: string): Uint8Array => text.encode(value)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('bytes that other programs computed', () => {
  it('CRC-32C of 123456789 is the check value of the polynomial, also through a view', () => {
    expect(records.crc32c(bytesOf('123456789'))).toBe(0xe3069283)
    expect(records.crc32c(bytesOf('xx123456789y'), 2, 11)).toBe(0xe3069283)
    expect(records.continueCrc32c(records.crc32c(bytesOf('1234')), bytesOf('56789'))).toBe(0xe3069283)
  })

  it('a batch of two records is read field by field', () => {
    const bytes = Buffer.concat([Buffer.from('ffff', 'hex'), Buffer.from(DATA_BATCH, 'hex')])
    expect(records.wholeBatchBytes(bytes, 2)).toBe(82)
    expect(records.crcMatches(bytes, 2)).toBe(true)
    expect(records.baseOffset(bytes, 2)).toBe(0)
    expect(records.leaderEpoch(bytes, 2)).toBe(-1)
    expect(records.magic(bytes, 2)).toBe(2)
    expect(records.codec(bytes, 2)).toBe('none')
    expect(records.lastOffset(bytes, 2)).toBe(1)
    expect(records.nextOffset(bytes, 2)).toBe(2)
    expect(records.baseTimestamp(bytes, 2)).toBe(1_700_000_000_000)
    expect(records.maxTimestamp(bytes, 2)).toBe(1_700_000_000_005)
    expect(records.producerId(bytes, 2)).toBe(-1)
    expect(records.producerEpoch(bytes, 2)).toBe(-1)
    expect(records.baseSequence(bytes, 2)).toBe(-1)
    expect(records.recordCount(bytes, 2)).toBe(2)
    expect(records.readRecords(bytes, 2).map((record) => ({ ...record, key: record.key && hex(record.key) }))).toEqual([
      { offset: 0, timestamp: 1_700_000_000_000, key: hex(bytesOf('k')), value: Buffer.from('v'), headers: [] },
      {
        offset: 1,
        timestamp: 1_700_000_000_005,
        key: null,
        value: Buffer.from('w'),
        headers: [{ key: 'h', value: Buffer.from('1') }],
      },
    ])
  })

  it('the same batch is written byte for byte', () => {
    const batch = records.encodeBatch([
      { timestamp: 1_700_000_000_000, key: bytesOf('k'), value: bytesOf('v') },
      {
        timestamp: 1_700_000_000_005,
        key: null,
        value: bytesOf('w'),
        headers: [{ key: 'h', value: bytesOf('1') }],
      },
    ])
    expect(hex(batch)).toBe(DATA_BATCH)
  })

  it('a commit marker is written byte for byte and read back', () => {
    const marker = records.encodeMarker({
      type: 'commit',
      offset: 42,
      leaderEpoch: 7,
      producerId: 1000,
      producerEpoch: 4,
      coordinatorEpoch: 3,
      timestamp: 1_700_000_000_000,
    })
    expect(hex(marker)).toBe(COMMIT_MARKER)
    expect(records.isControl(marker, 0)).toBe(true)
    expect(records.isTransactional(marker, 0)).toBe(true)
    const { type, value } = records.readControl(marker, 0)
    expect(type).toBe('commit')
    expect(records.coordinatorEpoch(value)).toBe(3)
  })

  it('base offset and leader epoch are assigned in place without touching the CRC', () => {
    const bytes = Buffer.from(DATA_BATCH, 'hex')
    records.setBaseOffset(bytes, 0, 2 ** 41 + 17)
    records.setLeaderEpoch(bytes, 0, 9)
    expect(records.baseOffset(bytes, 0)).toBe(2 ** 41 + 17)
    expect(records.leaderEpoch(bytes, 0)).toBe(9)
    expect(records.crcMatches(bytes, 0)).toBe(true)
    expect(records.readRecords(bytes, 0).map((record) => record.offset)).toEqual([2 ** 41 + 17, 2 ** 41 + 18])
  })

  it('log-append time gives every record the stamp, with a right CRC, and is cleared again', () => {
    const bytes = Buffer.from(DATA_BATCH, 'hex')
    records.stampLogAppendTime(bytes, 0, 1_800_000_000_000)
    expect(records.crcMatches(bytes, 0)).toBe(true)
    expect(records.readRecords(bytes, 0).map((record) => record.timestamp)).toEqual([
      1_800_000_000_000, 1_800_000_000_000,
    ])
    records.clearLogAppendTime(bytes, 0)
    records.setMaxTimestamp(bytes, 0, 1_700_000_000_005)
    expect(hex(bytes)).toBe(DATA_BATCH)
  })
})

describe('64-bit integers', () => {
  it.each([0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 1_700_000_000_000])(
    '%d survives, as BigInt arithmetic has it',
    (value) => {
      const bytes = new Uint8Array(8)
      records.writeInt64(bytes, 0, value)
      expect(new DataView(bytes.buffer).getBigInt64(0)).toBe(BigInt(value))
      expect(records.readInt64(bytes, 0)).toBe(value)
    },
  )

  it('a marker without its key or its epoch is refused', () => {
    const empty = records.encodeBatch([{ timestamp: 0, key: null, value: null }], { control: true })
    expect(() => records.readControl(empty, 0)).toThrow(records.InvalidBatch)
    expect(() => records.coordinatorEpoch(new Uint8Array(3))).toThrow(
      expect.objectContaining({ code: ErrorCode.INVALID_RECORD }),
    )
  })
})
