import type { Operation } from '../seams.ts'
import { nameOf } from './check-reads.ts'
import type { Findings } from './findings.ts'
import type { PartitionHistory } from './history-index.ts'

/** What the answers to producers promised, held against each other and against what was read. */
export function checkWrites(partition: PartitionHistory, findings: Findings): void {
  checkAcknowledged(partition, findings)
  checkCopies(partition, findings)
  checkRealTime(partition, findings)
  checkConnections(partition, findings)
}

/** An offset that was told to a producer that waited for all replicas is its value's for ever. */
function checkAcknowledged(partition: PartitionHistory, findings: Findings): void {
  const acknowledged = new Map<number, Operation>()
  for (const send of partition.sends) {
    if (!isCommitted(send)) continue
    for (const { value, offset } of send.values) {
      const other = acknowledged.get(offset)
      if (other !== undefined)
        findings.add(
          'reassigned-offset',
          `offset ${offset} of ${nameOf(partition)} was acknowledged twice`,
          other,
          send,
        )
      acknowledged.set(offset, send)
      const seen = partition.read.get(offset)
      if (seen !== undefined && seen.value !== value)
        findings.add(
          'lost-write',
          `${value} was acknowledged at ${offset}, where ${seen.value} was read`,
          send,
          seen.operation,
        )
    }
  }
}

/**
 * A value is in the log as often as its producer may have written it, and its batch is in one piece. What an idempotent producer wrote may be there again once it
 * was deleted: a replica that began anew behind it knows nothing of it.
 */
function checkCopies(partition: PartitionHistory, findings: Findings): void {
  for (const send of partition.sends) {
    const copies = send.copies ?? 1
    let start: number | null = null
    send.values.forEach(({ value }, at) => {
      const all = partition.places.get(value) ?? []
      const places = send.numbered === undefined ? all : all.filter((offset) => offset >= partition.deletable)
      // A write that was refused and is there all the same is told as G1a.
      if (places.length > Math.max(1, copies))
        findings.add('duplicate', `${value} is at ${places.join(' and ')}, and was written ${copies} times`, send)
      if (copies !== 1 || places.length !== 1) return
      const begins = (places[0] as number) - at
      if (start !== null && begins !== start)
        findings.add('torn-batch', `${value} is at ${places[0]}, but its batch begins at ${start}`, send)
      start ??= begins
    })
  }
}

/** What was acknowledged before a send began is before it in the log. */
function checkRealTime(partition: PartitionHistory, findings: Findings): void {
  const begun = partition.sends.filter(isCommitted).sort((a, b) => a.invokedUs - b.invokedUs)
  const ended = begun.slice().sort((a, b) => a.endedUs - b.endedUs)
  let last: Operation | undefined
  let at = 0
  for (const send of begun) {
    for (; (ended[at]?.endedUs ?? Infinity) < send.invokedUs; at++)
      if (last === undefined || lastOffset(ended[at] as Operation) > lastOffset(last)) last = ended[at]
    if (last !== undefined && (send.values[0]?.offset ?? 0) <= lastOffset(last))
      findings.add('offset-order', `a send got an offset before one that was acknowledged before it began`, last, send)
  }
}

/**
 * Requests of one connection are appended in the order in which they were sent. Only offsets count that are final: of what was read, and of what all replicas
 * acknowledged.
 */
function checkConnections(partition: PartitionHistory, findings: Findings): void {
  const before = new Map<number, { readonly send: Operation; readonly offset: number }>()
  for (const send of partition.sends) {
    const { connection = -1, copies = 1 } = send
    if (connection < 0 || copies !== 1) continue
    const offset = finalOffset(send, partition)
    if (offset === null) continue
    const previous = before.get(connection)
    if (previous !== undefined && offset <= previous.offset)
      findings.add(
        'nonmonotonic-send',
        `a later send of connection ${connection} was appended first`,
        previous.send,
        send,
      )
    before.set(connection, { send, offset })
  }
}

function finalOffset(send: Operation, { places, read }: PartitionHistory): number | null {
  const first = send.values[0]
  if (first === undefined) return null
  if (isCommitted(send)) return first.offset
  const place = places.get(first.value)?.[0]
  return place !== undefined && read.get(place)?.value === first.value ? place : null
}

/** Acknowledged by all in-sync replicas: it must never be lost. */
export function isCommitted({ acks, outcome }: Operation): boolean {
  return acks === -1 && outcome === 'ok'
}

function lastOffset({ values }: Operation): number {
  return values.at(-1)?.offset ?? -1
}
