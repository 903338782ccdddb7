import { ErrorCode, type Timer, type Timers } from '@millrace/base'
import type { BrokerFrame, ControllerFrame } from '@millrace/rpc'

type Reply = Extract<ControllerFrame, { kind: 'producerIds' }>
type Done = (error: ErrorCode, first: number, count: number) => void

export interface ProducerIdRequestsHost {
  readonly timers: Timers
  brokerEpoch(): number
  /** False while there is no active session. */
  sendFrame(frame: BrokerFrame): boolean
}

const TIMEOUT_US = 5_000_000

/** Blocks of producer ids asked of the controller. A block whose answer is lost is never used, which wastes ids and harms nobody. */
export class ProducerIdRequests {
  private readonly host: ProducerIdRequestsHost
  private readonly pending = new Map<number, { readonly done: Done; readonly timer: Timer }>()
  private nextId = 1

  constructor(host: ProducerIdRequestsHost) {
    this.host = host
  }

  ask(done: Done): void {
    const { host } = this
    const requestId = this.nextId++
    const brokerEpoch = host.brokerEpoch()
    if (!host.sendFrame({ kind: 'allocateProducerIds', requestId, brokerEpoch }))
      return void host.timers.after(0, () => done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, 0))
    const timer = host.timers.after(TIMEOUT_US, () => this.fail(requestId))
    this.pending.set(requestId, { done, timer })
  }

  reply({ requestId, error, first, count }: Reply): void {
    const pending = this.take(requestId)
    if (error === ErrorCode.NONE) pending?.done(ErrorCode.NONE, first, count)
    else pending?.done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, 0)
  }

  /** The session broke. */
  lost(): void {
    const all = [...this.pending.keys()]
    for (const requestId of all) this.fail(requestId)
  }

  private fail(requestId: number): void {
    this.take(requestId)?.done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, 0)
  }

  private take(requestId: number): { readonly done: Done } | null {
    const pending = this.pending.get(requestId)
    if (pending === undefined) return null
    this.pending.delete(requestId)
    pending.timer.cancel()
    return pending
  }
}
