import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LogHistory } from '../../src/lag/log-history.ts'

/** Looks a second apart. */
function history(ends: readonly number[], starts: readonly number[] = []): LogHistory {
  const log = new LogHistory()
  ends.forEach((logEnd, at) => log.look({ logStart: starts[at] ?? 0, logEnd, nowMs: at * 1000 }))
  return log
}

describe('lag in seconds', () => {
  test('is how long ago the log ended there', () => {
    const log = history([0, 10, 20, 30])
    expect([30, 20, 15, 10, 0].map((offset) => log.lagSeconds(offset))).toEqual([0, 1, 1.5, 2, 3])
  })

  test('is zero for who has read all, be it more than was looked at', () => {
    expect([history([5]).lagSeconds(5), history([0, 10]).lagSeconds(99)]).toEqual([0, 0])
  })

  test('grows while nothing is written', () => {
    const log = history([0, 10, 10, 10, 10])
    expect([log.lagSeconds(10), log.lagSeconds(9), log.lagSeconds(5)]).toEqual([0, 3.1, 3.5])
  })

  test('of what is older than the first look is told from the pace since', () => {
    expect(history([100, 110, 120]).lagSeconds(50)).toBe(7)
  })

  test('is not known before there are two looks, or while nothing moved since the first', () => {
    expect(new LogHistory().lagSeconds(0)).toBeNull()
    expect(history([10]).lagSeconds(5)).toBeNull()
    expect(history([10, 10, 10]).lagSeconds(5)).toBeNull()
  })

  test('forgets what a log lost, and looks out of order', () => {
    const log = history([0, 10, 20, 30, 15])
    expect(log.lagSeconds(15)).toBe(0)
    log.look({ logStart: 0, logEnd: 40, nowMs: 1000 })
    expect(log.lagSeconds(15)).toBe(0)
  })

  test('is of the oldest record there is for who is behind the log', () => {
    const log = history([0, 10, 20, 30], [0, 0, 10, 10])
    expect(log.lagSeconds(3)).toBe(log.lagSeconds(10))
  })

  test('stays right to a tenth of it over days, with few points', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 20_000 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (looks, part) => {
          const log = new LogHistory()
          // Twice as fast in every other hour, a look every 30 seconds.
          let end = 0
          const times: number[] = []
          for (let at = 0; at < looks; at++) {
            end += at % 240 < 120 ? 30 : 60
            times.push(end)
            log.look({ logStart: 0, logEnd: end, nowMs: at * 30_000 })
          }
          const at = Math.floor(part * (looks - 1))
          const expected = (looks - 1 - at) * 30
          const told = log.lagSeconds(times[at] as number) as number
          expect(Math.abs(told - expected)).toBeLessThanOrEqual(Math.max(31, expected * 0.1))
        },
      ),
      { numRuns: 30, seed: 848 },
    )
  })
})

describe('retention gets to a commit', () => {
  test('when the log has lost as many records as there are before it', () => {
    const log = history([100, 110, 120], [0, 10, 20])
    expect([log.secondsToRetention(20), log.secondsToRetention(50)]).toEqual([0, 3])
  })

  test('that the log has lost already: at once', () => {
    expect(history([100, 110], [0, 50]).secondsToRetention(10)).toBe(0)
  })

  test('never, while the log loses nothing', () => {
    expect(history([100, 110], [0, 0]).secondsToRetention(10)).toBe(Number.POSITIVE_INFINITY)
  })

  test('at a time that is not known before there are two looks', () => {
    expect([new LogHistory().secondsToRetention(1), history([5], [1]).secondsToRetention(3)]).toEqual([null, null])
    expect(history([5], [4]).secondsToRetention(3)).toBe(0)
  })
})

describe('the time of a record', () => {
  test('takes the place of the pace for what is older than the first look', () => {
    const log = history([100, 110, 120])
    expect(log.wantsTimeOf(50, 1000)).toBe(true)
    log.learn(50, -98_000)
    expect(log.lagSeconds(50)).toBe(100)
    expect(log.lagSeconds(75)).toBe(51)
  })

  test('is known after a start while nothing is written', () => {
    const log = history([10])
    log.learn(5, -60_000)
    expect([log.lagSeconds(5), log.wantsTimeOf(5, 1000)]).toEqual([60, false])
  })

  test('is not wanted of what was seen to be written, nor of the end, nor of what is gone', () => {
    const log = history([0, 10, 20, 30], [0, 0, 5, 5])
    expect([15, 30, 40, 3].map((offset) => log.wantsTimeOf(offset, 1000))).toEqual([false, false, false, false])
  })

  test('is wanted between looks that lie far apart, until it is known', () => {
    const log = new LogHistory()
    log.look({ logStart: 0, logEnd: 0, nowMs: 0 })
    log.look({ logStart: 0, logEnd: 100, nowMs: 3_600_000 })
    expect(log.wantsTimeOf(50, 1000)).toBe(true)
    log.learn(50, 3_599_000)
    expect([log.wantsTimeOf(50, 1000), log.lagSeconds(50)]).toEqual([false, 1])
  })

  test('never contradicts what was seen', () => {
    const log = history([0, 10, 20])
    log.learn(15, 99_000)
    log.learn(5, -99_000)
    expect([log.lagSeconds(15), log.lagSeconds(5)]).toEqual([0, 2])
  })

  test('leaves few points, whatever is learned', () => {
    const log = history([100_000, 100_010])
    for (let offset = 0; offset < 50_000; offset += 7) log.learn(offset, offset - 200_000)
    for (const offset of [0, 20_000, 49_999]) expect(log.lagSeconds(offset)).toBeGreaterThan(100)
  })
})
