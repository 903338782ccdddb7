import type { AppendedBatch } from '../src/index.ts'

/** A client's batch of one record in a log, or whatever `fields` say. */
export function batch(fields: Partial<AppendedBatch> = {}): AppendedBatch {
  return {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    lastOffsetDelta: 0,
    transactional: false,
    control: false,
    baseOffset: 0,
    maxTimestamp: 1000,
    coordinatorEpoch: -1,
    ...fields,
  }
}

/** The marker that ends a transaction. */
export function marker(fields: Partial<AppendedBatch> = {}): AppendedBatch {
  return batch({ control: true, transactional: true, baseSequence: -1, coordinatorEpoch: 3, ...fields })
}
