import { describe, expect, test } from 'vitest'
import { Deadline, TimingWheel } from '../../src/kafka/purgatory/timing-wheel.ts'
import { VirtualTime } from './virtual-world.ts'

class Recorded extends Deadline {
  at = -1
  private readonly time: VirtualTime
  private readonly next: () => void

  constructor(time: VirtualTime, next: () => void = () => {}) {
    super()
    this.time = time
    this.next = next
  }

  expire(): void {
    this.at = this.time.monotonicUs() / 1000
    this.next()
  }
}

describe('the timing wheel', () => {
  test('expires each deadline at its time or at most two ticks later, over several rounds', () => {
    const time = new VirtualTime()
    const wheel = new TimingWheel(time, time)
    time.advance(3)
    const delays = [0, 1, 10, 11, 500, 5_000, 10_239, 10_240, 10_250, 25_000, 60_000]
    const deadlines = delays.map((delay) => {
      const deadline = new Recorded(time)
      wheel.add(deadline, delay)
      return deadline
    })
    time.advance(70_000)
    deadlines.forEach(({ at }, i) => {
      const due = 3 + (delays[i] as number)
      expect(at).toBeGreaterThanOrEqual(due)
      expect(at).toBeLessThanOrEqual(due + 20)
    })
    expect(wheel.size).toBe(0)
  })

  test('runs one timer however many wait, and none when nobody does', () => {
    const time = new VirtualTime()
    const wheel = new TimingWheel(time, time)
    expect(time.pendingTimers).toBe(0)
    const deadlines = Array.from({ length: 1000 }, () => new Recorded(time))
    for (const deadline of deadlines) wheel.add(deadline, 100)
    expect(time.pendingTimers).toBe(1)
    for (const deadline of deadlines) deadline.cancel()
    time.advance(1000)
    expect(time.pendingTimers).toBe(0)
    expect(deadlines.every(({ at }) => at === -1)).toBe(true)
  })

  test('a deadline cancelled by another of the same tick, and put back, waits on', () => {
    const time = new VirtualTime()
    const wheel = new TimingWheel(time, time)
    const second: Recorded = new Recorded(time)
    const first: Recorded = new Recorded(time, () => wheel.add(second, 100))
    wheel.add(second, 50)
    wheel.add(first, 50)
    time.advance(80)
    expect(first.at).toBeGreaterThan(0)
    expect(second.at).toBe(-1)
    time.advance(200)
    expect(second.at).toBeGreaterThanOrEqual(150)
  })

  test('after a pause of minutes everything that is due expires at once', () => {
    const time = new VirtualTime()
    const wheel = new TimingWheel(time, time)
    const near = new Recorded(time)
    const far = new Recorded(time)
    wheel.add(near, 20)
    wheel.add(far, 600_000)
    time.advance(300_000)
    const late = new Recorded(time)
    wheel.add(late, 20)
    expect(near.at).toBeGreaterThan(0)
    expect(far.at).toBe(-1)
    time.advance(301_000)
    expect(far.at).toBeGreaterThanOrEqual(600_000)
    expect(late.at).toBeLessThan(300_100)
  })
})
