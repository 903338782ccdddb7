import type { Life, Schedule } from '../seams.ts'
import type { Link } from './link.ts'
import { endParcel, NOTHING, split } from './parcel.ts'
import type { Farewell, Parcel } from './parcel.ts'
import type { Slab } from './slab.ts'

/** What may be on its way before the sender has to keep the rest: the buffers of two kernels. */
const WINDOW_BYTES = 256 * 1024
/** The most that a socket gives at once. */
const CHUNK_BYTES = 64 * 1024
/** One in so many chunks is cut, and so many are joined with the next. */
const ONE_IN_IS_CUT = 8
const ONE_IN_IS_JOINED = 2
/** How long the other part of a cut chunk may take. */
const CUT_US = 300
/** One in so many sends finds the kernel busy: the sender's memory is read after it returned. */
const ONE_IN_WAITS = 8
const WAIT_US = 100

/** A socket, as its pipes see it. */
export interface PipeEnd {
  readonly life: Life
  /** Something may be handed over now. */
  readonly ready: boolean
  take(bytes: Uint8Array): void
  told(farewell: Farewell): void
  /** Some of what was queued has gone. */
  sent(): void
}

/** What a pipe runs on. */
export interface PipeParts {
  readonly schedule: Schedule
  readonly link: Link
  /** The way of acknowledgements. */
  readonly back: Link
  readonly lane: string
  /** Where the receiver's memory comes from. */
  readonly slab: Slab
  /** Bytes without boundaries; else what was sent as one is received as one. */
  readonly chunked: boolean
  /** A message was lost for good. */
  readonly lost: () => void
  /** Something was sent to where nobody is any more. */
  readonly unheard: () => void
}

/** One direction of a stream: in order, with a window, delayed, and held while its link is cut. */
export class Pipe {
  /** What the sending process keeps until there is room in the window. */
  queuedBytes = 0
  from: PipeEnd | null = null
  /** The receiver, once there is one. */
  to: PipeEnd | null = null
  private readonly parts: PipeParts
  private queue: Parcel[] = []
  /** What the sender's kernel has taken and the receiving process has not. Every one has an event at its time, unless the receiver was not ready then. */
  private way: Parcel[] = []
  private unackedBytes = 0
  /** What was received and could not be acknowledged. */
  private owedBytes = 0
  private lastUs = 0
  private open = false
  /** Nobody takes anything at the other end any more. */
  private deaf = false
  private pumping = false

  constructor(parts: PipeParts) {
    this.parts = parts
  }

  /** Something was sent that the sender has no acknowledgement of. */
  get isWaiting(): boolean {
    return this.unackedBytes > 0
  }

  /** The other end is there: what is queued goes. */
  connect(): void {
    this.open = true
    this.flush()
  }

  /** The parts are read now or later, until `written`, which runs in an event of the sender. */
  send(parts: readonly Uint8Array[], written?: () => void): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    this.queue.push({ parts, bytes: NOTHING, length, written, farewell: null, atUs: 0 })
    this.queuedBytes += length
    if (this.from !== null && this.parts.link.random.below(ONE_IN_WAITS) === 0)
      this.pumpIn(1 + this.parts.link.random.below(WAIT_US))
    if (!this.pumping) this.flush()
  }

  /** Behind what is queued. */
  sayFarewell(farewell: Farewell): void {
    this.queue.push(endParcel(farewell))
    if (!this.pumping) this.flush()
  }

  /** The sending process lets go of its socket: what is queued is lost, what its kernel has taken is sent, then its end. */
  hangUp(farewell: Farewell): void {
    this.silence()
    this.putOnWay(endParcel(farewell), this.parts.link.delayUs())
  }

  /** The same where something is queued still. */
  giveUp(farewell: Farewell): void {
    if (this.queue.length > 0) this.hangUp(farewell)
  }

  /** Nothing is sent any more; what is on its way arrives. */
  silence(): void {
    for (const parcel of this.queue.splice(0)) this.wrote(parcel)
    this.queuedBytes = 0
    this.open = false
  }

  /** The stream broke: of what is on its way a first part may arrive. */
  snap(farewell: Farewell, survivesPercent: number): void {
    const { random } = this.parts.link
    const kept = this.way.findIndex(() => random.below(100) >= survivesPercent)
    if (kept >= 0) this.way.length = kept
    this.hangUp(farewell)
  }

  /** The receiving socket is gone. */
  discard(): void {
    this.deaf = true
    this.way = []
  }

  /** The receiver is ready again, or the link is: all that was due comes now. */
  release(delayUs: number): void {
    const atUs = this.parts.schedule.nowUs + delayUs
    for (const parcel of this.way) {
      if (parcel.atUs > atUs) break
      parcel.atUs = atUs
      this.post(delayUs)
    }
    this.lastUs = Math.max(this.lastUs, atUs)
  }

  /** Acknowledgements pass again. */
  acknowledge(): void {
    const owed = this.owedBytes
    this.owedBytes = 0
    this.ack(owed)
  }

  private flush(): void {
    while (this.open && this.queue.length > 0 && this.unackedBytes < WINDOW_BYTES) this.depart(this.next())
  }

  /** A kernel takes a part of what is large: the rest may never come. */
  private next(): Parcel {
    const first = this.queue.shift() as Parcel
    if (!this.parts.chunked || first.length <= CHUNK_BYTES) return first
    const [head, rest] = split(first.parts, CHUNK_BYTES)
    this.queue.unshift({ ...first, parts: rest, length: first.length - CHUNK_BYTES })
    return { ...first, parts: head, length: CHUNK_BYTES, written: undefined }
  }

  private depart(parcel: Parcel): void {
    const { length } = parcel
    this.queuedBytes -= length
    this.unackedBytes += length
    parcel.bytes = this.parts.slab.copy(parcel.parts, length)
    parcel.parts = []
    this.parts.schedule.note('sent', parcel.bytes)
    this.wrote(parcel)
    const delayUs = this.parts.link.fateUs(length)
    if (delayUs === null) this.parts.lost()
    else this.putOnWay(parcel, delayUs)
  }

  private wrote({ written }: Parcel): void {
    if (written !== undefined && this.from !== null)
      this.parts.schedule.post(1, this.from.life, written, this.parts.lane)
  }

  private putOnWay(parcel: Parcel, delayUs: number): void {
    if (this.deaf) return this.parts.unheard()
    const { nowUs } = this.parts.schedule
    parcel.atUs = Math.max(this.lastUs, nowUs + delayUs)
    this.lastUs = parcel.atUs
    this.way.push(parcel)
    this.post(parcel.atUs - nowUs)
  }

  private post(delayUs: number): void {
    if (this.to !== null) this.parts.schedule.post(delayUs, this.to.life, this.arrive, this.parts.lane)
  }

  private readonly arrive = (): void => {
    const [parcel] = this.way
    const { to } = this
    if (parcel === undefined || to === null || parcel.atUs > this.parts.schedule.nowUs) return
    if (this.parts.link.holds || !to.ready) return
    if (parcel.farewell !== null) {
      this.way.shift()
      return to.told(parcel.farewell)
    }
    const bytes = this.parts.chunked ? this.takeChunk(parcel) : this.takeWhole(parcel)
    this.ack(bytes.length)
    to.take(bytes)
  }

  private takeWhole(parcel: Parcel): Uint8Array {
    this.way.shift()
    return parcel.bytes
  }

  /** A part of what is there, or some of it together. */
  private takeChunk(parcel: Parcel): Uint8Array {
    const { random } = this.parts.link
    this.join(parcel)
    const { bytes } = parcel
    const cut = bytes.length > 1 && random.below(ONE_IN_IS_CUT) === 0 ? this.cutAt(bytes.length) : bytes.length
    const size = Math.min(cut, CHUNK_BYTES)
    if (size === bytes.length) return this.takeWhole(parcel)
    parcel.bytes = bytes.subarray(size)
    this.post(random.below(CUT_US))
    return bytes.subarray(0, size)
  }

  /** Anywhere, and often within the first bytes, where sizes are. */
  private cutAt(length: number): number {
    const { random } = this.parts.link
    return 1 + random.below(random.below(2) === 0 ? Math.min(8, length - 1) : length - 1)
  }

  /** Puts what is there behind a parcel into it. */
  private join(parcel: Parcel): void {
    const { schedule, link, slab } = this.parts
    while (parcel.bytes.length > 0) {
      const next = this.way[1]
      if (next === undefined || next.farewell !== null || next.atUs > schedule.nowUs) return
      if (parcel.bytes.length + next.bytes.length > CHUNK_BYTES || link.random.below(ONE_IN_IS_JOINED) !== 0) return
      this.way.splice(1, 1)
      parcel.bytes = slab.copy([parcel.bytes, next.bytes], parcel.bytes.length + next.bytes.length)
    }
  }

  private ack(bytes: number): void {
    const { back } = this.parts
    if (back.holds) {
      this.owedBytes += bytes
      return
    }
    this.unackedBytes -= bytes
    if (this.queue.length > 0 && this.unackedBytes < WINDOW_BYTES) this.pumpIn(back.delayUs())
  }

  private pumpIn(delayUs: number): void {
    if (this.pumping || this.from === null) return
    this.pumping = true
    this.parts.schedule.post(delayUs, this.from.life, this.pump)
  }

  private readonly pump = (): void => {
    this.pumping = false
    this.flush()
    this.from?.sent()
  }
}
