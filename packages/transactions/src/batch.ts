import type { ErrorCode } from '@millrace/base'

/** What of a batch's header concerns its producer. Nothing keeps it, so one object may be filled again for every batch. */
export interface ProducerBatch {
  /** -1 for a producer that is not idempotent: such batches pass and leave no trace. */
  readonly producerId: number
  readonly producerEpoch: number
  /** -1 in what coordinators write: markers, and offsets committed in a transaction. */
  readonly baseSequence: number
  /** One less than the sequence numbers that the batch takes, also where compaction removed records. */
  readonly lastOffsetDelta: number
  readonly transactional: boolean
  /** The marker that ends a transaction. */
  readonly control: boolean
}

/** A batch that is in the log. */
export interface AppendedBatch extends ProducerBatch {
  readonly baseOffset: number
  /** Milliseconds, as stored. */
  readonly maxTimestamp: number
  /** Of the coordinator that wrote the marker; -1 in batches of data. */
  readonly coordinatorEpoch: number
}

/** Who wants to append: only clients number their batches. */
export type BatchOrigin = 'client' | 'coordinator'

/** What the leader does with a batch. */
export type ProducerVerdict =
  /** It is the next thing to append. */
  | { readonly outcome: 'accepted' }
  /** It is accepted already and waits to be appended: what becomes of that one becomes of this one. */
  | { readonly outcome: 'staged' }
  /** It is in the log already: success with what the first append was answered, once the watermark has passed `lastOffset`. */
  | {
      readonly outcome: 'duplicate'
      readonly baseOffset: number
      readonly lastOffset: number
      readonly timestampMs: number
    }
  | { readonly outcome: 'refused'; readonly error: ErrorCode; readonly message: string }

/** What is known of one producer, for DescribeProducers. */
export interface ProducerView {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1 when it wrote no numbered batch in this epoch. */
  readonly lastSequence: number
  /** The largest timestamp of its last batch, markers included. */
  readonly lastTimestamp: number
  /** -1 before the first marker. */
  readonly coordinatorEpoch: number
  /** Where its open transaction begins, -1 without one. */
  readonly openFrom: number
  /** The batches that a repetition is recognised by, oldest first. */
  readonly batches: readonly ProducedBatch[]
}

/** One of the batches that a repetition is recognised by. */
export interface ProducedBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly timestampMs: number
}
