export type {
  AppendedBatch,
  BatchOrigin,
  ProducedBatch,
  ProducerBatch,
  ProducerVerdict,
  ProducerView,
} from './batch.ts'
export { initIdempotentProducer, nextEpoch, ProducerIds } from './producer-ids.ts'
export type { InitProducerIdAnswer, ProducerIdentity } from './producer-ids.ts'
export type { Checksum } from './producer-snapshot.ts'
export { ProducerStates } from './producer-states.ts'
