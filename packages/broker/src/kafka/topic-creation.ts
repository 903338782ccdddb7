import { ErrorCode, INTERNAL_TOPICS } from '@millrace/base'
import { CreateTopicsApi } from '@millrace/protocol'
import { encodeToBytes } from '@millrace/schema'
import type { BrokerContext } from '../seams.ts'
import type { TopicSettings } from './topic-settings.ts'

/** The first version whose -1 means the broker's defaults. */
const CREATE_VERSION = CreateTopicsApi.versions[1]
const TIMEOUT_MS = 10_000
/** Names in one request to the controller, and requests under way: what a client can start by naming topics. */
const MAX_NAMES = 1000

/** Creates topics that a client asked about (`auto.create.topics.enable`). Clients are told to come back, and look again. */
export class TopicCreation {
  private readonly broker: BrokerContext
  private readonly settings: TopicSettings
  private readonly underWay = new Set<string>()

  constructor(broker: BrokerContext, settings: TopicSettings) {
    this.broker = broker
    this.settings = settings
  }

  get enabled(): boolean {
    return this.settings.broker('auto.create.topics.enable') === 'true'
  }

  /** The error for a topic that is not there, and whether its creation was or can be begun. Internal topics are made by their coordinators. */
  errorFor(name: string, liveBrokers: number): ErrorCode {
    if (INTERNAL_TOPICS.has(name)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const factor = Number(this.settings.broker('default.replication.factor'))
    return factor > liveBrokers ? ErrorCode.INVALID_REPLICATION_FACTOR : ErrorCode.LEADER_NOT_AVAILABLE
  }

  /** Begins to create the topics that are not on their way already. The outcome shows in the metadata. */
  begin(names: readonly string[], clientId: string | null): void {
    const room = MAX_NAMES - this.underWay.size
    const fresh = names.filter((name) => !this.underWay.has(name)).slice(0, room)
    if (fresh.length === 0) return
    for (const name of fresh) this.underWay.add(name)
    const request = {
      apiKey: CreateTopicsApi.key,
      apiVersion: CREATE_VERSION,
      clientId: clientId ?? '',
      body: encodeToBytes(CreateTopicsApi.request, CREATE_VERSION, {
        topics: fresh.map((name) => ({
          name,
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [],
          configs: [],
        })),
        timeoutMs: TIMEOUT_MS,
        validateOnly: false,
      }),
      timeoutMs: TIMEOUT_MS,
    }
    this.broker.controller.forward(request, () => {
      for (const name of fresh) this.underWay.delete(name)
    })
  }
}
