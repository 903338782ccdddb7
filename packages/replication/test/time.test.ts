import { describe, expect, it } from 'vitest'
import { LogEndNotes } from '../src/log-end-notes.ts'
import { Backoff, TickClock } from '../src/tick-clock.ts'

describe('notes of where the log ended', () => {
  it('tell the newest time at which a follower had everything', () => {
    const notes = new LogEndNotes(6400)
    notes.note(100, 10)
    notes.note(200, 20)
    notes.note(300, 30)
    expect([9, 10, 19, 29, 30, 99].map((end) => notes.caughtUpUs(end))).toEqual([-Infinity, 100, 100, 200, 300, 300])
  })

  it('keep one note while nothing is written, at the present time', () => {
    const notes = new LogEndNotes(6400)
    for (let now = 0; now <= 1_000_000; now += 100) notes.note(now, 7)
    expect(notes.caughtUpUs(7)).toBe(1_000_000)
    expect(notes.caughtUpUs(6)).toBe(-Infinity)
  })

  it('are forgotten after two windows, and are never dense', () => {
    const notes = new LogEndNotes(6400)
    for (let now = 0; now <= 100_000; now += 10) notes.note(now, now)
    expect(notes.caughtUpUs(80_000)).toBe(-Infinity)
    // At worst one note in a sixty-fourth of the window: a follower loses no more than that.
    for (const end of [90_000, 95_555, 99_999]) expect(end - notes.caughtUpUs(end)).toBeLessThanOrEqual(110)
  })
})

describe('time as the ticks tell it', () => {
  it('passes as the clock does', () => {
    const clock = new TickClock(1000)
    expect([clock.tick(5_000_000), clock.nowUs]).toEqual([true, 0])
    expect([clock.tick(5_000_700), clock.nowUs]).toEqual([true, 700])
  })

  it('counts a sleep as one tick, and judges nobody by it', () => {
    const clock = new TickClock(1000)
    clock.tick(0)
    expect([clock.tick(60_000_000), clock.nowUs]).toEqual([false, 1000])
    expect([clock.tick(60_000_100), clock.nowUs]).toEqual([true, 1100])
  })

  it('never goes back', () => {
    const clock = new TickClock(1000)
    clock.tick(500)
    clock.tick(900)
    clock.tick(100)
    expect(clock.nowUs).toBe(400)
  })
})

describe('patience', () => {
  it('doubles up to its limit, and is new after a success', () => {
    const backoff = new Backoff(100, 350)
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      backoff.failed(1000)
      waits.push(backoff.retryAtUs - 1000)
    }
    expect(waits).toEqual([100, 200, 350, 350])
    backoff.succeeded()
    backoff.failed(1000)
    expect(backoff.retryAtUs).toBe(1100)
  })
})
