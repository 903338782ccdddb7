import { type Accepted, ProducerBatch } from './producer-batch.ts'
import type { Numbering } from './producer-identity.ts'

export interface BatchRules {
  readonly lingerMs: number
  readonly batchBytes: number
  readonly maxBatchBytes: number
}

/** Records that come later than this go to another batch, so that a batch that expires takes no young records with it. */
const MAX_BATCH_AGE_MS = 1_000
const FIRST_CAPACITY_BYTES = 4_096

/** Batches of one partition in the order of `send`. At most one is on its way, so that retries never reorder. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  inFlight = false
  /** No try before this time, in milliseconds of `performance.now()`. */
  notBefore = 0
  /** How often in a row there was no leader to send to. */
  leaderless = 0
  /** The leader at the last try; -1 for none. */
  lastLeader = -1
  /** Since when the topic has no such partition; null while it has. */
  goneSince: number | null = null
  /** Null without idempotence. */
  readonly numbering: Numbering | null
  private readonly rules: BatchRules
  private batches: ProducerBatch[] = []
  private capacity = FIRST_CAPACITY_BYTES
  /** Falls when the broker finds a batch too large. */
  private limit: number

  // oxlint-disable-next-line max-params -- a constructor that one place calls.
  constructor(topic: string, partition: number, rules: BatchRules, numbering: Numbering | null) {
    this.topic = topic
    this.numbering = numbering
    this.partition = partition
    this.rules = rules
    this.limit = rules.maxBatchBytes
  }

  get empty(): boolean {
    return this.batches.length === 0
  }

  get head(): ProducerBatch | null {
    return this.batches[0] ?? null
  }

  /** Whether there is a batch that records can be added to. */
  get gathers(): boolean {
    return this.batches.at(-1)?.sealed === false
  }

  /** Whether a batch of the wanted size waits: the time to fill another partition. */
  get full(): boolean {
    const { head } = this
    return head !== null && (this.batches.length > 1 || head.size >= Math.min(this.rules.batchBytes, this.limit))
  }

  /** The batch that takes the next record; a new one is empty. */
  open(record: Accepted, now: number): ProducerBatch {
    const last = this.batches.at(-1)
    const size = contentBytes(record)
    if (last !== undefined && !last.sealed && last.failures === 0) {
      const young = now - last.openedAt <= this.rules.lingerMs + MAX_BATCH_AGE_MS
      if (young && last.size + size <= this.limit) return last
    }
    const batch = new ProducerBatch(record, now, Math.max(this.capacity, Math.min(size + 128, this.limit)))
    this.batches.push(batch)
    return batch
  }

  /** When the next batch may leave, in milliseconds of `performance.now()`; `Infinity` while nothing waits or one is on its way. */
  dueAt(flushedEpoch: number): number {
    const { head } = this
    if (this.inFlight || head === null) return Number.POSITIVE_INFINITY
    const at = this.full || head.failures > 0 || head.epoch <= flushedEpoch ? 0 : head.openedAt + this.rules.lingerMs
    return Math.max(this.notBefore, at)
  }

  /** Takes the batch to send now. The queue must not be empty. */
  take(): ProducerBatch {
    const batch = this.batches.shift() as ProducerBatch
    this.capacity = Math.min(Math.max(batch.size, FIRST_CAPACITY_BYTES), this.rules.maxBatchBytes)
    return batch
  }

  /** Puts batches in front of everything else. */
  putBack(batches: readonly ProducerBatch[]): void {
    this.batches.unshift(...batches)
  }

  /** The broker refused a batch of this size: later ones stay below half of it. */
  shrink(refusedBytes: number): void {
    this.limit = Math.max(1, Math.min(this.limit, Math.ceil(refusedBytes / 2)))
  }

  /** Takes out the batches whose time is over. */
  expired(now: number): readonly ProducerBatch[] {
    if ((this.head?.deadline ?? Number.POSITIVE_INFINITY) > now) return []
    const gone = this.batches.filter(({ deadline }) => deadline <= now)
    this.batches = this.batches.filter(({ deadline }) => deadline > now)
    return gone
  }

  /** Takes out everything. */
  clear(): readonly ProducerBatch[] {
    return this.batches.splice(0)
  }
}

/** What a record takes at least: an estimate that is too small by a few bytes only shifts where a batch ends. */
function contentBytes({ record: { key, value } }: Accepted): number {
  return 16 + (key?.length ?? 0) + (value?.length ?? 0)
}
