import { ErrorCode } from '@millrace/base'
import type { Operation } from '../seams.ts'
import { nameOf } from './check-reads.ts'
import type { Findings } from './findings.ts'
import type { HistoryIndex, PartitionHistory } from './history-index.ts'

/** How far a client had come under which leader epoch. */
interface Progress {
  readonly epoch: number
  readonly end: number
  readonly operation: Operation
}

/** What answers about a partition say, held against what was read. */
export function checkLookups(index: HistoryIndex, partition: PartitionHistory, findings: Findings): void {
  checkPositions(partition, findings)
  checkTimestamps(index, partition, findings)
}

/**
 * What a client has read stays there, under the same leader and every later one: the end does not go back, the position is not out of range, the epoch of the last batch
 * does not end before it. An isolated leader may say less, so that only answers count that were held against an epoch.
 */
function checkPositions(partition: PartitionHistory, findings: Findings): void {
  const progress = new Map<string, Progress>()
  for (const operation of inOrder(partition)) {
    const { client, kind, asked, epoch = -1, from = -1, answer = -1, error } = operation
    if (asked === 'epoch-end' && answer >= 0 && answer < from)
      findings.add(
        'position-lost',
        `an epoch that was read up to ${from} ends at ${answer} in ${nameOf(partition)}`,
        operation,
      )
    if (epoch < 0) continue
    const known = progress.get(client)
    const later = known !== undefined && epoch >= known.epoch
    if (asked === 'latest' && later && answer < known.end)
      findings.add(
        'latest-went-back',
        `${nameOf(partition)} ended at ${known.end} and then at ${answer}`,
        known.operation,
        operation,
      )
    const outOfRange = kind === 'poll' && error === ErrorCode.OFFSET_OUT_OF_RANGE
    if (outOfRange && later && from <= known.end && partition.deletable === 0)
      findings.add(
        'position-lost',
        `${from} of ${nameOf(partition)} was read up to and is out of range`,
        known.operation,
        operation,
      )
    const end = kind === 'poll' ? (operation.values.at(-1)?.offset ?? -1) + 1 : asked === 'latest' ? answer : 0
    if (end > 0 && (known === undefined || epoch > known.epoch || end > known.end))
      progress.set(client, {
        epoch: Math.max(epoch, known?.epoch ?? 0),
        end: Math.max(end, known?.end ?? 0),
        operation,
      })
  }
}

/** The first record that is at least so young, as far as it and those before it are known. */
function checkTimestamps({ senders }: HistoryIndex, partition: PartitionHistory, findings: Findings): void {
  const lookups = partition.lookups.filter(({ asked, answer = -1 }) => asked === 'timestamp' && answer >= 0)
  if (lookups.length === 0) return
  const known = [...partition.read]
    .map(([offset, { value }]) => ({ offset, timestampMs: senders.get(value)?.operation.timestampMs ?? -1 }))
    .sort((a, b) => a.offset - b.offset)
  const youngest: number[] = []
  for (const { timestampMs } of known) youngest.push(Math.max(timestampMs, youngest.at(-1) ?? -1))
  for (const lookup of lookups) {
    const { from = 0, answer = 0 } = lookup
    const at = firstAtOrAfter(known, answer)
    const found = known[at]
    if (found?.offset === answer && found.timestampMs >= 0 && found.timestampMs < from)
      findings.add('wrong-timestamp', `the record at ${answer} is of ${found.timestampMs}, before ${from}`, lookup)
    if (partition.deletable === 0 && at > 0 && (youngest[at - 1] as number) >= from)
      findings.add(
        'wrong-timestamp',
        `a record before ${answer} of ${nameOf(partition)} is of ${youngest[at - 1]}`,
        lookup,
      )
  }
}

function firstAtOrAfter(known: readonly { readonly offset: number }[], offset: number): number {
  let low = 0
  let high = known.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((known[middle]?.offset ?? 0) < offset) low = middle + 1
    else high = middle
  }
  return low
}

/** A client asks one thing of a partition at a time, so that the ends of its operations tell their order. */
function inOrder({ polls, lookups }: PartitionHistory): Operation[] {
  return [...polls, ...lookups].sort((a, b) => a.endedUs - b.endedUs)
}
