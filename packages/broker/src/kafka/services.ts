import type { Api } from '@millrace/protocol'
import type { BrokerContext, BrokerListenerConfig } from '../seams.ts'
import type { Exchange } from './exchange.ts'
import type { OutputBudget } from './output-budget.ts'
import type { PartitionWatches } from './purgatory/partition-watches.ts'
import type { TimingWheel } from './purgatory/timing-wheel.ts'
import type { TopicCreation } from './topic-creation.ts'
import type { TopicSettings } from './topic-settings.ts'

/** What the handlers of one listener share. */
export interface Services {
  readonly broker: BrokerContext
  readonly listener: BrokerListenerConfig
  readonly wheel: TimingWheel
  readonly watches: PartitionWatches
  readonly settings: TopicSettings
  readonly creation: TopicCreation
  readonly output: OutputBudget
}

/** Serves one API in all its versions. `request` is a value of `api.request`; whatever `serve` throws ends the connection. */
export interface Handler<Request = never, Response = never> {
  readonly api: Api<Request, Response>
  serve(exchange: Exchange<Response>, request: Request): void
}
