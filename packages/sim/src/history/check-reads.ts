import type { Operation } from '../seams.ts'
import type { Findings } from './findings.ts'
import type { HistoryIndex, PartitionHistory } from './history-index.ts'

/** What every poll must keep to by itself: values that somebody wrote there, one value an offset, all below the watermark, without a gap. */
export function checkReads(index: HistoryIndex, partition: PartitionHistory, findings: Findings): void {
  for (const poll of partition.polls) {
    for (const { value, offset } of poll.values) {
      const first = partition.read.get(offset)
      if (first !== undefined && first.value !== value)
        findings.add(
          'inconsistent-offsets',
          `offset ${offset} of ${nameOf(partition)} was read as ${first.value} and as ${value}`,
          first.operation,
          poll,
        )
      checkWriter(index, poll, value, findings)
    }
    checkDense(poll, findings)
    checkWatermark(poll, findings)
  }
  checkContinuity(partition, findings)
}

function checkWriter({ senders }: HistoryIndex, poll: Operation, value: string, findings: Findings): void {
  const sender = senders.get(value)
  if (sender === undefined) return findings.add('phantom', `nobody wrote ${value}`, poll)
  const { operation } = sender
  if (operation.topic !== poll.topic || operation.partition !== poll.partition)
    findings.add('phantom', `${value} was written to another partition`, operation, poll)
  else if (operation.invokedUs > poll.endedUs)
    findings.add('phantom', `${value} was read before it was written`, operation, poll)
  else if (operation.outcome === 'fail')
    findings.add('G1a', `${value} was read although its write was refused`, operation, poll)
}

/** Logs have no gaps here: no transactions, no compaction. */
function checkDense(poll: Operation, findings: Findings): void {
  let expected = poll.from ?? poll.values[0]?.offset ?? 0
  for (const { offset, value } of poll.values) {
    if (offset !== expected) {
      const invariant = offset > expected ? 'poll-skip' : 'nonmonotonic-poll'
      return findings.add(invariant, `${value} came at ${offset} where ${expected} was next`, poll)
    }
    expected = offset + 1
  }
}

function checkWatermark(poll: Operation, findings: Findings): void {
  const last = poll.values.at(-1)
  const { highWatermark = -1 } = poll
  if (last !== undefined && highWatermark >= 0 && last.offset >= highWatermark)
    findings.add('beyond-watermark', `${last.value} at ${last.offset} is not below ${highWatermark}`, poll)
}

/** A consumer that does not move goes on exactly where its poll before ended. */
function checkContinuity({ polls }: PartitionHistory, findings: Findings): void {
  const before = new Map<string, Operation>()
  for (const poll of polls) {
    if (poll.outcome !== 'ok' || poll.values.length === 0) continue
    const previous = before.get(poll.client)
    before.set(poll.client, poll)
    if (previous === undefined || poll.moved === true) continue
    const next = (previous.values.at(-1)?.offset ?? -1) + 1
    const first = poll.values[0]?.offset ?? next
    if (first > next) findings.add('poll-skip', `${poll.client} went from ${next} to ${first}`, previous, poll)
    if (first < next)
      findings.add('nonmonotonic-poll', `${poll.client} went back from ${next} to ${first}`, previous, poll)
  }
}

export function nameOf({ topic, partition }: PartitionHistory): string {
  return `${topic}-${partition}`
}
