import { assert, ErrorCode } from '@millrace/base'

/** A producer id and the epoch in which it is used. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** What InitProducerId is answered; id and epoch are -1 with an error. */
export interface InitProducerIdAnswer extends ProducerIdentity {
  readonly error: ErrorCode
}

/** The last epoch that a producer gets of an id; the one above is left for fencing it. */
const LAST_EPOCH = 0x7ffe
/** The next block is asked for when no more ids than this are left: asking takes a commit of the metadata log. */
const ASK_AT = 100

/**
 * The producer ids of one broker, out of blocks that the controller gives and no other broker gets. An id is given out once, for ever; those
 * of a block that is lost with its process are never used.
 */
export class ProducerIds {
  private next = 0
  private end = 0
  private spare: { readonly first: number; readonly end: number } | null = null
  private asked = false

  /** True when the host should ask the controller for a block, and tell so by `asking`. */
  get wanted(): boolean {
    return !this.asked && this.spare === null && this.end - this.next <= ASK_AT
  }

  /** A block is asked for; `add` or `failed` follows. */
  asking(): void {
    this.asked = true
  }

  /** The controller gave ids `first` to `first + count - 1`. */
  add(first: number, count: number): void {
    assert(first >= 0 && count > 0, `a block of ${count} producer ids from ${first} on`)
    assert(this.spare === null, 'a block of producer ids that nobody asked for')
    this.asked = false
    if (this.next < this.end) this.spare = { first, end: first + count }
    else {
      this.next = first
      this.end = first + count
    }
  }

  /** No block was given; it may be asked for again. */
  failed(): void {
    this.asked = false
  }

  /** An id that nobody ever had, or null while there is none. */
  take(): number | null {
    if (this.next === this.end && this.spare !== null) {
      this.next = this.spare.first
      this.end = this.spare.end
      this.spare = null
    }
    return this.next < this.end ? this.next++ : null
  }
}

/**
 * InitProducerId without a transactional id: always a fresh id in epoch 0, as Apache Kafka answers, also when the producer names the id that it has. Such
 * producers raise their epoch themselves (KIP-360) and ask again only when it is exhausted; and nobody here could tell whether an id is really
 * theirs. COORDINATOR_LOAD_IN_PROGRESS, which clients repeat, until a block has arrived.
 */
export function initIdempotentProducer(
  { producerId, producerEpoch }: ProducerIdentity,
  ids: ProducerIds,
): InitProducerIdAnswer {
  if ((producerId === -1) !== (producerEpoch === -1)) return failure(ErrorCode.INVALID_REQUEST)
  const fresh = ids.take()
  if (fresh === null) return failure(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  return { error: ErrorCode.NONE, producerId: fresh, producerEpoch: 0 }
}

/** The same id in its next epoch, or null when its epochs are exhausted and a fresh id is due. */
export function nextEpoch({ producerId, producerEpoch }: ProducerIdentity): ProducerIdentity | null {
  return producerEpoch >= LAST_EPOCH ? null : { producerId, producerEpoch: producerEpoch + 1 }
}

function failure(error: ErrorCode): InitProducerIdAnswer {
  return { error, producerId: -1, producerEpoch: -1 }
}
