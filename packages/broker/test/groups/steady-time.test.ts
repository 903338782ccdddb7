import { describe, expect, test } from 'vitest'
import { SteadyTime } from '../../src/groups/steady-time.ts'

class TwoClocks {
  us = 5_000_000
  ms = 1_700_000_000_000

  monotonicUs(): number {
    return this.us
  }

  wallMs(): number {
    return this.ms
  }

  pass(ms: number): void {
    this.us += ms * 1000
    this.ms += ms
  }
}

describe('the steady clock', () => {
  test('is the wall clock as long as that goes evenly', () => {
    const clock = new TwoClocks()
    const time = new SteadyTime(clock)
    for (const ms of [1, 999, 86_400_000]) {
      clock.pass(ms)
      expect(time.nowMs()).toBe(clock.ms)
    }
  })

  test('does not jump with the wall clock, in either direction', () => {
    for (const jump of [3_600_000, -3_600_000]) {
      const clock = new TwoClocks()
      const time = new SteadyTime(clock)
      const before = time.nowMs()
      clock.ms += jump
      clock.pass(10_000)
      const passed = time.nowMs() - before
      expect(passed).toBeGreaterThanOrEqual(9_000)
      expect(passed).toBeLessThanOrEqual(11_000)
    }
  })

  test('comes to the wall clock in the end, and never goes back', () => {
    const clock = new TwoClocks()
    const time = new SteadyTime(clock)
    clock.ms -= 10_000
    let last = 0
    for (let second = 0; second < 120; second++) {
      clock.pass(1000)
      const now = time.nowMs()
      expect(now).toBeGreaterThanOrEqual(last)
      last = now
    }
    expect(last).toBe(clock.ms)
  })
})
