import { describe, expect, test } from 'vitest'
import { LagWindow, worstStatus } from '../../src/lag/lag-window.ts'

const INTERVAL_MS = 60_000

/** A window that saw these commits a minute apart, each with the log's end of its time. */
function window(commits: readonly (readonly [offset: number, logEnd: number])[]): LagWindow {
  const seen = new LagWindow()
  commits.forEach(([offset, logEnd], at) => {
    const nowMs = at * INTERVAL_MS
    seen.look({ offset, commitMs: nowMs, logEnd, nowMs })
  })
  return seen
}

const LAST_MS = 9 * INTERVAL_MS
const ten = (of: (at: number) => readonly [number, number]) => window(Array.from({ length: 10 }, (_, at) => of(at)))

describe('the status of a group for a partition is', () => {
  test('OK when nothing is left to read, however long it was silent', () => {
    const seen = ten((at) => [at, at])
    expect([seen.status(LAST_MS * 100), seen.records]).toEqual(['OK', 0])
  })

  test('OK when the lag was zero once in the window', () => {
    expect(ten((at) => (at === 4 ? [40, 40] : [at * 10, at * 20 + 1])).status(LAST_MS)).toBe('OK')
  })

  test('OK while the lag shrinks at times', () => {
    expect(ten((at) => [at * 10, at * 10 + (at === 7 ? 4 : 5 + at)]).status(LAST_MS)).toBe('OK')
  })

  test('WARN when offsets rise and the lag never shrinks', () => {
    expect(ten((at) => [at * 10, at * 20 + 5]).status(LAST_MS)).toBe('WARN')
    expect(ten((at) => [at * 10, at * 10 + 5]).status(LAST_MS), 'the same lag all the time').toBe('WARN')
  })

  test('STALL when the same offset is committed again and again and the lag does not shrink', () => {
    expect(ten((at) => [7, 20 + at]).status(LAST_MS)).toBe('STALL')
    expect(ten(() => [7, 20]).status(LAST_MS)).toBe('STALL')
  })

  test('REWIND when a commit went back', () => {
    expect(ten((at) => [at === 5 ? 1 : at * 10, at * 20 + 5]).status(LAST_MS)).toBe('REWIND')
    expect(
      window([
        [9, 20],
        [3, 20],
      ]).status(INTERVAL_MS),
      'in a window that is not full',
    ).toBe('REWIND')
  })

  test('STOP when it is silent for longer than the commits of the window took', () => {
    const seen = ten((at) => [at * 10, at * 10 + 5])
    expect(seen.status(2 * LAST_MS)).toBe('WARN')
    expect(seen.status(2 * LAST_MS + 1)).toBe('STOP')
  })

  test('STOP even when the lag was zero once', () => {
    expect(ten((at) => [at, at === 3 ? 3 : 100]).status(2 * LAST_MS + 1)).toBe('STOP')
  })

  test('not STOP when it had read all at one of the last looks', () => {
    const seen = ten((at) => [at, at])
    seen.look({ offset: 9, commitMs: LAST_MS, logEnd: 500, nowMs: LAST_MS * 9 })
    expect([seen.status(LAST_MS * 9), seen.records]).toEqual(['OK', 491])
    for (let looks = 0; looks < 10; looks++)
      seen.look({ offset: 9, commitMs: LAST_MS, logEnd: 500, nowMs: LAST_MS * 10 })
    expect(seen.status(LAST_MS * 10)).toBe('STOP')
  })

  test('not judged by a trend before the window is full, but by silence at its pace', () => {
    const seen = window([
      [1, 10],
      [1, 12],
      [1, 14],
    ])
    expect([seen.status(2 * INTERVAL_MS), seen.complete]).toEqual(['OK', 0.3])
    expect(seen.status(2 * INTERVAL_MS + 9 * INTERVAL_MS)).toBe('OK')
    expect(seen.status(2 * INTERVAL_MS + 9 * INTERVAL_MS + 1)).toBe('STOP')
    const once = window([[1, 10]])
    expect([once.status(300_000), once.status(300_001)]).toEqual(['OK', 'STOP'])
  })

  test('OK before anything was committed', () => {
    expect([new LagWindow().status(5), new LagWindow().records]).toEqual(['OK', null])
  })
})

test('a commit that is seen often counts once', () => {
  const seen = new LagWindow()
  for (let at = 0; at < 30; at++) seen.look({ offset: 4, commitMs: 1, logEnd: 9 + at, nowMs: at })
  expect([seen.complete, seen.records]).toEqual([0.1, 34])
})

test('a log that ends before the commit leaves no negative lag', () => {
  expect(window([[50, 20]]).records).toBe(0)
})

test('a group is as badly off as its worst partition', () => {
  expect(worstStatus([])).toBe('OK')
  expect(worstStatus(['OK', 'WARN', 'OK'])).toBe('WARN')
  expect(worstStatus(['REWIND', 'STOP', 'WARN'])).toBe('STOP')
})
