// What was read, held against what was written.
import type { Reading } from './readings.ts'

export interface Written {
  /** The numbers that were acknowledged. */
  readonly acknowledged: readonly number[]
  /** The end of each partition's log; all begin at 0. */
  readonly ends: ReadonlyMap<number, number>
}

export interface Verdict {
  readonly written: number
  /** Different records that were read. */
  readonly read: number
  /** Records of the log that nobody read: `partition:offset`. */
  readonly skipped: readonly string[]
  /** Acknowledged numbers that are in no record that was read. */
  readonly missing: readonly number[]
  /** Readings beyond the first of each record. */
  readonly repeated: number
  /** How old the oldest repeated reading was: the time since that record was read before. A group that begins anew shows here. */
  readonly oldestRepeatMs: number
}

export function judge(readings: Iterable<readonly Reading[]>, { acknowledged, ends }: Written): Verdict {
  const all = [...readings].flat().toSorted((a, b) => a.atMs - b.atMs)
  /** When each record was read last. */
  const lastMs = new Map<string, number>()
  const numbers = new Set<number>()
  let repeated = 0
  let oldestRepeatMs = 0
  for (const { atMs, partition, offset, value } of all) {
    const record = `${partition}:${offset}`
    const before = lastMs.get(record)
    if (before !== undefined) {
      repeated++
      oldestRepeatMs = Math.max(oldestRepeatMs, atMs - before)
    }
    lastMs.set(record, atMs)
    numbers.add(Number(value))
  }
  const skipped: string[] = []
  let written = 0
  for (const [partition, end] of ends) {
    written += end
    for (let offset = 0; offset < end; offset++)
      if (!lastMs.has(`${partition}:${offset}`)) skipped.push(`${partition}:${offset}`)
  }
  const missing = acknowledged.filter((number) => !numbers.has(number))
  return { written, read: lastMs.size, skipped, missing, repeated, oldestRepeatMs }
}
