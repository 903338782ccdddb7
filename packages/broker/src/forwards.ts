import { ErrorCode, type Timer, type Timers } from '@millrace/base'
import type { BrokerFrame, ControllerFrame } from '@millrace/rpc'
import type { ForwardRequest } from './seams.ts'

type Reply = Extract<ControllerFrame, { kind: 'forwardReply' }>
type Done = (error: ErrorCode, body: Uint8Array | null) => void

interface Pending {
  readonly requestId: number
  readonly request: ForwardRequest
  readonly done: Done
  readonly timer: Timer
  /** Went out on the present session. */
  sent: boolean
  /** Decided at this index; answered once the own image has it. */
  decided: { readonly index: number; readonly body: Uint8Array } | null
}

export interface ForwardsHost {
  readonly timers: Timers
  appliedIndex(): number
  /** False while there is no active session. */
  sendFrame(frame: BrokerFrame): boolean
}

/** How many forwarded requests may wait; more are answered as if there were no controller. */
const MOST_PENDING = 10_000
/** What fits into a frame between nodes; no admin request of any sense is as large. */
const MOST_BYTES = 8 << 20

/**
 * Admin requests on their way to the active controller. What no controller has seen waits for the next one until its time is up. What
 * one has seen and not answered when its session broke may have been decided, so it is answered REQUEST_TIMED_OUT: unknown.
 */
export class Forwards {
  private readonly host: ForwardsHost
  private readonly pending = new Map<number, Pending>()
  private nextId = 1

  constructor(host: ForwardsHost) {
    this.host = host
  }

  forward(request: ForwardRequest, done: Done): void {
    const { timers } = this.host
    if (request.body.length > MOST_BYTES) return void timers.after(0, () => done(ErrorCode.INVALID_REQUEST, null))
    if (this.pending.size >= MOST_PENDING) return void timers.after(0, () => done(ErrorCode.NOT_CONTROLLER, null))
    const requestId = this.nextId++
    const timer = timers.after(Math.max(0, request.timeoutMs) * 1000, () => this.timedOut(requestId))
    const pending: Pending = { requestId, request, done, timer, sent: false, decided: null }
    this.pending.set(requestId, pending)
    this.send(pending)
  }

  /** A session is active: what waited goes out. */
  active(): void {
    for (const pending of this.pending.values()) if (!pending.sent) this.send(pending)
  }

  /** The session broke. */
  lost(): void {
    for (const pending of this.pending.values())
      if (pending.sent && pending.decided === null) this.finish(pending, ErrorCode.REQUEST_TIMED_OUT, null)
  }

  reply(reply: Reply): void {
    const pending = this.pending.get(reply.requestId)
    if (pending === undefined || pending.decided !== null) return
    if (reply.error === ErrorCode.NOT_CONTROLLER) {
      // Not decided: it waits for the controller that leads next.
      pending.sent = false
      return
    }
    if (reply.error !== ErrorCode.NONE) return this.finish(pending, reply.error as ErrorCode, null)
    pending.decided = { index: reply.index, body: reply.body }
    this.applied()
  }

  /** The own image went on. */
  applied(): void {
    for (const pending of this.pending.values())
      if (pending.decided !== null && pending.decided.index <= this.host.appliedIndex())
        this.finish(pending, ErrorCode.NONE, pending.decided.body)
  }

  /** This broker stops. */
  end(): void {
    const all = [...this.pending.values()]
    for (const pending of all) this.finish(pending, ErrorCode.NOT_CONTROLLER, null)
  }

  private send(pending: Pending): void {
    const { apiKey, apiVersion, clientId, body } = pending.request
    const { requestId } = pending
    pending.sent = this.host.sendFrame({
      kind: 'forward',
      requestId,
      apiKey,
      apiVersion,
      clientId,
      principal: '',
      body,
    })
  }

  private timedOut(requestId: number): void {
    const pending = this.pending.get(requestId)
    if (pending === undefined) return
    const known = pending.sent || pending.decided !== null
    this.finish(pending, known ? ErrorCode.REQUEST_TIMED_OUT : ErrorCode.NOT_CONTROLLER, null)
  }

  private finish(pending: Pending, error: ErrorCode, body: Uint8Array | null): void {
    this.pending.delete(pending.requestId)
    pending.timer.cancel()
    pending.done(error, body)
  }
}
