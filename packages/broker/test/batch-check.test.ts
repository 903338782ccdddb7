import { encodeGap, setBaseOffset, setLeaderEpoch, writeInt32 } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { checkReplicatedBatches } from '../src/batch-check.ts'
import { Inbound } from '../src/inbound.ts'
import { batchOf } from './cluster.ts'

const EXPECTED = { endOffset: 10, lastEpoch: 3, maxEpoch: 5, empty: false }

const FULL = { empty: false }

function at(offset: number, epoch: number, values: readonly string[] = ['a', 'b']): Uint8Array {
  const batch = batchOf(values)
  setBaseOffset(batch, 0, offset)
  setLeaderEpoch(batch, 0, epoch)
  return batch
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

describe('what a leader sends', () => {
  it('is taken batch by batch when it continues the log, however the batches are cut into parts', () => {
    const [one, two, three] = [at(10, 4), at(12, 4), at(14, 5)]
    const checked = checkReplicatedBatches([joined(one, two), three], EXPECTED)
    expect(checked.problem).toBeNull()
    expect(checked.batches.map((batch) => [...batch])).toEqual([one, two, three].map((batch) => [...batch]))
    expect([checked.endOffset, checked.lastEpoch]).toEqual([16, 5])
    expect(checked.bytes).toBe(one.length + two.length + three.length)
  })

  it('is refused when a batch overlaps, or leaves a hole', () => {
    expect(checkReplicatedBatches([at(9, 4)], EXPECTED).problem).toMatch('does not continue')
    expect(checkReplicatedBatches([at(11, 4)], EXPECTED).problem).toMatch('does not continue')
    const gap = encodeGap({ baseOffset: 10, lastOffset: 19, leaderEpoch: 4 })
    expect(checkReplicatedBatches([gap, at(20, 4)], EXPECTED)).toMatchObject({ problem: null, endOffset: 22 })
  })

  it('may begin an empty log with the batch that its start lies in, and only that one', () => {
    const empty = { ...EXPECTED, empty: true }
    expect(checkReplicatedBatches([at(9, 4), at(11, 4)], empty).problem).toBeNull()
    expect(checkReplicatedBatches([at(8, 4)], empty).problem).toMatch('does not continue')
    expect(checkReplicatedBatches([at(9, 4), at(10, 4)], empty).problem).toMatch('does not continue')
  })

  it('is refused when epochs fall, or pass the epoch of the session', () => {
    expect(checkReplicatedBatches([at(10, 2)], EXPECTED).problem).toMatch('epoch 2 after 3')
    expect(checkReplicatedBatches([at(10, 6)], EXPECTED).problem).toMatch('epoch 6 in a session of 5')
  })

  it('is refused when a bit flipped, a batch is cut short, or the bytes are none', () => {
    const flipped = at(10, 4)
    flipped[flipped.length - 1] = (flipped[flipped.length - 1] as number) ^ 1
    expect(checkReplicatedBatches([flipped], EXPECTED).problem).toMatch('CRC')
    const whole = at(10, 4)
    expect(checkReplicatedBatches([whole.subarray(0, whole.length - 1)], EXPECTED).problem).toMatch('no whole batch')
    expect(checkReplicatedBatches([joined(whole, whole.subarray(0, 30))], EXPECTED).problem).toMatch('no whole batch')
    expect(checkReplicatedBatches([new Uint8Array(100)], EXPECTED).problem).toMatch('no whole batch')
    const huge = at(10, 4)
    writeInt32(huge, 8, 0x7fffffff)
    expect(checkReplicatedBatches([huge], EXPECTED).problem).toMatch('no whole batch')
    const backwards = at(10, 4)
    writeInt32(backwards, 23, -5)
    expect(checkReplicatedBatches([backwards], EXPECTED).problem).toMatch('ends before it begins')
    expect(checkReplicatedBatches([], EXPECTED).problem).toMatch('no batch')
  })
})

describe('the batches of a turn', () => {
  const from = { leader: 2, session: 77, leaderEpoch: 5 }
  const message = (baseOffset: number, batches: readonly Uint8Array[], highWatermark = 0) => ({
    session: 77,
    baseOffset,
    highWatermark,
    logStart: 0,
    batches,
    more: false,
  })

  it('become one write with the newest watermark', () => {
    const inbound = new Inbound()
    expect(inbound.stage(from, message(10, [at(10, 4)], 3), FULL)).toBeNull()
    const next = message(12, [at(12, 5), at(14, 5)], 9)
    expect(inbound.continuedBy(from, next)).toBe(true)
    expect(inbound.stage(from, next, FULL)).toBeNull()
    expect(inbound.take()).toMatchObject({ baseOffset: 10, endOffset: 16, lastEpoch: 5, highWatermark: 9 })
    expect(inbound.take()).toBeNull()
  })

  it('of another session or with a gap do not continue what is staged', () => {
    const inbound = new Inbound()
    inbound.stage(from, message(10, [at(10, 4)]), FULL)
    expect(inbound.continuedBy(from, message(13, []))).toBe(false)
    expect(inbound.continuedBy({ ...from }, message(12, []))).toBe(false)
  })

  it('keep what was staged when a later message is wrong', () => {
    const inbound = new Inbound()
    inbound.stage(from, message(10, [at(10, 4)]), FULL)
    expect(inbound.stage(from, message(12, [at(12, 9)]), FULL)).toMatch('epoch 9')
    expect(inbound.take()).toMatchObject({ endOffset: 12 })
  })
})
