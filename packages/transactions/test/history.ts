import { ErrorCode } from '@millrace/base'
import type {
  AppendedBatch,
  BatchOrigin,
  ProducedBatch,
  ProducerBatch,
  ProducerVerdict,
  ProducerView,
} from '../src/index.ts'

const SEQUENCES = 2 ** 31

type Judged = {
  readonly outcome: string
  readonly error?: number
  readonly baseOffset?: number
  readonly timestampMs?: number
}

/** A producer's last sequence number, by counting. */
function lastOf({ baseSequence, lastOffsetDelta }: ProducerBatch): number {
  return baseSequence === -1 ? -1 : (baseSequence + lastOffsetDelta) % SEQUENCES
}

/**
 * The model: it keeps every batch of the log, and answers every question by reading all of them again. Its rules are written down from the
 * protocol's description, one after another.
 */
export class History {
  log: AppendedBatch[] = []
  /** Accepted and not appended. */
  staged: ProducerBatch[] = []
  /** Producers that expired, by the length of the log when they did. */
  private readonly forgotten = new Map<number, number>()

  check(asked: ProducerBatch, origin: BatchOrigin): Judged {
    if (asked.producerId === -1) return { outcome: 'accepted' }
    const judged = this.judge(asked, origin)
    if (judged.outcome === 'accepted') this.staged.push(asked)
    return judged
  }

  forget(producerId: number): void {
    this.forgotten.set(producerId, this.log.length)
  }

  truncate(endOffset: number): void {
    this.staged = []
    this.log = this.log.filter(({ baseOffset, lastOffsetDelta }) => baseOffset + lastOffsetDelta < endOffset)
  }

  views(): ProducerView[] {
    const ids = new Set(this.log.map(({ producerId }) => producerId))
    return [...ids]
      .filter((id) => id >= 0)
      .flatMap((id) => this.view(id) ?? [])
      .toSorted((a, b) => a.producerId - b.producerId)
  }

  view(producerId: number): ProducerView | null {
    const all = this.of(producerId)
    const last = all.at(-1)
    if (last === undefined) return null
    const batches = windowOf(all).map(toView)
    return {
      producerId,
      producerEpoch: last.producerEpoch,
      lastSequence: batches.at(-1)?.lastSequence ?? -1,
      lastTimestamp: last.maxTimestamp,
      coordinatorEpoch: all.findLast(({ control }) => control)?.coordinatorEpoch ?? -1,
      openFrom:
        all.slice(all.findLastIndex(({ control }) => control) + 1).find((one) => one.transactional)?.baseOffset ?? -1,
      batches,
    }
  }

  private of(producerId: number): AppendedBatch[] {
    return this.log.slice(this.forgotten.get(producerId) ?? 0).filter((one) => one.producerId === producerId)
  }

  /** As if what is staged were in the log. */
  private judge(asked: ProducerBatch, origin: BatchOrigin): Judged {
    const unwritten = this.staged
      .filter(({ producerId }) => producerId === asked.producerId)
      .map((one) => ({ ...one, baseOffset: -1, maxTimestamp: -1, coordinatorEpoch: -1 }))
    const all = [...this.of(asked.producerId), ...unwritten]
    const last = all.at(-1)
    if (last === undefined) return { outcome: 'accepted' }
    const numbered = origin === 'client' && !asked.control
    if (numbered && asked.producerEpoch === last.producerEpoch) {
      const same = windowOf(all).find((one) => one.baseSequence === asked.baseSequence && lastOf(one) === lastOf(asked))
      if (same?.baseOffset === -1) return { outcome: 'staged' }
      if (same !== undefined)
        return { outcome: 'duplicate', baseOffset: same.baseOffset, timestampMs: same.maxTimestamp }
    }
    if (asked.producerEpoch < last.producerEpoch) return { outcome: 'refused', error: ErrorCode.INVALID_PRODUCER_EPOCH }
    if (numbered && asked.baseSequence !== this.next(all, asked))
      return { outcome: 'refused', error: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER }
    const open = all.slice(all.findLastIndex(({ control }) => control) + 1).some((one) => one.transactional)
    if (open && !asked.transactional && !asked.control)
      return { outcome: 'refused', error: ErrorCode.INVALID_TXN_STATE }
    return { outcome: 'accepted' }
  }

  private next(all: readonly AppendedBatch[], asked: ProducerBatch): number {
    if (asked.producerEpoch !== all.at(-1)?.producerEpoch) return 0
    const last = windowOf(all).at(-1)
    return last === undefined ? 0 : (lastOf(last) + 1) % SEQUENCES
  }
}

/** The last five batches of data since the epoch began. */
function windowOf(all: readonly AppendedBatch[]): readonly AppendedBatch[] {
  const epoch = all.at(-1)?.producerEpoch
  const began = all.findLastIndex(({ producerEpoch }) => producerEpoch !== epoch) + 1
  return all
    .slice(began)
    .filter(({ control }) => !control)
    .slice(-5)
}

function toView(one: AppendedBatch): ProducedBatch {
  const { baseSequence, baseOffset, lastOffsetDelta, maxTimestamp } = one
  return {
    baseSequence,
    lastSequence: lastOf(one),
    baseOffset,
    lastOffset: baseOffset + lastOffsetDelta,
    timestampMs: maxTimestamp,
  }
}

/** What of a verdict the model knows. */
export function judged(verdict: ProducerVerdict): Judged {
  switch (verdict.outcome) {
    case 'refused':
      return { outcome: 'refused', error: verdict.error }
    case 'duplicate':
      return { outcome: 'duplicate', baseOffset: verdict.baseOffset, timestampMs: verdict.timestampMs }
    default:
      return { outcome: verdict.outcome }
  }
}
