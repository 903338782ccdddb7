import assert from 'node:assert/strict'
import { BrokenInvariant } from '@millrace/base'
import type {
  Address,
  ByteHandler,
  ByteStream,
  ByteStreams,
  Clock,
  Compute,
  Done,
  Listener,
  Timer,
  Timers,
  World,
} from '@millrace/base'
import { MemoryLogger, SeededRandom } from '@millrace/host'
import { inflate } from '@millrace/records'

/** Time that moves only when a test says so, and turns that end only then. */
export class VirtualTime implements Clock, Timers {
  private nowUs = 0
  private wallStartMs = 1_700_000_000_000
  private ends: (() => void)[] = []
  private readonly due: { atUs: number; run: () => void }[] = []

  monotonicUs(): number {
    return this.nowUs
  }

  wallMs(): number {
    return this.wallStartMs + Math.floor(this.nowUs / 1000)
  }

  after(delayUs: number, run: () => void): Timer {
    const entry = { atUs: this.nowUs + delayUs, run }
    this.due.push(entry)
    return { cancel: () => this.remove(entry) }
  }

  endOfTurn(run: () => void): void {
    this.ends.push(run)
  }

  /** Ends the turn, and those that its ends begin. */
  turn(): void {
    for (let round = 0; this.ends.length > 0; round++) {
      if (round > 10_000) throw new Error('the turn does not end')
      const batch = this.ends
      this.ends = []
      for (const run of batch) run()
    }
  }

  /** Runs everything that is due within the time, in its order. */
  advance(ms: number): void {
    const until = this.nowUs + ms * 1000
    for (;;) {
      this.turn()
      const next = this.due.filter(({ atUs }) => atUs <= until).sort((a, b) => a.atUs - b.atUs)[0]
      if (next === undefined) break
      this.remove(next)
      this.nowUs = Math.max(this.nowUs, next.atUs)
      next.run()
    }
    this.nowUs = until
  }

  /** Time in which nothing runs, as for a process that stands still. */
  skip(ms: number): void {
    this.nowUs += ms * 1000
  }

  /** Somebody sets the wall clock. */
  jumpWall(ms: number): void {
    this.wallStartMs += ms
  }

  /** Runs the one timer that is due first. */
  step(): void {
    this.turn()
    const next = [...this.due].sort((a, b) => a.atUs - b.atUs)[0]
    if (next === undefined) return
    this.remove(next)
    this.nowUs = Math.max(this.nowUs, next.atUs)
    next.run()
    this.turn()
  }

  get pendingTimers(): number {
    return this.due.length
  }

  private remove(entry: { atUs: number; run: () => void }): void {
    const at = this.due.indexOf(entry)
    if (at >= 0) this.due.splice(at, 1)
  }
}

/** The client's end of a connection in memory. What the server writes is kept, unless the client stalls. */
export class ClientEnd {
  readonly written: Uint8Array[] = []
  writes = 0
  closedByServer = false
  paused = false
  /** While true, the server is told that its buffer is full. */
  stalled = false
  handler: ByteHandler | null = null
  private held: Uint8Array[] = []
  /** Written, and not with the kernel: the parts, what they were, and who waits. */
  private leaving: { parts: readonly Uint8Array[]; copies: Uint8Array[]; written: (() => void) | undefined }[] = []
  private readonly time: VirtualTime

  constructor(time: VirtualTime) {
    this.time = time
  }

  readonly stream: ByteStream = {
    remote: 'test:1',
    write: (parts, written) => {
      this.writes++
      const copies = parts.map((part) => Uint8Array.from(part))
      this.written.push(...copies)
      this.leaving.push({ parts, copies, written })
      if (!this.stalled) this.time.endOfTurn(() => this.leave())
      return !this.stalled
    },
    pause: () => {
      this.paused = true
    },
    resume: () => {
      this.paused = false
    },
    close: () => {
      this.closedByServer = true
    },
  }

  /** Sends bytes as one chunk; while the server has paused they wait. */
  send(...chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.held.push(chunk)
    this.deliver()
  }

  /** Gives the server what it has room for. */
  deliver(): void {
    while (!this.paused && !this.closedByServer && this.held.length > 0)
      this.handler?.data(this.held.shift() as Uint8Array)
  }

  get undelivered(): number {
    return this.held.length
  }

  drain(): void {
    this.stalled = false
    this.leave()
    this.handler?.drained()
  }

  hangUp(): void {
    this.handler?.closed('the other side closed the connection')
    this.leave()
  }

  /** The kernel takes what was written, which must still be what it was. */
  private leave(): void {
    for (const { parts, copies, written } of this.leaving.splice(0)) {
      for (const [at, copy] of copies.entries())
        assert.ok(Buffer.compare(copy, parts[at] as Uint8Array) === 0, 'what was written changed before it left')
      written?.()
    }
  }

  get receivedBytes(): number {
    return this.written.reduce((sum, { length }) => sum + length, 0)
  }

  /** Takes the whole frames received so far, without their lengths. */
  takeFrames(): Uint8Array[] {
    const all = Buffer.concat(this.written)
    this.written.length = 0
    const frames: Uint8Array[] = []
    let at = 0
    while (at + 4 <= all.length && at + 4 + all.readInt32BE(at) <= all.length) {
      const end = at + 4 + all.readInt32BE(at)
      frames.push(all.subarray(at + 4, end))
      at = end
    }
    if (at < all.length) this.written.push(all.subarray(at))
    return frames
  }
}

/** Streams without sockets. */
export class VirtualStreams implements ByteStreams {
  private accept: ((stream: ByteStream) => ByteHandler) | null = null
  private readonly time: VirtualTime

  constructor(time: VirtualTime) {
    this.time = time
  }

  listen(at: Address, accept: (stream: ByteStream) => ByteHandler, done: Done<Listener>): void {
    this.accept = accept
    const listener: Listener = { address: at, close: (closed) => this.time.endOfTurn(() => closed(null, undefined)) }
    this.time.endOfTurn(() => done(null, listener))
  }

  connect(): ByteStream {
    throw new Error('nothing connects in these tests')
  }

  open(): ClientEnd {
    const end = new ClientEnd(this.time)
    if (this.accept === null) throw new Error('nobody listens')
    end.handler = this.accept(end.stream)
    end.handler.opened()
    return end
  }
}

export interface VirtualWorld extends World {
  readonly time: VirtualTime
  readonly streams: VirtualStreams
  readonly log: MemoryLogger
}

export function virtualWorld(): VirtualWorld {
  const time = new VirtualTime()
  const unused = (): never => {
    throw new Error('not part of these tests')
  }
  return {
    time,
    clock: time,
    timers: time,
    random: new SeededRandom('kafka listener'),
    streams: new VirtualStreams(time),
    log: new MemoryLogger(),
    compute: laterCompute(time),
    disk: new Proxy({}, { get: unused }) as World['disk'],
    peers: new Proxy({}, { get: unused }) as World['peers'],
    raftStore: new Proxy({}, { get: unused }) as World['raftStore'],
    fatal: (code, cause) => {
      throw new BrokenInvariant(`${code}: ${String(cause)}`)
    },
  }
}

/** Inflates at once and tells 1 ms later, so that what follows has its chance to overtake. */
function laterCompute(time: VirtualTime): Compute {
  return {
    inflate(codec, bytes, limit, done) {
      time.after(1000, () => {
        let inflated: Uint8Array
        try {
          inflated = inflate(codec, bytes, limit)
        } catch (error) {
          done(error as never, new Uint8Array(0))
          return
        }
        done(null, inflated)
      })
    },
  }
}
