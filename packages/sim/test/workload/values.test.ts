import { ErrorCode } from '@millrace/base'
import { setBaseOffset } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { readFetched } from '../../src/workload/fetched.ts'
import { excludesWrite } from '../../src/workload/outcomes.ts'
import { encodeValues } from '../../src/workload/produce-batch.ts'
import { DAMAGED, decodeValue, encodeValue } from '../../src/workload/values.ts'

const NAMES = ['client-1:0', 'client-1:1', 'client-2.3:17', 'client-2.3:18', 'client-2.3:19']

describe('a value', () => {
  it('is read as the name that was written, with any padding', () => {
    for (const padding of [0, 1, 63, 64, 5_000])
      expect(decodeValue(encodeValue('client-1.2:34', padding))).toBe('client-1.2:34')
  })

  it('with another byte, or a byte less, is damaged', () => {
    const bytes = encodeValue('client-1:3', 100)
    const flipped = Uint8Array.from(bytes)
    flipped[60] = (flipped[60] as number) ^ 1
    expect(decodeValue(flipped)).toContain(DAMAGED)
    expect(decodeValue(bytes.subarray(0, -1))).toContain(DAMAGED)
    expect(decodeValue(null)).toContain(DAMAGED)
  })
})

describe('a fetch', () => {
  it('gives the values of its batches from the offset asked for on, whatever their codec', () => {
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const batch = encodeValues(
        NAMES.map((name, at) => ({ name, padding: at * 10 })),
        { timestampMs: 1_000, codec },
      )
      const { values, batches } = readFetched(batch, 2)
      expect(batches).toBe(1)
      expect(values).toEqual(NAMES.slice(2).map((value, at) => ({ value, offset: at + 2 })))
    }
  })

  it('with a flipped bit gives a value that nobody sent, in the place of the batch, and goes on behind it', () => {
    const whole = [0, 3].map((base) => {
      const batch = encodeValues(
        NAMES.slice(0, 3).map((name) => ({ name, padding: 0 })),
        { timestampMs: 1_000, codec: 'none' },
      )
      setBaseOffset(batch, 0, base)
      return batch
    }) as [Uint8Array, Uint8Array]
    whole[1][80] = (whole[1][80] as number) ^ 4
    const { values, next } = readFetched(Buffer.concat(whole), 1)
    expect(values.map(({ offset }) => offset)).toEqual([1, 2, 3])
    expect(values[2]?.value).toContain(DAMAGED)
    expect(next).toBe(6)
  })

  it('of nothing gives nothing', () => {
    expect(readFetched(null, 5)).toEqual({ values: [], batches: 0, next: 5, leaderEpoch: -1 })
    expect(readFetched(new Uint8Array(0), 5).values).toEqual([])
  })
})

describe('an error of a produce', () => {
  it('excludes the write only where the broker had not appended yet', () => {
    const refused = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.INVALID_RECORD]
    for (const error of refused) for (const acks of [-1, 1] as const) expect(excludesWrite(error, acks, 9)).toBe(true)
    const open = [
      ErrorCode.REQUEST_TIMED_OUT,
      ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      ErrorCode.KAFKA_STORAGE_ERROR,
      ErrorCode.UNKNOWN_SERVER_ERROR,
    ]
    for (const error of open) for (const acks of [-1, 1] as const) expect(excludesWrite(error, acks, 9)).toBe(false)
  })

  it('NOT_LEADER_OR_FOLLOWER excludes it with acks 1, and not where it may stand for a failed disk', () => {
    expect(excludesWrite(ErrorCode.NOT_LEADER_OR_FOLLOWER, 1, 9)).toBe(true)
    expect(excludesWrite(ErrorCode.NOT_LEADER_OR_FOLLOWER, 1, 3)).toBe(false)
    expect(excludesWrite(ErrorCode.NOT_LEADER_OR_FOLLOWER, -1, 9)).toBe(false)
  })
})
