import assert from 'node:assert/strict'
import type { Clock, Timers } from '@millrace/base'
import { contractCases } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** A clock and the timers that go by it. */
export interface TimersHost extends ContractHost {
  readonly clock: Clock
  readonly timers: Timers
}

/** The rules of {@link Clock} and {@link Timers}. */
export function timersContract(make: () => Promise<TimersHost>): ContractCase[] {
  return contractCases(make, { ...CLOCK, ...DELAYS, ...TURNS })
}

const CLOCK: Readonly<Record<string, (host: TimersHost) => Promise<void>>> = {
  'the monotonic clock counts whole microseconds and never goes back': async ({ clock, timers, until }) => {
    let last = clock.monotonicUs()
    let turns = 0
    for (; turns < 100; turns++) {
      let done = false
      timers.endOfTurn(() => void (done = true))
      await until(() => done, 'a turn')
      const now = clock.monotonicUs()
      assert.ok(Number.isSafeInteger(now) && now >= last, `${now} after ${last}`)
      last = now
    }
  },
  'the wall clock counts whole milliseconds': async ({ clock }) => {
    assert.ok(Number.isSafeInteger(clock.wallMs()) && clock.wallMs() >= 0)
  },
}

const DELAYS: Readonly<Record<string, (host: TimersHost) => Promise<void>>> = {
  'a delay is never cut short by the monotonic clock': async ({ clock, timers, until }) => {
    const early: string[] = []
    const delays = [1, 500, 999, 1000, 1001, 2500, 7777, 20_000]
    let ran = 0
    for (const delayUs of delays) {
      const due = clock.monotonicUs() + delayUs
      timers.after(delayUs, () => {
        ran++
        if (clock.monotonicUs() < due) early.push(`${delayUs} by ${due - clock.monotonicUs()} us`)
      })
    }
    await until(() => ran === delays.length, 'all timers')
    assert.deepEqual(early, [])
  },
  'timers run in the order in which they are due': async ({ timers, until }) => {
    const order: number[] = []
    for (const delayUs of [30_000, 10_000, 20_000]) timers.after(delayUs, () => void order.push(delayUs))
    await until(() => order.length === 3, 'all timers')
    assert.deepEqual(order, [10_000, 20_000, 30_000])
  },
  'a timer without delay runs in a later turn, once': async ({ timers, until }) => {
    let count = 0
    timers.after(0, () => void count++)
    assert.equal(count, 0)
    await until(() => count > 0, 'the timer')
    await turnsPass(timers, until)
    assert.equal(count, 1)
  },
  'a cancelled timer does not run, with and without delay': async ({ timers, until }) => {
    let count = 0
    for (const delayUs of [0, 1000]) timers.after(delayUs, () => void count++).cancel()
    let over = false
    timers.after(10_000, () => void (over = true))
    await until(() => over, 'a later timer')
    assert.equal(count, 0)
  },
  'cancelling a timer that ran, and cancelling twice, does nothing': async ({ timers, until }) => {
    let count = 0
    const timer = timers.after(1000, () => void count++)
    await until(() => count === 1, 'the timer')
    timer.cancel()
    timer.cancel()
    await turnsPass(timers, until)
    assert.equal(count, 1)
  },
  'a very long delay does not run at once': async ({ timers, until }) => {
    let ran = false
    const timer = timers.after(90 * 24 * 3600 * 1_000_000, () => void (ran = true))
    let over = false
    timers.after(5000, () => void (over = true))
    await until(() => over, 'a later timer')
    timer.cancel()
    assert.equal(ran, false)
  },
}

const TURNS: Readonly<Record<string, (host: TimersHost) => Promise<void>>> = {
  'callbacks of a turn run once each, in order, and never inside the call': async ({ timers, until }) => {
    const order: number[] = []
    for (let at = 0; at < 5; at++) timers.endOfTurn(() => void order.push(at))
    assert.deepEqual(order, [])
    await until(() => order.length === 5, 'the turn')
    await turnsPass(timers, until)
    assert.deepEqual(order, [0, 1, 2, 3, 4])
  },
  'what a callback registers runs behind all of its turn': async ({ timers, until }) => {
    const order: string[] = []
    timers.endOfTurn(() => {
      order.push('first')
      timers.endOfTurn(() => void order.push('nested'))
    })
    timers.endOfTurn(() => void order.push('second'))
    await until(() => order.length === 3, 'all three')
    assert.deepEqual(order, ['first', 'second', 'nested'])
  },
  'a callback that registers itself for ever does not keep timers from running': async ({ timers, until }) => {
    let over = false
    let rounds = 0
    const again = (): void => {
      rounds++
      if (!over) timers.endOfTurn(again)
    }
    timers.endOfTurn(again)
    timers.after(5000, () => void (over = true))
    await until(() => over, 'the timer')
    assert.ok(rounds > 1)
  },
}

/** Lets some turns go by in which something that must not happen could. */
async function turnsPass(timers: Timers, until: ContractHost['until']): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    let done = false
    timers.endOfTurn(() => void (done = true))
    await until(() => done, 'a turn')
  }
}
