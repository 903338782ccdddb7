// How long members had something to read and read nothing.
import type { Reading } from './readings.ts'

/** Times of the wall clock, in milliseconds. */
export interface Pause {
  readonly fromMs: number
  readonly toMs: number
}

export interface Span {
  readonly startedMs: number
  readonly endedMs: number
}

/** Shorter ones are the rhythm of fetches. */
const LEAST_MS = 20
/** What is read so soon after a pause was there during it. */
const BURST_MS = 50

/**
 * The times in which one member read nothing, as far as there was something to read: each begins with the last record before, or, when the writer
 * itself was held up, with the first append of what is read after.
 */
export function pausesOf(readings: readonly Reading[]): Pause[] {
  const pauses: Pause[] = []
  for (let at = 1; at < readings.length; at++) {
    const beforeMs = (readings[at - 1] as Reading).atMs
    const toMs = (readings[at] as Reading).atMs
    if (toMs - beforeMs < LEAST_MS) continue
    let appendedMs = Infinity
    for (let next = at; next < readings.length && (readings[next] as Reading).atMs <= toMs + BURST_MS; next++)
      appendedMs = Math.min(appendedMs, (readings[next] as Reading).appendedMs)
    const fromMs = Math.max(beforeMs, appendedMs)
    if (toMs - fromMs >= LEAST_MS) pauses.push({ fromMs, toMs })
  }
  return pauses
}

/** The longest of the pauses that touch the span, in milliseconds. */
export function longestWithin(pauses: readonly Pause[], { startedMs, endedMs }: Span): number {
  let longest = 0
  for (const { fromMs, toMs } of pauses)
    if (fromMs <= endedMs && toMs >= startedMs) longest = Math.max(longest, toMs - fromMs)
  return longest
}

/** The middle one; 0 of none. */
export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** By nearest rank; 0 of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0
}
