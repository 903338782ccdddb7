import { isDeepStrictEqual } from 'node:util'
import { crc32c } from '@millrace/records'
import { DecodeError } from '@millrace/schema'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProducerStates } from '../src/index.ts'
import { batch, marker } from './batches.ts'

/** `00000000000000000194.snapshot` as Apache Kafka 4.3.1 wrote it: five idempotent producers of one batch of ten records each. */
const KAFKAS = Uint8Array.from(
  Buffer.from(
    '0001cdf3a552000000050000000000000005000000000009000000000000008100000009000001a206d6db78ffffffffffffffffffffffff' +
      '0000000000000006000000000009000000000000008b00000009000001a206d6de36ffffffffffffffffffffffff' +
      '00000000000000070000000000090000000000000095' +
      '00000009000001a206d6e125ffffffffffffffffffffffff' +
      '0000000000000008000000000009000000000000009f00000009000001a206d6e445ffffffffffffffffffffffff' +
      '000000000000000900000000000900000000000000a900000009000001a206d6e719ffffffffffffffffffffffff',
    'hex',
  ),
)

function reloaded(states: ProducerStates, endOffset = 100): ProducerStates {
  return ProducerStates.load(states.snapshot(crc32c), endOffset, crc32c)
}

/** Damage that the checksum does not tell. */
function forged(change: (view: DataView) => void, from: Uint8Array = KAFKAS): Uint8Array {
  const bytes = from.slice()
  const view = new DataView(bytes.buffer)
  change(view)
  view.setUint32(2, crc32c(bytes, 6))
  return bytes
}

function load(bytes: Uint8Array): ProducerStates {
  return ProducerStates.load(bytes, 194, crc32c)
}

/** Whether a snapshot is read, and then read again the same, or refused as damaged. */
function loadedOrRefused(bytes: Uint8Array): boolean {
  try {
    const states = load(bytes)
    return isDeepStrictEqual([...reloaded(states).producers()], [...states.producers()])
  } catch (error) {
    return error instanceof DecodeError
  }
}

describe("Apache Kafka's snapshot", () => {
  test('is read', () => {
    const states = load(KAFKAS)
    expect([...states.producers()].map(({ producerId }) => producerId)).toEqual([5, 6, 7, 8, 9])
    expect(states.producer(5)).toEqual({
      producerId: 5,
      producerEpoch: 0,
      lastSequence: 9,
      lastTimestamp: 0x1a206d6db78,
      coordinatorEpoch: -1,
      openFrom: -1,
      batches: [{ baseSequence: 0, lastSequence: 9, baseOffset: 120, lastOffset: 129, timestampMs: 0x1a206d6db78 }],
    })
  })

  test('is written again to the same bytes', () => {
    expect(Buffer.from(load(KAFKAS).snapshot(crc32c)).toString('hex')).toBe(Buffer.from(KAFKAS).toString('hex'))
  })
})

describe('a snapshot', () => {
  test('of nobody is read', () => {
    expect(reloaded(new ProducerStates()).size).toBe(0)
  })

  test('keeps the whole window, so that a repetition is recognised after a restart', () => {
    const states = new ProducerStates()
    for (let i = 0; i < 7; i++) states.appended(batch({ baseSequence: i, baseOffset: i, maxTimestamp: 90 - i }), 0)
    const again = reloaded(states, 7)
    expect(again.producer(7)).toEqual(states.producer(7))
    expect(again.check(batch({ baseSequence: 2 }), 'client')).toMatchObject({ outcome: 'duplicate', baseOffset: 2 })
  })

  test("has a producer's last batch last, which is the one that Apache Kafka keeps", () => {
    const states = new ProducerStates()
    for (let i = 0; i < 7; i++) states.appended(batch({ baseSequence: i, baseOffset: i }), 0)
    const bytes = states.snapshot(crc32c)
    const view = new DataView(bytes.buffer)
    expect(view.getInt32(6)).toBe(5)
    expect([0, 1, 2, 3, 4].map((entry) => view.getInt32(10 + 46 * entry + 10))).toEqual([2, 3, 4, 5, 6])
  })

  test('keeps markers, open transactions, and the time of a batch beside that of the marker after it', () => {
    const states = new ProducerStates()
    states.appended(batch({ producerId: 1, transactional: true, baseOffset: 3 }), 0)
    states.appended(batch({ producerId: 2, transactional: true, baseOffset: 4, maxTimestamp: 50 }), 0)
    states.appended(marker({ producerId: 2, baseOffset: 5, maxTimestamp: 60 }), 0)
    states.appended(marker({ producerId: 3, producerEpoch: 9, baseOffset: 6 }), 0)
    const again = reloaded(states, 7)
    expect([...again.producers()]).toEqual([...states.producers()])
    expect(again.producer(2)).toMatchObject({ lastTimestamp: 60, coordinatorEpoch: 3, batches: [{ timestampMs: 50 }] })
    expect(again.producer(1)).toMatchObject({ openFrom: 3 })
  })

  test('has nothing of batches that are not appended', () => {
    const states = new ProducerStates()
    states.check(batch(), 'client')
    expect(reloaded(states).size).toBe(0)
  })

  test('takes a time that no number can hold for none', () => {
    const states = new ProducerStates()
    states.appended(batch({ maxTimestamp: 2 ** 63 }), 0)
    expect(reloaded(states).producer(7)).toEqual(states.producer(7))
    const kafkas = load(forged((view) => view.setBigInt64(10 + 26, 2n ** 63n - 1n)))
    expect(kafkas.producer(5)).toMatchObject({ lastTimestamp: -1 })
  })
})

describe('a damaged snapshot is refused', () => {
  test('whichever bit is wrong', () => {
    for (let bit = 0; bit < KAFKAS.length * 8; bit++) {
      const bytes = KAFKAS.slice()
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => load(bytes), `bit ${bit}`).toThrow(DecodeError)
    }
  })

  test('wherever it ends', () => {
    for (let length = 0; length < KAFKAS.length; length++)
      expect(() => load(KAFKAS.subarray(0, length))).toThrow(DecodeError)
    for (let length = 10; length < KAFKAS.length; length++)
      expect(() => load(forged(() => {}, KAFKAS.subarray(0, length)))).toThrow(DecodeError)
  })

  test.each<[string, (view: DataView) => void]>([
    ['another version', (view) => view.setInt16(0, 2)],
    ['a count beyond its bytes', (view) => view.setInt32(6, 2 ** 31 - 1)],
    ['a negative count', (view) => view.setInt32(6, -1)],
    ['a negative producer id', (view) => view.setBigInt64(10, -1n)],
    ['a producer id beyond 2^53', (view) => view.setBigInt64(10, 2n ** 60n)],
    ['a negative epoch', (view) => view.setInt16(18, -1)],
    ['a negative delta', (view) => view.setInt32(32, -1)],
    ['a batch that begins before the log', (view) => view.setInt32(32, 130)],
    ['an offset below -1', (view) => view.setBigInt64(24, -2n)],
  ])('with %s', (_what, change) => {
    expect(() => load(forged(change))).toThrow(DecodeError)
  })

  test('and whatever else is in it, nothing but a DecodeError comes of it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 46, maxLength: 46 * 6 }), (entries) => {
        const whole = entries.subarray(0, entries.length - (entries.length % 46))
        const bytes = new Uint8Array(10 + whole.length)
        bytes.set(whole, 10)
        const forgery = forged((view) => {
          view.setInt16(0, 1)
          view.setInt32(6, whole.length / 46)
        }, bytes)
        expect(loadedOrRefused(forgery)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
