import type { ProducedBatch, ProducerView } from './batch.ts'
import { baseSequence } from './sequence.ts'

/** How many batches of a producer are remembered: clients have at most five on their way and rely on the number. */
export const WINDOW = 5

// A row's columns. Doubles, the last two of them rings of WINDOW:
export const ID = 0
export const LAST_TIMESTAMP = 1
export const LAST_WRITE_MS = 2
export const OPEN_FROM = 3
const OFFSETS = 4
const TIMESTAMPS = OFFSETS + WINDOW
const DOUBLES = TIMESTAMPS + WINDOW
// Integers, again with two rings:
export const EPOCH = 0
export const COORDINATOR_EPOCH = 1
const COUNT = 2
const NEWEST = 3
const SEQUENCES = 4
const DELTAS = SEQUENCES + WINDOW
const INTEGERS = DELTAS + WINDOW

const FIRST_CAPACITY = 2
/** A table of this many rows is not made smaller: those of a turn's batches come and go all the time. */
const KEPT_CAPACITY = 16
/** The epoch of a producer that nothing was appended of. */
export const NO_EPOCH = -1

/**
 * Producers in two typed arrays. Many of them write a few batches and are remembered for a day: as objects they would take several times the
 * memory, and V8 would look at each whenever it collects. Rows have no holes.
 */
export class ProducerRows {
  size = 0
  private doubles = new Float64Array(0)
  private integers = new Int32Array(0)

  /** Bytes of the arrays. */
  get bytes(): number {
    return this.doubles.byteLength + this.integers.byteLength
  }

  double(row: number, column: number): number {
    return this.doubles[row * DOUBLES + column] as number
  }

  setDouble(row: number, column: number, value: number): void {
    this.doubles[row * DOUBLES + column] = value
  }

  integer(row: number, column: number): number {
    return this.integers[row * INTEGERS + column] as number
  }

  setInteger(row: number, column: number, value: number): void {
    this.integers[row * INTEGERS + column] = value
  }

  /** Adds a producer that nothing was appended of, and returns its row. */
  addBlank(producerId: number): number {
    const row = this.grow()
    this.doubles.fill(-1, row * DOUBLES, (row + 1) * DOUBLES)
    this.integers.fill(-1, row * INTEGERS, (row + 1) * INTEGERS)
    this.setDouble(row, ID, producerId)
    this.setInteger(row, COUNT, 0)
    return row
  }

  addCopy(from: ProducerRows, row: number): number {
    const to = this.grow()
    this.copy(to, from, row)
    return to
  }

  copy(to: number, from: ProducerRows, row: number): void {
    for (let i = 0; i < DOUBLES; i++) this.doubles[to * DOUBLES + i] = from.doubles[row * DOUBLES + i] as number
    for (let i = 0; i < INTEGERS; i++) this.integers[to * INTEGERS + i] = from.integers[row * INTEGERS + i] as number
  }

  /** Forgets the rows from `size` on, and gives memory back when little of it is used. */
  shrink(size: number): void {
    this.size = size
    const capacity = this.doubles.length / DOUBLES
    if (size * 4 < capacity && capacity > KEPT_CAPACITY) this.resize(Math.max(KEPT_CAPACITY, size * 2))
  }

  /** Another epoch than before forgets the window. */
  enterEpoch(row: number, epoch: number): void {
    if (this.integer(row, EPOCH) === epoch) return
    this.setInteger(row, EPOCH, epoch)
    this.setInteger(row, COUNT, 0)
  }

  /** Adds a batch to the window, in place of the oldest when it is full. */
  push(row: number, lastSequence: number, delta: number, lastOffset: number, timestampMs: number): void {
    const count = this.count(row)
    const slot = count === 0 ? 0 : (this.integer(row, NEWEST) + 1) % WINDOW
    this.setInteger(row, NEWEST, slot)
    if (count < WINDOW) this.setInteger(row, COUNT, count + 1)
    this.setInteger(row, SEQUENCES + slot, lastSequence)
    this.setInteger(row, DELTAS + slot, delta)
    this.setDouble(row, OFFSETS + slot, lastOffset)
    this.setDouble(row, TIMESTAMPS + slot, timestampMs)
  }

  /** Batches in the window. */
  count(row: number): number {
    return this.integer(row, COUNT)
  }

  /** The slot of the batch that is `age` batches older than the newest. */
  slot(row: number, age: number): number {
    return (this.integer(row, NEWEST) - age + WINDOW) % WINDOW
  }

  /** The slot of the batch with exactly these sequence numbers, or -1. */
  find(row: number, lastSequence: number, delta: number): number {
    const count = this.count(row)
    for (let age = 0; age < count; age++) {
      const slot = this.slot(row, age)
      if (this.sequenceAt(row, slot) === lastSequence && this.deltaAt(row, slot) === delta) return slot
    }
    return -1
  }

  /** The last sequence number of this epoch; -1 when there is none. */
  lastSequence(row: number): number {
    return this.count(row) === 0 ? -1 : this.sequenceAt(row, this.integer(row, NEWEST))
  }

  sequenceAt(row: number, slot: number): number {
    return this.integer(row, SEQUENCES + slot)
  }

  deltaAt(row: number, slot: number): number {
    return this.integer(row, DELTAS + slot)
  }

  offsetAt(row: number, slot: number): number {
    return this.double(row, OFFSETS + slot)
  }

  timestampAt(row: number, slot: number): number {
    return this.double(row, TIMESTAMPS + slot)
  }

  view(row: number): ProducerView {
    const batches: ProducedBatch[] = []
    for (let age = this.count(row) - 1; age >= 0; age--) batches.push(this.batchView(row, this.slot(row, age)))
    return {
      producerId: this.double(row, ID),
      producerEpoch: this.integer(row, EPOCH),
      lastSequence: this.lastSequence(row),
      lastTimestamp: this.double(row, LAST_TIMESTAMP),
      coordinatorEpoch: this.integer(row, COORDINATOR_EPOCH),
      openFrom: this.double(row, OPEN_FROM),
      batches,
    }
  }

  private batchView(row: number, slot: number): ProducedBatch {
    const lastSequence = this.sequenceAt(row, slot)
    const delta = this.deltaAt(row, slot)
    const lastOffset = this.offsetAt(row, slot)
    return {
      baseSequence: baseSequence(lastSequence, delta),
      lastSequence,
      baseOffset: lastOffset - delta,
      lastOffset,
      timestampMs: this.timestampAt(row, slot),
    }
  }

  private grow(): number {
    const row = this.size++
    if (this.size * DOUBLES > this.doubles.length) this.resize(Math.max(FIRST_CAPACITY, row * 2))
    return row
  }

  private resize(capacity: number): void {
    this.doubles = resized(this.doubles, new Float64Array(capacity * DOUBLES))
    this.integers = resized(this.integers, new Int32Array(capacity * INTEGERS))
  }
}

function resized<A extends Float64Array | Int32Array>(from: A, to: A): A {
  to.set(from.length > to.length ? from.subarray(0, to.length) : from)
  return to
}
