import type { Random } from '@millrace/base'
import type { Output } from './output.ts'
import type { OwnLog } from './own-log.ts'
import type { TickClock } from './tick-clock.ts'
import type { BrokerState, FlushMode } from './types.ts'

/** What outlives a role: identity, the own log, time, and the output being filled. */
export interface Replica {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly flushMode: FlushMode
  readonly lagTimeMaxUs: number
  readonly random: Random
  readonly log: OwnLog
  readonly clock: TickClock
  readonly out: Output
  readonly nextRequestId: () => number
  /** The image's view, replaced by each metadata input. */
  brokers: ReadonlyMap<number, BrokerState>
  /** Own disk is full or failing. */
  unfit: boolean
}
