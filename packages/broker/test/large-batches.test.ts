import { LeaderFrame } from '@millrace/rpc'
import { describe, expect, it } from 'vitest'
import { LargeBatches } from '../src/large-batches.ts'
import { OutgoingFrame } from '../src/leader-frame.ts'

const append = (session: number, baseOffset: number, batches: readonly Uint8Array[], more = false) => ({
  session,
  baseOffset,
  highWatermark: 0,
  logStart: 0,
  batches,
  more,
})

describe('a large batch', () => {
  it('travels in pieces in its place between the others, and is whole again at the other end', () => {
    const large = new Uint8Array(9_500_000).map((_, at) => at)
    const outgoing = new OutgoingFrame()
    outgoing.addAppend(append(1, 10, [Uint8Array.of(1)]), 1)
    outgoing.addAppend(append(1, 11, [large]), large.length)
    outgoing.addAppend(append(1, 12, [Uint8Array.of(2)]), 1)
    outgoing.addMessage({ kind: 'progress', to: 2, session: 1, highWatermark: 12, logStart: 0 })
    const frames = outgoing.take().map((parts) => LeaderFrame.decode(Buffer.concat(parts)))
    expect(frames.map(({ append: appends, progress }) => [appends.length, progress.length])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
      [1, 0],
      [1, 1],
    ])
    const batches = new LargeBatches()
    const taken = frames.flatMap(({ append: appends }) => appends).map((message) => batches.take(message))
    const whole = taken.filter((message) => message !== null && typeof message !== 'string')
    expect(whole.map(({ baseOffset }) => baseOffset)).toEqual([10, 11, 12])
    expect(Buffer.compare(whole[1]?.batches[0] as Uint8Array, large)).toBe(0)
    expect(outgoing.empty).toBe(true)
  })

  it('of which another piece comes than the next one is refused, and forgotten with its session', () => {
    const batches = new LargeBatches()
    expect(batches.take(append(1, 5, [Uint8Array.of(1)], true))).toBeNull()
    expect(batches.take(append(1, 6, [Uint8Array.of(2)]))).toMatch('does not go on')
    batches.forget(1)
    expect(batches.take(append(1, 7, [Uint8Array.of(3)]))).toMatchObject({ baseOffset: 7 })
  })
})
