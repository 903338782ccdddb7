import { nameOf } from './check-reads.ts'
import { isCommitted } from './check-writes.ts'
import type { Findings } from './findings.ts'
import type { PartitionHistory } from './history-index.ts'

/** What fresh clients must find in the end: all that was acknowledged by all replicas, and all that anybody read, from the log's start on. */
export function checkEnd(partition: PartitionHistory, findings: Findings): void {
  const start = partition.finalStart ?? 0
  const lost = (offset: number): boolean => offset >= start && !partition.readInTheEnd.has(offset)
  for (const send of partition.sends) {
    if (!isCommitted(send)) continue
    const value = send.values.find(({ offset }) => lost(offset))
    if (value !== undefined)
      findings.add(
        'unseen',
        `${value.value} was acknowledged at ${value.offset} of ${nameOf(partition)} and is not there`,
        send,
      )
  }
  for (const [offset, { value, operation }] of partition.read)
    if (lost(offset))
      findings.add(
        'vanished',
        `${value} was read at ${offset} of ${nameOf(partition)} and is not there in the end`,
        operation,
      )
}

/** A log begins where deletion, as it was asked for, lets it begin. */
export function checkLogStart(partition: PartitionHistory, findings: Findings): void {
  for (const operation of [...partition.polls, ...partition.lookups]) {
    const { kind, asked, answer = -1, logStart = -1 } = operation
    const start = kind === 'poll' ? logStart : asked === 'earliest' ? answer : -1
    if (start > partition.deletable)
      findings.add(
        'log-start',
        `the log of ${nameOf(partition)} begins at ${start}, deleted was below ${partition.deletable}`,
        operation,
      )
  }
}
