import type { Operation, ProducerNumbers } from '../seams.ts'
import { nameOf } from './check-reads.ts'
import type { Findings } from './findings.ts'
import type { HistoryIndex, PartitionHistory } from './history-index.ts'

/** An id is given to one producer, for ever. */
export function checkProducerIds({ producers }: HistoryIndex, findings: Findings): void {
  const given = new Map<number, Operation>()
  for (const operation of producers) {
    const { producerId } = operation.numbered as ProducerNumbers
    const other = given.get(producerId)
    if (other !== undefined)
      findings.add('producer-id-given-twice', `producer id ${producerId} was given twice`, other, operation)
    given.set(producerId, operation)
  }
}

/**
 * The batches of an idempotent producer are in the log in the order of their numbers; under one epoch, none without those before it. Where records
 * were deleted the log may not know the producer any more, and then takes what comes.
 */
export function checkNumbers(index: HistoryIndex, partition: PartitionHistory, findings: Findings): void {
  if (partition.deletable > 0) return
  for (const sends of byProducer(partition)) {
    let last: { readonly send: Operation; readonly offset: number } | null = null
    let before: Operation | null = null
    for (const send of sends) {
      const offset = placeOf(send, partition)
      if (offset !== null) {
        if (last !== null && offset <= last.offset)
          findings.add(
            'producer-order',
            `batches of a producer changed places in ${nameOf(partition)}`,
            last.send,
            send,
          )
        if (index.complete && before !== null && sameEpoch(before, send) && placeOf(before, partition) === null)
          findings.add('producer-gap', `a batch is in ${nameOf(partition)} without the one before it`, before, send)
        last = { send, offset }
      }
      before = send
    }
  }
}

/** The numbered sends of each producer, in the order of their numbers, which is that of the history. */
function byProducer({ sends }: PartitionHistory): Iterable<readonly Operation[]> {
  const found = new Map<number, Operation[]>()
  for (const send of sends) {
    if (send.numbered === undefined) continue
    const { producerId } = send.numbered
    const known = found.get(producerId)
    if (known === undefined) found.set(producerId, [send])
    else known.push(send)
  }
  return found.values()
}

function sameEpoch(one: Operation, other: Operation): boolean {
  return one.numbered?.epoch === other.numbered?.epoch
}

/** Where a batch is: as it was acknowledged, or as it was read. */
function placeOf({ values }: Operation, { places }: PartitionHistory): number | null {
  const [first] = values
  return first === undefined ? null : (places.get(first.value)?.[0] ?? null)
}
