import { ErrorCode } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import {
  type BatchOptions,
  checkProducedBatch,
  checkProducedRecords,
  encodeBatch,
  type NewRecord,
  type ProduceRules,
  recordsSection,
  writeInt16,
  writeInt32,
  writeInt64,
  computeCrc,
} from '../src/index.ts'

const NOW = 1_700_000_000_000
const RULES: ProduceRules = {
  maxMessageBytes: 1_048_588,
  segmentBytes: 2 ** 30,
  compacted: false,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: Infinity,
  timestampAfterMaxMs: 3_600_000,
  zstdAllowed: true,
}
const record = (timestamp = NOW, key: Uint8Array | null = Uint8Array.of(1)): NewRecord => ({
  timestamp,
  key,
  value: Uint8Array.of(2, 3),
})
const batch = (options: BatchOptions = {}, ...records: NewRecord[]): Uint8Array =>
  encodeBatch(records.length === 0 ? [record(), record()] : records, options)

/** Changes a batch and gives it a right CRC, so that only the change can be found wrong. */
function changed(change: (bytes: Uint8Array) => void, bytes = batch()): Uint8Array {
  change(bytes)
  writeInt32(bytes, 17, computeCrc(bytes, 0))
  return bytes
}

function check(bytes: Uint8Array | null, rules: Partial<ProduceRules> = {}): number {
  return checkProducedBatch(bytes, { ...RULES, ...rules }, NOW).error
}

describe('a produced batch', () => {
  it.each<[string, Uint8Array | null, Partial<ProduceRules>, number]>([
    ['that is sound', batch(), {}, ErrorCode.NONE],
    ['with a producer id and a sequence', batch({ producerId: 7, producerEpoch: 0, baseSequence: 2 ** 31 - 1 }), {}, 0],
    ['followed by a partial one', Buffer.concat([batch(), batch().subarray(0, 50)]), {}, ErrorCode.NONE],
    ['of records without a time', batch({}, record(-1), record(-1)), {}, ErrorCode.NONE],
    ['with attribute bits 6 and 7', changed((b) => writeInt16(b, 21, 0xc0)), {}, ErrorCode.NONE],
    ['that is null', null, {}, ErrorCode.INVALID_RECORD],
    ['that is empty', new Uint8Array(0), {}, ErrorCode.INVALID_RECORD],
    ['that is cut short', batch().subarray(0, 70), {}, ErrorCode.INVALID_RECORD],
    ['followed by another', Buffer.concat([batch(), batch()]), {}, ErrorCode.INVALID_RECORD],
    ['of format 0', changed((b) => (b[16] = 0)), {}, ErrorCode.INVALID_RECORD],
    ['of format 1', changed((b) => (b[16] = 1)), {}, ErrorCode.INVALID_RECORD],
    ['of format 9', changed((b) => (b[16] = 9)), {}, ErrorCode.CORRUPT_MESSAGE],
    ['that claims to be shorter than a header', changedLength(20), {}, ErrorCode.INVALID_RECORD],
    ['that claims a negative length', changedLength(-5), {}, ErrorCode.INVALID_RECORD],
    ['that claims more than was sent', changedLength(5000), {}, ErrorCode.INVALID_RECORD],
    ['with a base offset', batch({ baseOffset: 5 }), {}, ErrorCode.INVALID_RECORD],
    ['larger than the topic allows', batch(), { maxMessageBytes: 60 }, ErrorCode.MESSAGE_TOO_LARGE],
    ['larger than a segment', batch(), { segmentBytes: 60 }, ErrorCode.RECORD_LIST_TOO_LARGE],
    ['with a wrong CRC', flipped(batch(), 17), {}, ErrorCode.CORRUPT_MESSAGE],
    ['with a flipped bit in a record', flipped(batch(), 65), {}, ErrorCode.CORRUPT_MESSAGE],
    ['of no records', changed((b) => writeInt32(b, 57, 0)), {}, ErrorCode.INVALID_RECORD],
    ['of -1 records', changed((b) => writeInt32(b, 57, -1)), {}, ErrorCode.INVALID_RECORD],
    [
      'whose count is not its last offset delta plus one',
      changed((b) => writeInt32(b, 23, 2)),
      {},
      ErrorCode.INVALID_RECORD,
    ],
    ['that is a control batch', batch({ control: true }), {}, ErrorCode.INVALID_RECORD],
    ['of codec 5', changed((b) => writeInt16(b, 21, 5)), {}, ErrorCode.INVALID_RECORD],
    [
      'of zstd in an old request',
      batch({ codec: 'zstd' }),
      { zstdAllowed: false },
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    ],
    ['of zstd in a newer request', batch({ codec: 'zstd' }), {}, ErrorCode.NONE],
    ['with a producer id and no sequence', batch({ producerId: 7, producerEpoch: 0 }), {}, ErrorCode.INVALID_RECORD],
    ['with a producer id and no epoch', batch({ producerId: 7, baseSequence: 0 }), {}, ErrorCode.INVALID_RECORD],
    ['of a transaction without a producer id', batch({ transactional: true }), {}, ErrorCode.INVALID_RECORD],
    ['with producer id -2', batch({ producerId: -2 }), {}, ErrorCode.INVALID_RECORD],
    ['of an hour and more ahead', batch({}, record(NOW + 3_600_001)), {}, ErrorCode.INVALID_TIMESTAMP],
    ['of an hour ahead', batch({}, record(NOW + 3_600_000)), {}, ErrorCode.NONE],
    ['older than allowed', batch({}, record(NOW - 11)), { timestampBeforeMaxMs: 10 }, ErrorCode.INVALID_TIMESTAMP],
    ['without a timestamp', batch({}, record(-1)), { timestampBeforeMaxMs: 10 }, ErrorCode.NONE],
    ['with timestamp -2', batch({}, record(-2)), {}, ErrorCode.INVALID_TIMESTAMP],
    ['with timestamp 2^62', changed((b) => writeInt64(b, 27, 2 ** 62)), {}, ErrorCode.INVALID_TIMESTAMP],
    [
      'with timestamp 2^62 for log-append time',
      changed((b) => writeInt64(b, 35, 2 ** 62)),
      { timestampType: 'LogAppendTime' },
      32,
    ],
    ['far ahead on a topic of log-append time', batch({}, record(NOW * 2)), { timestampType: 'LogAppendTime' }, 0],
    ['that claims log-append time on a topic of create time', batch({ logAppendTime: true }), {}, ErrorCode.NONE],
    [
      'that claims log-append time without one',
      batch({ logAppendTime: true }, record(-1)),
      {},
      ErrorCode.INVALID_TIMESTAMP,
    ],
    [
      'that claims log-append time on such a topic',
      batch({ logAppendTime: true }),
      { timestampType: 'LogAppendTime' },
      32,
    ],
  ])('%s is answered as it should', (_, bytes, rules, code) => {
    expect(check(bytes, rules)).toBe(code)
  })

  it('is refused with words that name the setting', () => {
    expect(checkProducedBatch(batch(), { ...RULES, maxMessageBytes: 60 }, NOW)).toMatchObject({
      message: expect.stringContaining('max.message.bytes of the topic is 60'),
    })
  })
})

describe('the records of a produced batch', () => {
  const look = (bytes: Uint8Array, rules: Partial<ProduceRules> = {}) =>
    checkProducedRecords(bytes, recordsSection(bytes, 0), { ...RULES, ...rules }, NOW)

  it('are accepted with their true largest timestamp', () => {
    const bytes = batch({}, record(NOW), record(NOW + 9), record(NOW + 3))
    expect(look(bytes)).toEqual({ error: ErrorCode.NONE, maxTimestamp: NOW + 9 })
  })

  it('are refused one by one when a compacted topic gets records without keys', () => {
    const bytes = batch({}, record(), record(NOW, null), record(), record(NOW, null))
    expect(look(bytes, { compacted: true })).toMatchObject({
      error: ErrorCode.INVALID_RECORD,
      recordErrors: [{ index: 1 }, { index: 3 }],
    })
    expect(look(bytes).error).toBe(ErrorCode.NONE)
  })

  it('are refused one by one when their time is out of range', () => {
    const bytes = batch({}, record(), record(NOW + 4_000_000), record())
    expect(look(bytes)).toMatchObject({ error: ErrorCode.INVALID_TIMESTAMP, recordErrors: [{ index: 1 }] })
    expect(look(bytes, { timestampType: 'LogAppendTime' }).error).toBe(ErrorCode.NONE)
  })

  it('are refused when their offsets skip, their number is a lie, or bytes follow', () => {
    const gap = encodeBatch([
      { ...record(), offsetDelta: 0 },
      { ...record(), offsetDelta: 2 },
    ])
    expect(look(gap)).toMatchObject({ error: ErrorCode.INVALID_RECORD, message: 'record 1 has offset delta 2' })
    const fewer = batch()
    writeInt32(fewer, 57, 1)
    expect(look(fewer)).toMatchObject({ error: ErrorCode.INVALID_RECORD, message: '10 bytes follow the last record' })
    const more = batch()
    writeInt32(more, 57, 2 ** 31 - 1)
    expect(look(more).error).toBe(ErrorCode.INVALID_RECORD)
  })
})

function changedLength(batchLength: number): Uint8Array {
  const bytes = batch()
  writeInt32(bytes, 8, batchLength)
  return bytes
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] = (bytes.at(at) ?? 0) ^ 1
  return bytes
}
