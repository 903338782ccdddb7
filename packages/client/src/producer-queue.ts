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

/** Brokers recognise so many batches of an idempotent producer. */
const MOST_FLYING = 5

/** A batch that did not get through, in the order in which such batches left. */
export interface Returned<Outcome> {
  readonly batch: ProducerBatch
  readonly outcome: Outcome
}

/**
 * Batches of one partition in the order of `send`. Where they are numbered several may be on their way, because the broker refuses what comes out of
 * order; else one, so that retries never reorder. Where one does not get through nothing leaves before all that are on their way have come
 * back; then those go again one after the other, as they are.
 */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
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
  /** Those on their way, in the order in which they left. */
  private flying: ProducerBatch[] = []
  /** How many had left before each of them. */
  private readonly places = new Map<ProducerBatch, number>()
  private departures = 0
  private readonly returned = new Map<ProducerBatch, unknown>()
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

  /** Nothing may leave now, whatever waits. */
  get busy(): boolean {
    const { flying, numbering, head } = this
    if (flying.length === 0) return this.returned.size > 0
    if (numbering === null || !numbering.known || this.returned.size > 0) return true
    // Counted from the oldest: behind five later ones the broker would not know it again.
    if (this.departures - (this.places.get(flying[0] as ProducerBatch) as number) >= MOST_FLYING) return true
    // A batch that is repeated goes alone: what would follow it may be in vain.
    return head === null || head.failures > 0 || (flying.at(-1) as ProducerBatch).failures > 0
  }

  /** Some are on their way. */
  get flies(): boolean {
    return this.flying.length > 0
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

  /** When the next batch may leave, in milliseconds of `performance.now()`; `Infinity` while nothing waits or may leave. */
  dueAt(flushedEpoch: number): number {
    const { head } = this
    if (this.busy || head === null) return Number.POSITIVE_INFINITY
    const hurries = this.full || head.failures > 0 || head.epoch <= flushedEpoch
    // While others are on their way a batch grows, which costs less than to send a small one.
    if (!hurries && this.flying.length > 0) return Number.POSITIVE_INFINITY
    return Math.max(this.notBefore, hurries ? 0 : head.openedAt + this.rules.lingerMs)
  }

  /** Takes the batch to send now, which `landed` or `cameBack` ends. The queue must not be empty. */
  take(): ProducerBatch {
    const batch = this.batches.shift() as ProducerBatch
    this.flying.push(batch)
    this.places.set(batch, this.departures++)
    if (this.numbering?.known === true) batch.numbers ??= this.numbering.take(batch.count)
    this.capacity = Math.min(Math.max(batch.size, FIRST_CAPACITY_BYTES), this.rules.maxBatchBytes)
    return batch
  }

  /** A batch got through. */
  landed(batch: ProducerBatch): void {
    if (batch.numbers !== null) this.numbering?.confirm(batch.numbers)
    this.flying.splice(this.flying.indexOf(batch), 1)
    this.places.delete(batch)
  }

  /** A batch did not get through. */
  cameBack(batch: ProducerBatch, outcome: unknown): void {
    this.returned.set(batch, outcome)
  }

  /** Those that did not get through, once all that were on their way have come back; null until then, and where there are none. */
  takeReturned<Outcome>(): readonly Returned<Outcome>[] | null {
    if (this.returned.size === 0 || this.returned.size < this.flying.length) return null
    const all = this.flying.map((batch) => ({ batch, outcome: this.returned.get(batch) as Outcome }))
    this.flying = []
    this.places.clear()
    this.returned.clear()
    return all
  }

  /** A batch that waits has numbers: it left before. */
  get numbered(): boolean {
    return this.batches.some(({ numbers }) => numbers !== null)
  }

  /** The batches that wait and have numbers get others. */
  renumber(): void {
    for (const batch of this.batches) if (batch.numbers !== null) batch.renumber()
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
