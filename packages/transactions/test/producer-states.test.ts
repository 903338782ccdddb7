import { BrokenInvariant, ErrorCode } from '@millrace/base'
import { crc32c } from '@millrace/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProducerStates } from '../src/index.ts'
import type { AppendedBatch, ProducerVerdict } from '../src/index.ts'
import { batch, marker } from './batches.ts'

const LAST_SEQUENCE = 2 ** 31 - 1
const NOW = 1_000_000

/** Follows a log; offsets go up by themselves. */
function following(batches: readonly Partial<AppendedBatch>[]): ProducerStates {
  const states = new ProducerStates()
  let baseOffset = 0
  for (const fields of batches) {
    const one = batch({ baseOffset, ...fields })
    states.appended(one, NOW)
    baseOffset = one.baseOffset + one.lastOffsetDelta + 1
  }
  return states
}

function error(verdict: ProducerVerdict): number {
  return verdict.outcome === 'refused' ? verdict.error : -1000
}

const accepted = { outcome: 'accepted' }
const six = [0, 1, 2, 3, 4, 5].map((baseSequence) => ({ baseSequence, maxTimestamp: 100 + baseSequence }))

describe('a batch of a producer that is known', () => {
  test('is accepted when its numbers go on where the last ones ended', () => {
    const states = following([{ baseSequence: 0, lastOffsetDelta: 9 }])
    expect(states.check(batch({ baseSequence: 10 }), 'client')).toEqual(accepted)
  })

  test.each([9, 11, 1])('is out of order at %i when 10 comes next', (baseSequence) => {
    const states = following([{ baseSequence: 0, lastOffsetDelta: 9 }])
    const verdict = states.check(batch({ baseSequence }), 'client')
    expect(error(verdict)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(verdict).toMatchObject({
      message: `sequence ${baseSequence} of producer 7 in epoch 0: 10 comes next here`,
    })
  })

  test('is accepted at 0 after the last sequence number there is', () => {
    const states = following([{ baseSequence: LAST_SEQUENCE }])
    expect(states.check(batch({ baseSequence: 0 }), 'client')).toEqual(accepted)
  })

  test('may go over the end of the sequence numbers, and is recognised when it comes again', () => {
    const across = { baseSequence: LAST_SEQUENCE - 1, lastOffsetDelta: 3 }
    const states = following([across])
    expect(states.check(batch(across), 'client')).toMatchObject({ outcome: 'duplicate', baseOffset: 0, lastOffset: 3 })
    expect(states.check(batch({ baseSequence: 2 }), 'client')).toEqual(accepted)
  })

  test('is a duplicate while it is one of the last five, with the offset and time it was first given', () => {
    const states = following(six)
    for (const { baseSequence, maxTimestamp } of six.slice(1))
      expect(states.check(batch({ baseSequence }), 'client')).toEqual({
        outcome: 'duplicate',
        baseOffset: baseSequence,
        lastOffset: baseSequence,
        timestampMs: maxTimestamp,
      })
  })

  test('is out of order once five others followed, not a duplicate', () => {
    expect(error(following(six).check(batch({ baseSequence: 0 }), 'client'))).toBe(
      ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
  })

  test('is no duplicate when only its first number is the same', () => {
    const states = following([{ baseSequence: 0, lastOffsetDelta: 2 }])
    expect(error(states.check(batch({ baseSequence: 0, lastOffsetDelta: 1 }), 'client'))).toBe(
      ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
  })

  test('of a lower epoch is fenced, whatever its numbers', () => {
    const states = following([{ baseSequence: 0, producerEpoch: 1 }, { producerEpoch: 2 }])
    for (const baseSequence of [0, 1, 17])
      expect(error(states.check(batch({ baseSequence, producerEpoch: 1 }), 'client'))).toBe(
        ErrorCode.INVALID_PRODUCER_EPOCH,
      )
  })

  test('of a higher epoch begins at 0', () => {
    const states = following(six)
    expect(error(states.check(batch({ baseSequence: 6, producerEpoch: 1 }), 'client'))).toBe(
      ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
    expect(states.check(batch({ baseSequence: 0, producerEpoch: 1 }), 'client')).toEqual(accepted)
  })

  test('is not recognised by the numbers of an earlier epoch', () => {
    const states = following([...six, { producerEpoch: 1, baseSequence: 0, lastOffsetDelta: 4 }])
    expect(error(states.check(batch({ producerEpoch: 1, baseSequence: 3 }), 'client'))).toBe(
      ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
  })

  test('outside of its open transaction is refused, and accepted after the marker', () => {
    const states = following([{ transactional: true }])
    expect(error(states.check(batch({ baseSequence: 1 }), 'client'))).toBe(ErrorCode.INVALID_TXN_STATE)
    states.appended(marker({ baseOffset: 1 }), NOW)
    expect(states.check(batch({ baseSequence: 1 }), 'client')).toEqual(accepted)
  })
})

describe('batches that are not checked', () => {
  test('those of producers without an id pass and leave nothing', () => {
    const states = new ProducerStates()
    const plain = batch({ producerId: -1, producerEpoch: -1, baseSequence: -1 })
    for (let i = 0; i < 3; i++) expect(states.check(plain, 'client')).toEqual(accepted)
    states.appended(plain, NOW)
    expect(states.size).toBe(0)
  })

  test('a producer that nobody knows may begin anywhere', () => {
    expect(new ProducerStates().check(batch({ baseSequence: 4711 }), 'client')).toEqual(accepted)
  })

  test('a coordinator does not number its batches, but its epoch counts', () => {
    const states = following([{ producerEpoch: 3 }])
    const offsets = { baseSequence: -1, transactional: true }
    expect(states.check(batch({ ...offsets, producerEpoch: 3 }), 'coordinator')).toEqual(accepted)
    expect(error(states.check(batch({ ...offsets, producerEpoch: 2 }), 'coordinator'))).toBe(
      ErrorCode.INVALID_PRODUCER_EPOCH,
    )
  })

  test('a follower takes what its leader appended, also what it would have refused', () => {
    const states = following([
      { baseSequence: 0, producerEpoch: 2 },
      { baseSequence: 50, producerEpoch: 2 },
      { baseSequence: 9, producerEpoch: 1 },
    ])
    expect(states.producer(7)).toMatchObject({ producerEpoch: 1, lastSequence: 9, batches: [{ baseOffset: 2 }] })
  })
})

describe('a header that no producer writes', () => {
  test.each<[string, Partial<AppendedBatch>]>([
    ['an epoch below 0', { producerEpoch: -1 }],
    ['an id below -1', { producerId: -2 }],
    ['an id that nobody was given', { producerId: 2 ** 60 }],
    ['less than no record', { lastOffsetDelta: -1 }],
  ])('is refused with %s, and leaves nothing in a log that has it', (_what, fields) => {
    const states = new ProducerStates()
    expect(error(states.check(batch(fields), 'client'))).toBe(ErrorCode.INVALID_RECORD)
    states.replay(batch(fields))
    expect(states.size).toBe(0)
  })

  test('is refused without a number, which only coordinators leave out', () => {
    const states = new ProducerStates()
    expect(error(states.check(batch({ baseSequence: -1 }), 'client'))).toBe(ErrorCode.INVALID_RECORD)
    expect(states.check(batch({ baseSequence: -1 }), 'coordinator')).toEqual(accepted)
  })

  test('whatever it is, it never makes a snapshot that cannot be read', () => {
    const int32 = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.integer({ min: -2, max: 2 }))
    const int64 = fc.oneof(int32, fc.constantFrom(2 ** 53, 2 ** 60, 2 ** 63, -(2 ** 63), 2 ** 53 - 1))
    const headers = fc.record({
      producerId: int64,
      producerEpoch: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
      baseSequence: int32,
      lastOffsetDelta: int32,
      transactional: fc.boolean(),
      control: fc.boolean(),
      maxTimestamp: int64,
      coordinatorEpoch: int32,
    })
    fc.assert(
      fc.property(fc.array(headers, { maxLength: 20 }), (all) => {
        const states = new ProducerStates()
        all.forEach((one, i) => {
          states.check(batch(one), 'client')
          states.abandoned()
          states.appended(batch({ ...one, baseOffset: i }), NOW)
        })
        const again = ProducerStates.load(states.snapshot(crc32c), all.length, crc32c)
        expect([...again.producers()]).toEqual([...states.producers()])
      }),
      { numRuns: 500 },
    )
  })
})

describe('batches of one turn', () => {
  test('are checked against those before them that are not appended', () => {
    const states = new ProducerStates()
    for (const baseSequence of [0, 1, 2]) expect(states.check(batch({ baseSequence }), 'client')).toEqual(accepted)
    expect(error(states.check(batch({ baseSequence: 4 }), 'client'))).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(states.size).toBe(0)
  })

  test('that come twice are staged, and duplicates once they are appended', () => {
    const states = new ProducerStates()
    states.check(batch(), 'client')
    expect(states.check(batch(), 'client')).toEqual({ outcome: 'staged' })
    states.appended(batch({ baseOffset: 12 }), NOW)
    expect(states.check(batch(), 'client')).toMatchObject({ outcome: 'duplicate', baseOffset: 12 })
  })

  test('that were never checked are a broken invariant', () => {
    const states = new ProducerStates()
    states.check(batch(), 'client')
    expect(() => states.appended(batch({ producerId: 8 }), NOW)).toThrow(BrokenInvariant)
    expect(() => states.replay(batch())).toThrow(BrokenInvariant)
  })

  test('that could not be written are forgotten, and may come again', () => {
    const states = following([{ baseSequence: 0 }])
    states.check(batch({ baseSequence: 1 }), 'client')
    states.check(batch({ producerId: 8 }), 'client')
    states.abandoned()
    expect(error(states.check(batch({ baseSequence: 2 }), 'client'))).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(states.check(batch({ baseSequence: 1 }), 'client')).toEqual(accepted)
    expect(states.producer(8)).toBeNull()
  })
})

describe('a truncation', () => {
  test('takes back what it cut, to the window that was before', () => {
    const states = following(six.slice(0, 5))
    const before = states.producer(7)
    states.appended(batch({ baseSequence: 5, baseOffset: 5 }), NOW)
    states.appended(batch({ producerId: 8, baseOffset: 6 }), NOW)
    states.appended(batch({ producerEpoch: 4, baseOffset: 7 }), NOW)
    expect(states.truncate(5)).toBe(true)
    expect([...states.producers()]).toEqual([before])
  })

  test('brings back who expired meanwhile, when that is what the log says', () => {
    const states = following([{ baseSequence: 0 }, { baseSequence: 1 }])
    states.expire(NOW + 100, 100)
    expect(states.truncate(1)).toBe(true)
    expect(states.producer(7)).toMatchObject({ lastSequence: 0 })
  })

  test('below what can be taken back leaves nobody, and the host makes the state anew', () => {
    const states = following(six)
    states.settled(3)
    expect(states.truncate(2)).toBe(false)
    expect(states.size).toBe(0)
  })

  test('of a log in which nobody is known needs no log, however far down it goes', () => {
    const states = ProducerStates.load(new ProducerStates().snapshot(crc32c), 1000, crc32c)
    states.appended(batch({ producerId: -1, baseOffset: 1000 }), NOW)
    expect(states.truncate(10)).toBe(true)
    states.appended(batch({ baseOffset: 10 }), NOW)
    expect(states.truncate(10)).toBe(true)
    expect(states.size).toBe(0)
  })

  test('at the watermark needs nothing anew', () => {
    const states = following(six)
    states.settled(3)
    expect(states.truncate(3)).toBe(true)
    expect(states.producer(7)).toMatchObject({ lastSequence: 2 })
  })

  test('takes back the last thousand batches when no watermark is told, in bounded memory', () => {
    const states = new ProducerStates()
    for (let i = 0; i < 10_000; i++) states.appended(batch({ baseSequence: i, baseOffset: i }), NOW)
    expect(states.bytes).toBeLessThan(500_000)
    expect(states.truncate(10_000 - 1024)).toBe(true)
    expect(states.producer(7)?.batches.map(({ baseSequence }) => baseSequence)).toEqual(
      [5, 4, 3, 2, 1].map((age) => 10_000 - 1024 - age),
    )
    expect(states.truncate(10_000 - 1024 - 1)).toBe(false)
  })
})

describe('producers that write no more', () => {
  test('are forgotten after their time, to the millisecond', () => {
    const states = following([{ baseSequence: 0 }])
    expect(states.expire(NOW + 99, 100)).toBe(0)
    expect(states.expire(NOW + 100, 100)).toBe(1)
    expect(states.size).toBe(0)
    expect(states.check(batch({ baseSequence: 5 }), 'client')).toEqual(accepted)
  })

  test('are not told by old timestamps: they count from when they wrote', () => {
    const states = following([{ maxTimestamp: 5 }])
    expect(states.expire(NOW + 99, 100)).toBe(0)
  })

  test('are remembered after a restart by the time in the log, and not for ever when it is to come', () => {
    const states = new ProducerStates()
    states.replay(batch({ producerId: 1, maxTimestamp: NOW - 100 }))
    states.replay(batch({ producerId: 2, maxTimestamp: NOW - 99 }))
    states.replay(batch({ producerId: 3, maxTimestamp: NOW * 1000 }))
    expect(states.expire(NOW, 100)).toBe(1)
    expect(states.expire(NOW + 99, 100)).toBe(1)
    expect(states.expire(NOW + 100, 100)).toBe(1)
  })

  test('are remembered with a transaction open, and while a batch of theirs is on its way', () => {
    const states = following([{ producerId: 1, transactional: true }, { producerId: 2 }])
    states.check(batch({ producerId: 2, baseSequence: 1 }), 'client')
    expect(states.expire(NOW + 1000, 100)).toBe(0)
    states.abandoned()
    expect(states.expire(NOW + 1000, 100)).toBe(1)
    expect(states.producer(1)).not.toBeNull()
  })

  test('leave the others as they are, and their memory', () => {
    const states = new ProducerStates()
    for (let id = 0; id < 5000; id++) {
      states.appended(batch({ producerId: id, baseSequence: id, baseOffset: id }), id % 100 === 0 ? NOW : 0)
      states.settled(id + 1)
    }
    const bytes = states.bytes
    expect(states.expire(NOW, NOW)).toBe(4950)
    for (let id = 0; id < 5000; id++) expect(states.producer(id)?.lastSequence ?? null).toBe(id % 100 === 0 ? id : null)
    expect(states.bytes).toBeLessThan(bytes / 20)
  })
})

test('a producer takes a quarter of a kilobyte, a little more while the table grows', () => {
  const states = new ProducerStates()
  const count = 2 ** 15
  for (let id = 0; id < count; id++) {
    states.appended(batch({ producerId: id, baseOffset: id }), NOW)
    states.settled(id + 1)
  }
  expect(states.bytes / count).toBeLessThan(256)
})
