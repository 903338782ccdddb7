import { BrokenInvariant } from '@millrace/base'
import type { ByteHandler, ByteStream, SteadyLog, World } from '@millrace/base'
import { Exchange } from './exchange.ts'
import type { FetchMemory } from './fetch-memory.ts'
import { FrameAssembler, FrameRefused } from './frames.ts'
import type { BudgetWaiter, MemoryBudget } from './memory-budget.ts'
import type { OutputBudget } from './output-budget.ts'

/** What one connection may ask of the broker at a time. Bytes and milliseconds. */
export interface ConnectionLimits {
  readonly maxRequestBytes: number
  /** Requests that are not answered yet; past it the socket is not read. */
  readonly maxPipelined: number
  /** Bytes of such requests; one request may be larger than this by itself. */
  readonly maxPipelinedBytes: number
  /** Answers that could not be written yet; past it no request is begun. */
  readonly maxUnwrittenBytes: number
  /** From a frame's first byte to the end of its header. */
  readonly headerDeadlineMs: number
  /** Below 0: never. */
  readonly idleMs: number
}

/** What the connections of a listener share. */
export interface ConnectionHost {
  readonly world: World
  readonly limits: ConnectionLimits
  readonly budget: MemoryBudget
  readonly log: SteadyLog
  /** Reads the header and begins to serve. Throws what is wrong with the frame. */
  accept(connection: Connection, frame: Uint8Array): void
  closed(connection: Connection): void
  readonly output: OutputBudget
}

/** What a connection may hold although the listener's memory is used up, so that those who ask little are served all the same. */
const FREE_BYTES = 32 * 1024
/** Of a frame and its length prefix: key, version and correlation id. */
const HEADER_BYTES = 12

/**
 * One client's connection: cuts frames, lets requests begin as they arrive and answers leave in the order of their requests, whatever order
 * they are ready in. It stops reading when the client does not take answers, when too much is under way, or when the listener's
 * memory is used up, so that what a client can make the broker hold is bounded.
 */
export class Connection implements ByteHandler, BudgetWaiter {
  readonly remote: string
  private readonly stream: ByteStream
  private readonly host: ConnectionHost
  private readonly frames: FrameAssembler
  /** Not yet written, in the order of arrival. */
  private readonly pending: Exchange[] = []
  private pendingBytes = 0
  private answeredBytes = 0
  /** Written, but not taken by the socket yet. */
  private blockedBytes = 0
  private chargedBytes = 0
  /** The socket's buffer is full. */
  private blocked = false
  private paused = false
  private flushing = false
  private over = false
  /** When a frame was last taken whole, or bytes left. */
  private activeUs: number
  private frameBeganUs = 0
  private fetching: Exchange | null = null
  private readonly laterFetches: (() => void)[] = []
  private checking = false
  private readonly laterProduces: (() => void)[] = []
  private readonly onEndOfTurn = (): void => this.flush()

  constructor(stream: ByteStream, host: ConnectionHost) {
    this.stream = stream
    this.host = host
    this.remote = stream.remote
    this.frames = new FrameAssembler(host.limits.maxRequestBytes)
    this.activeUs = host.world.clock.monotonicUs()
  }

  get isClosed(): boolean {
    return this.over
  }

  /** Memory held in requests, begun ones included. */
  get heldBytes(): number {
    return this.chargedBytes + this.pendingBytes
  }

  get hasPending(): boolean {
    return this.pending.length > 0
  }

  opened(): void {}

  data(chunk: Uint8Array): void {
    if (this.over) return
    if (!this.frames.midFrame) this.frameBeganUs = this.host.world.clock.monotonicUs()
    this.frames.push(chunk)
    this.work()
  }

  drained(): void {
    if (this.over) return
    this.blocked = false
    this.host.output.take(this.blockedBytes)
    this.blockedBytes = 0
    this.activeUs = this.host.world.clock.monotonicUs()
    this.nextFetch()
    this.flush()
  }

  closed(_why: string): void {
    this.end()
  }

  roomAgain(): void {
    this.scheduleFlush()
  }

  /** Ends the connection without a further answer; `kind` groups log lines, of which there is one per interval. */
  refuse(kind: string, reason: string): void {
    if (this.over) return
    this.host.log.warn(kind, { remote: this.remote, reason }, 'closed a client connection')
    this.close()
  }

  close(): void {
    if (this.over) return
    this.end()
    this.stream.close()
  }

  /** Called every second: ends what has been silent or slow for too long. */
  sweep(nowUs: number): void {
    const { headerDeadlineMs, idleMs } = this.host.limits
    if (!this.paused && this.frames.midFrame && this.frames.arrivedBytes < HEADER_BYTES) {
      if (nowUs - this.frameBeganUs > headerDeadlineMs * 1000) {
        this.refuse('header-deadline', `a request's header did not arrive within ${headerDeadlineMs} ms`)
        return
      }
    }
    if (this.pending.length > 0 && !this.blocked) return
    // An idle connection is a normal end, and no reason for a line in the log.
    if (idleMs >= 0 && nowUs - this.activeUs > idleMs * 1000) this.close()
  }

  /** Takes the exchange into the order of answers; before its handler begins, which may answer at once. */
  enqueue(exchange: Exchange): void {
    this.pending.push(exchange)
    this.pendingBytes += exchange.weight
    this.host.budget.charge(exchange.weight)
  }

  /** An exchange is answered: what can leave leaves at the end of this turn. */
  answered(exchange: Exchange): void {
    if (this.over) return
    this.answeredBytes += exchange.responseBytes
    this.host.output.add(exchange.responseBytes)
    if (this.pending[0] === exchange) this.scheduleFlush()
  }

  /**
   * Begins a fetch once every earlier fetch of the connection has left: only one response of tens of megabytes per client is ever
   * built, however many were asked for.
   */
  beginFetch(exchange: Exchange, begin: () => void): void {
    if (this.fetching === null) {
      this.fetching = exchange
      begin()
    } else
      this.laterFetches.push(() => {
        this.fetching = exchange
        begin()
      })
  }

  /**
   * Begins a produce once no earlier one of the connection is still being checked off the thread, because batches are appended in
   * the order of their requests. `begin` returns true when it must finish checking later; then `produceChecked` follows.
   */
  beginProduce(begin: () => boolean): void {
    if (this.checking) {
      this.laterProduces.push(() => this.beginProduce(begin))
      return
    }
    this.checking = begin()
  }

  produceChecked(): void {
    this.checking = false
    while (!this.checking && !this.over) {
      const next = this.laterProduces.shift()
      if (next === undefined) return
      this.guard(next)
    }
  }

  /** Runs what a client's bytes cause: whatever it throws ends the connection, never the listener. */
  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.failed(error)
    }
  }

  /** Serving a request of this connection threw. Malformed requests are the client's fault, the rest is ours. */
  failed(error: unknown): void {
    if (error instanceof BrokenInvariant) this.host.world.fatal('broken-invariant', error)
    if (error instanceof FrameRefused) {
      this.refuse('frame', error.message)
      return
    }
    if (error instanceof Error && 'code' in error && error.code === 'PROTOCOL_VIOLATION') {
      this.refuse('malformed', error.message)
      return
    }
    const fields = { remote: this.remote, error }
    this.host.log.error('unserved', fields, 'a request could not be served; its connection is closed')
    this.close()
  }

  /** Takes requests from what has arrived, as far as there is room. */
  private work(): void {
    try {
      for (;;) {
        if (!this.mayTake()) break
        const frame = this.frames.next()
        if (frame === null) break
        this.activeUs = this.frameBeganUs = this.host.world.clock.monotonicUs()
        this.host.accept(this, frame)
      }
    } catch (error) {
      this.failed(error)
    }
    if (this.over) return
    this.recharge(this.frames.heldBytes)
    this.steer()
  }

  private mayTake(): boolean {
    const { maxPipelined, maxPipelinedBytes, maxUnwrittenBytes } = this.host.limits
    return (
      !this.over &&
      !this.blocked &&
      this.pending.length < maxPipelined &&
      this.pendingBytes < maxPipelinedBytes &&
      this.answeredBytes < maxUnwrittenBytes &&
      !this.starved
    )
  }

  private get starved(): boolean {
    return this.host.budget.over && this.heldBytes > FREE_BYTES
  }

  /** Pauses or resumes the socket. */
  private steer(): void {
    const pause = !this.mayTake()
    if (pause && this.starved) this.host.budget.wait(this)
    if (pause === this.paused) return
    this.paused = pause
    if (pause) this.stream.pause()
    else {
      this.frameBeganUs = this.host.world.clock.monotonicUs()
      this.stream.resume()
    }
  }

  private recharge(bytes: number): void {
    const change = bytes - this.chargedBytes
    this.chargedBytes = bytes
    if (change > 0) this.host.budget.charge(change)
    else if (change < 0) this.host.budget.release(-change)
  }

  private scheduleFlush(): void {
    if (this.flushing || this.over) return
    this.flushing = true
    this.host.world.timers.endOfTurn(this.onEndOfTurn)
  }

  /** Writes the answers that are ready and next in order, as one write. */
  private flush(): void {
    this.flushing = false
    if (this.over) return
    if (!this.blocked) this.writeReady()
    // Resuming is the answer to all of: room in the pipeline, in the output and in the budget.
    if (!this.over) this.work()
  }

  private writeReady(): void {
    let ready = 0
    const answeredBefore = this.answeredBytes
    const parts: Uint8Array[] = []
    let memories: FetchMemory[] | null = null
    for (; ready < this.pending.length; ready++) {
      const exchange = this.pending[ready] as Exchange
      if (!exchange.finished) break
      if (exchange.parts !== null) for (const part of exchange.parts) parts.push(part)
      if (exchange.memory !== null) (memories ??= []).push(exchange.memory)
      this.settle(exchange)
    }
    if (ready === 0) return
    this.pending.splice(0, ready)
    if (parts.length > 0) {
      this.activeUs = this.host.world.clock.monotonicUs()
      this.blocked = !this.stream.write(parts, memories === null ? undefined : releaseAll(memories))
    }
    const written = answeredBefore - this.answeredBytes
    if (this.blocked) this.blockedBytes += written
    else {
      this.host.output.take(written)
      this.nextFetch()
    }
  }

  /** Gives back what an exchange held. */
  private settle(exchange: Exchange): void {
    this.pendingBytes -= exchange.weight
    this.answeredBytes -= exchange.responseBytes
    this.host.budget.release(exchange.weight)
    if (exchange === this.fetching) this.fetching = null
    exchange.settled()
  }

  private nextFetch(): void {
    while (this.fetching === null && !this.over) {
      const next = this.laterFetches.shift()
      if (next === undefined) return
      this.guard(next)
    }
  }

  private end(): void {
    if (this.over) return
    this.over = true
    this.host.budget.leave(this)
    this.frames.clear()
    this.recharge(0)
    this.host.output.take(this.answeredBytes + this.blockedBytes)
    for (const exchange of this.pending) {
      this.pendingBytes -= exchange.weight
      this.host.budget.release(exchange.weight)
      exchange.abandoned()
    }
    this.pending.length = 0
    this.laterFetches.length = 0
    this.laterProduces.length = 0
    this.host.closed(this)
  }
}

function releaseAll(memories: readonly FetchMemory[]): () => void {
  return () => {
    for (const memory of memories) memory.release()
  }
}
