// What was expected against what came: the first difference, said so that it can be acted on.
import { setTimeout as sleep } from 'node:timers/promises'
import { byPartition } from './judge.ts'
import type { PlainRecord, ReadRecord } from './operations.ts'

/** The cluster or the client gave something else than Kafka's. */
export class Difference extends Error {
  constructor(text: string) {
    super(text)
    this.name = 'Difference'
  }
}

/** Throws {@link Difference} unless the two are the same when written as JSON. */
export function same(what: string, actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (is !== should) throw new Difference(`${what}: expected ${short(should)}, got ${short(is)}`)
}

export function holds(condition: boolean, text: string): void {
  if (!condition) throw new Difference(text)
}

/** Contents, order within each partition, and offsets that have no gap from `first` on. */
export function sameRecords(
  what: string,
  actual: readonly ReadRecord[],
  expected: readonly PlainRecord[],
  first: Readonly<Record<number, number>> = {},
): void {
  const got = byPartition(actual)
  const wanted = byPartition(expected)
  for (const partition of got.keys())
    holds(wanted.has(partition), `${what}: records of partition ${partition}, where none were expected`)
  for (const [partition, records] of wanted) {
    const own = got.get(partition) ?? []
    const start = first[partition] ?? 0
    same(
      `${what}, offsets of partition ${partition}`,
      spans(own.map(({ offset }) => offset)),
      spans(records.map((_, at) => start + at)),
    )
    records.forEach((record, at) => sameRecord(`${what}, ${partition}@${start + at}`, own[at] as ReadRecord, record))
  }
}

function sameRecord(where: string, actual: ReadRecord, expected: PlainRecord): void {
  same(`${where}, key`, plain(actual.key), plain(expected.key))
  same(`${where}, value`, plain(actual.value), plain(expected.value))
  same(`${where}, headers`, actual.headers, expected.headers)
  if (expected.timestamp !== undefined) same(`${where}, timestamp`, actual.timestamp, expected.timestamp)
}

/** Offsets as ranges: 0-9, 12. */
function spans(offsets: readonly number[]): string {
  const ranges: string[] = []
  for (let at = 0; at < offsets.length;) {
    let end = at
    while (end + 1 < offsets.length && offsets[end + 1] === (offsets[end] as number) + 1) end++
    ranges.push(end === at ? String(offsets[at]) : `${offsets[at]}-${offsets[end]}`)
    at = end + 1
  }
  return ranges.join(', ') || 'none'
}

function plain(bytes: string | null): string | null {
  return bytes === null ? null : Buffer.from(bytes, 'base64').toString('latin1')
}

function short(text: string | undefined): string {
  const whole = text ?? 'nothing'
  return whole.length > 160 ? `${whole.slice(0, 160)}… (${whole.length} characters)` : whole
}

/** Resolves once `reached` does; a {@link Difference} with the last state that it told when it does not within the time. */
export async function eventually(
  what: string,
  reached: () => Promise<true | string>,
  timeoutMs = 30_000,
  everyMs = 100,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const state = await reached()
    if (state === true) return
    if (Date.now() > deadline) throw new Difference(`${what} did not come about within ${timeoutMs / 1000} s: ${state}`)
    await sleep(everyMs)
  }
}

/** The operation must be refused, by an error that says why. */
export async function refused(what: string, attempt: Promise<unknown>, reason: RegExp): Promise<void> {
  const outcome = await attempt.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  if (outcome === null) throw new Difference(`${what} was accepted`)
  holds(reason.test(outcome), `${what} was refused as "${outcome}", expected ${String(reason)}`)
}
