import { describe, expect, it } from 'vitest'
import { durationText, isoDuration, isoTime } from '../src/times.ts'

describe('times', () => {
  it.each([
    ['2026-01-31', Date.UTC(2026, 0, 31)],
    ['2026-01-31T12:30', Date.UTC(2026, 0, 31, 12, 30)],
    ['2026-01-31T12:30:05.250', Date.UTC(2026, 0, 31, 12, 30, 5, 250)],
    ['2026-01-31T12:30:05Z', Date.UTC(2026, 0, 31, 12, 30, 5)],
    ['2026-01-31T12:30:05+02:00', Date.UTC(2026, 0, 31, 10, 30, 5)],
    ['2026-01-31T12:30:05-0230', Date.UTC(2026, 0, 31, 15, 0, 5)],
  ])('%s is a time, of UTC where it does not say', (text, time) => expect(isoTime(text)).toBe(time))

  it.each(['', 'today', '31.1.2026', '2026-13-01', '2026-01-31 12:30', '2026-01-31T12:30:05X'])(
    '%j is no time',
    (text) => expect(isoTime(text)).toBeNaN(),
  )

  it.each([
    ['P1D', 86_400_000],
    ['PT1H', 3_600_000],
    ['pt90s', 90_000],
    ['P1DT2H30M0.5S', 95_400_500],
  ])('%s is a duration', (text, duration) => expect(isoDuration(text)).toBe(duration))

  it.each(['', 'P', 'PT', 'P1DT', '1h', 'P1H', 'PT-1H', 'P1Y'])('%j is no duration', (text) =>
    expect(isoDuration(text)).toBeNaN(),
  )

  it.each([
    [null, '-'],
    [0, '0s'],
    [0.0001, '1ms'],
    [0.25, '250ms'],
    [12.34, '12.3s'],
    [60, '1m'],
    [200, '3m 20s'],
    [3_600, '1h'],
    [93_784, '1d 2h'],
  ])('%s seconds are %s', (seconds, text) => expect(durationText(seconds)).toBe(text))
})
