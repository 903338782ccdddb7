import type { ProducerNumbers } from '../seams.ts'
import type { PartitionView } from './cluster-view.ts'
import type { Batch } from './produce-request.ts'

/** A numbered batch that is not settled. */
export interface NumberedBatch extends Batch {
  readonly lane: Lane
  /** It is not tried after this time. */
  readonly untilUs: number
  /** It was sent before. */
  repeated: boolean
  /** It is to be sent again. */
  waiting: boolean
  /** How many batches were added before it. */
  readonly place: number
  /** In how many requests it went that may have appended it. */
  perhaps: number
  /** When it was sent last, all before it were acknowledged. */
  inLine: boolean
  /** How often in a row it was refused as out of order although it was in line, and since when. */
  outOfLine: number
  outOfLineSinceUs: number
}

/** What an idempotent producer has on its way to one partition. */
export class Lane {
  readonly view: PartitionView
  /** In the order of their numbers. */
  readonly queue: NumberedBatch[] = []
  /** A batch was given up: nothing is added until all are settled and other numbers begin. */
  broken = false
  /** The partition has a batch of this producer id. One that has none takes any number for the first. */
  known = false
  private producerId = -1
  private epoch = -1
  private nextSequence = 0
  private added = 0

  constructor(view: PartitionView) {
    this.view = view
  }

  /**
   * Whether one more may be on its way. Counted from the oldest that is not settled: brokers know the last five batches of a producer, and later ones may be
   * settled first, by another leader.
   */
  mayTake(most: number): boolean {
    if (this.broken || this.queue.some(({ waiting }) => waiting)) return false
    const oldest = this.queue[0]?.place ?? this.added
    return this.added - oldest < (this.known ? most : 1)
  }

  /** The numbers of the next batch: under another id or epoch they begin anew, once everything before is settled. */
  number(records: number, { producerId, epoch }: Pick<ProducerNumbers, 'producerId' | 'epoch'>): ProducerNumbers {
    if (this.queue.length === 0 && (producerId !== this.producerId || epoch !== this.epoch)) {
      if (producerId !== this.producerId) this.known = false
      this.producerId = producerId
      this.epoch = epoch
      this.nextSequence = 0
    }
    const sequence = this.nextSequence
    this.nextSequence += records
    return { producerId: this.producerId, epoch: this.epoch, sequence }
  }

  add(batch: Batch, untilUs: number): NumberedBatch {
    const numbered = {
      ...batch,
      lane: this,
      untilUs,
      repeated: false,
      waiting: false,
      place: this.added++,
      perhaps: 0,
      inLine: false,
      outOfLine: 0,
      outOfLineSinceUs: 0,
    }
    this.queue.push(numbered)
    return numbered
  }

  isNext(batch: NumberedBatch): boolean {
    return this.queue[0] === batch && !this.broken
  }

  remove(batch: NumberedBatch): void {
    this.queue.splice(this.queue.indexOf(batch), 1)
    if (this.queue.length === 0) this.broken = false
  }
}
