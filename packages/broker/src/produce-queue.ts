import { assert, ErrorCode } from '@millrace/base'
import {
  baseSequence,
  lastOffsetDelta,
  nextOffset,
  producerEpoch,
  producerId,
  setBaseOffset,
  setLeaderEpoch,
  stampLogAppendTime,
} from '@millrace/records'
import type { Answers } from './answers.ts'
import type { AppendAnswer } from './seams.ts'

/** A batch that a client asked to append, until the end of this turn. */
interface Staged {
  readonly batch: Uint8Array
  readonly acks: 0 | 1 | -1
  readonly answer: AppendAnswer
  /** Who asked for the same batch again; null for nobody. */
  repeats: Repeat[] | null
}

interface Repeat {
  readonly acks: 0 | 1 | -1
  readonly answer: AppendAnswer
}

/** An appended batch whose producer waits for the watermark. */
export interface Waiter {
  readonly answer: AppendAnswer
  readonly baseOffset: number
  readonly endOffset: number
  readonly logAppendTimeMs: number
}

/** The batches of one write, offsets and epochs set, and where they end. */
export interface StampedBatches {
  readonly batches: readonly Uint8Array[]
  readonly baseOffset: number
  readonly endOffset: number
  readonly bytes: number
  /** One of them is answered as soon as it is written. */
  readonly atOnce: boolean
}

export interface BatchStamp {
  readonly baseOffset: number
  readonly leaderEpoch: number
  /** Wall time; -1 keeps the producers' own timestamps. */
  readonly logAppendTimeMs: number
}

const COMPACT_AFTER = 1024

/**
 * The produces of one partition: staged within a turn, then parked in offset order until the watermark passes them. All of them
 * belong to one leader epoch, because a change of leadership empties the queue.
 */
export class ProduceQueue {
  private readonly answers: Answers
  private staged: Staged[] = []
  private waiters: Waiter[] = []
  /** Waiters before this index are answered. */
  private head = 0

  constructor(answers: Answers) {
    this.answers = answers
  }

  get stagedCount(): number {
    return this.staged.length
  }

  get parkedCount(): number {
    return this.waiters.length - this.head
  }

  stage(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void {
    this.staged.push({ batch, acks, answer, repeats: null })
  }

  /** A batch that is staged already comes again: it is answered as that one. */
  repeat(batch: Uint8Array, acks: 0 | 1 | -1, answer: AppendAnswer): void {
    const first = this.staged.findLast((staged) => isSame(staged.batch, batch))
    assert(first !== undefined, `a batch of producer ${producerId(batch, 0)} that is staged is not there`)
    first.repeats ??= []
    first.repeats.push({ acks, answer })
  }

  /** Waits for the watermark with the others, for a batch that was appended earlier. */
  park(waiter: Waiter): void {
    const { waiters } = this
    let at = waiters.length
    while (at > this.head && (waiters[at - 1] as Waiter).endOffset > waiter.endOffset) at--
    waiters.splice(at, 0, waiter)
  }

  /** Sets offset and epoch of every staged batch in place, both outside of the CRC's range. */
  stamp(stamp: BatchStamp): StampedBatches {
    const batches: Uint8Array[] = []
    let next = stamp.baseOffset
    let bytes = 0
    let atOnce = false
    for (const { batch, acks, repeats } of this.staged) {
      setBaseOffset(batch, 0, next)
      setLeaderEpoch(batch, 0, stamp.leaderEpoch)
      if (stamp.logAppendTimeMs >= 0) stampLogAppendTime(batch, 0, stamp.logAppendTimeMs)
      next = nextOffset(batch, 0)
      bytes += batch.length
      atOnce ||= acks === 1 || (repeats !== null && repeats.some((again) => again.acks === 1))
      batches.push(batch)
    }
    return { batches, baseOffset: stamp.baseOffset, endOffset: next, bytes, atOnce }
  }

  /** The staged batches are written: acks 1 is answered, acks -1 waits for the watermark. */
  written(stamp: BatchStamp, logStart: number): void {
    const { logAppendTimeMs } = stamp
    let baseOffset = stamp.baseOffset
    for (const { batch, acks, answer, repeats } of this.staged) {
      const endOffset = nextOffset(batch, 0)
      this.settle(acks, { answer, baseOffset, endOffset, logAppendTimeMs }, logStart)
      for (const again of repeats ?? [])
        this.settle(again.acks, { answer: again.answer, baseOffset, endOffset, logAppendTimeMs }, logStart)
      baseOffset = endOffset
    }
    this.staged = []
  }

  private settle(acks: 0 | 1 | -1, waiter: Waiter, logStart: number): void {
    if (acks === -1) this.waiters.push(waiter)
    else if (acks === 1) this.answers.add({ ...waiter, error: ErrorCode.NONE, logStart })
  }

  /** Answers everything below the watermark; NOT_ENOUGH_REPLICAS_AFTER_APPEND while the ISR is below its minimum. */
  passed(highWatermark: number, enoughReplicas: boolean, logStart: number): void {
    const error = enoughReplicas ? ErrorCode.NONE : ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    for (let waiter = this.waiters[this.head]; waiter !== undefined; waiter = this.waiters[this.head]) {
      if (waiter.endOffset > highWatermark) break
      this.head++
      if (error === ErrorCode.NONE) this.answers.add({ ...waiter, error, logStart })
      else this.answers.fail(waiter.answer, error)
    }
    this.compact()
  }

  /** Nothing staged or parked will be appended or answered otherwise. */
  failAll(error: ErrorCode): void {
    this.failStaged(error)
    for (let at = this.head; at < this.waiters.length; at++)
      this.answers.fail((this.waiters[at] as Waiter).answer, error)
    this.waiters = []
    this.head = 0
  }

  failStaged(error: ErrorCode): void {
    const staged = this.staged
    this.staged = []
    for (const { answer, repeats } of staged) {
      this.answers.fail(answer, error)
      for (const again of repeats ?? []) this.answers.fail(again.answer, error)
    }
  }

  private compact(): void {
    if (this.head === this.waiters.length) {
      this.waiters.length = 0
      this.head = 0
    } else if (this.head >= COMPACT_AFTER && this.head * 2 >= this.waiters.length) {
      this.waiters = this.waiters.slice(this.head)
      this.head = 0
    }
  }
}

/** Whether two batches have the same numbers of the same producer. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return (
    producerId(one, 0) === producerId(other, 0) &&
    producerEpoch(one, 0) === producerEpoch(other, 0) &&
    baseSequence(one, 0) === baseSequence(other, 0) &&
    lastOffsetDelta(one, 0) === lastOffsetDelta(other, 0)
  )
}
