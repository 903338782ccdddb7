import { assert } from '@millrace/base'
import {
  baseOffset,
  baseSequence,
  coordinatorEpoch,
  crc32c,
  InvalidBatch,
  isControl,
  isTransactional,
  lastOffsetDelta,
  maxTimestamp,
  producerEpoch,
  producerId,
  readControl,
  wholeBatchBytes,
} from '@millrace/records'
import { DecodeError } from '@millrace/schema'
import type { BatchObserver, PartitionLog } from '@millrace/storage'
import { ProducerStates, type ProducerVerdict, type ProducerView } from '@millrace/transactions'

/**
 * What one replica knows of the producers of its partition. The log keeps it in step with itself, through cuts and restarts; the leader asks
 * it about each batch before it is staged.
 */
export class ReplicaProducers implements BatchObserver {
  private states = new ProducerStates()
  /** One for all batches, because nobody keeps it. */
  private readonly header = {
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    lastOffsetDelta: 0,
    transactional: false,
    control: false,
    baseOffset: 0,
    maxTimestamp: -1,
    coordinatorEpoch: -1,
  }

  // What the leader does with a batch of a client: in the order of its appends.

  check(batch: Uint8Array): ProducerVerdict {
    return this.states.check(this.read(batch, 0), 'client')
  }

  /** What was accepted and is not in the log will not be. */
  abandoned(): void {
    this.states.abandoned()
  }

  /** The watermark passed `offset`. */
  settled(offset: number): void {
    this.states.settled(offset)
  }

  expire(nowMs: number, expirationMs: number): number {
    return this.states.expire(nowMs, expirationMs)
  }

  /** The batch by which compaction leaves a producer known to whoever reads the log. */
  lastBatchOf(producerId: number): number | null {
    return this.states.lastOffset(producerId)
  }

  /** How many are known. */
  get size(): number {
    return this.states.size
  }

  all(): Iterable<ProducerView> {
    return this.states.producers()
  }

  // What the log tells.

  load(snapshot: Uint8Array | null, endOffset: number): boolean {
    this.states = new ProducerStates(endOffset)
    if (snapshot === null) return true
    try {
      this.states = ProducerStates.load(snapshot, endOffset, crc32c)
      return true
    } catch (error) {
      if (error instanceof DecodeError) return false
      throw error
    }
  }

  replay(bytes: Uint8Array, at: number): void {
    if (producerId(bytes, at) !== -1) this.states.replay(this.read(bytes, at))
  }

  appended(bytes: Uint8Array, at: number, nowMs: number): void {
    if (producerId(bytes, at) !== -1) this.states.appended(this.read(bytes, at), nowMs)
  }

  truncated(endOffset: number): boolean {
    return this.states.truncate(endOffset)
  }

  snapshot(): Uint8Array {
    return this.states.snapshot(crc32c)
  }

  private read(bytes: Uint8Array, at: number): typeof this.header {
    const { header } = this
    header.producerId = producerId(bytes, at)
    if (header.producerId === -1) return header
    header.producerEpoch = producerEpoch(bytes, at)
    header.baseSequence = baseSequence(bytes, at)
    header.lastOffsetDelta = lastOffsetDelta(bytes, at)
    header.transactional = isTransactional(bytes, at)
    header.control = isControl(bytes, at)
    header.baseOffset = baseOffset(bytes, at)
    header.maxTimestamp = maxTimestamp(bytes, at)
    header.coordinatorEpoch = header.control ? markedBy(bytes, at) : -1
    return header
  }
}

/** The coordinator epoch of a marker; -1 where there is none to be read. */
function markedBy(bytes: Uint8Array, at: number): number {
  if (wholeBatchBytes(bytes, at) <= 0) return -1
  try {
    return coordinatorEpoch(readControl(bytes, at).value)
  } catch (error) {
    if (error instanceof InvalidBatch) return -1
    throw error
  }
}

/** The producers of a log, whose directory was opened with them as observers. */
export function producersOf({ observer, topic, partition }: PartitionLog): ReplicaProducers {
  assert(observer instanceof ReplicaProducers, `nobody keeps the producers of ${topic}-${partition}`)
  return observer
}
