import { ErrorCode, OFFSETS_TOPIC, type World } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import { CreateTopicsApi } from '@millrace/protocol'
import { decode, encodeToBytes } from '@millrace/schema'
import type { BrokerConfig, ControllerLink } from '../seams.ts'
import { type OffsetsTopicSettings, offsetsTopicSettings } from './settings.ts'

const VERSION = CreateTopicsApi.versions[1]
const TIMEOUT_MS = 10_000
/**
 * A cluster that starts for the first time has fewer brokers than it will have, and the topic keeps the replicas that it is made with. So its
 * making waits this long for as many as there are nodes in the quorum.
 */
const GATHERING_US = 10_000_000

export interface OffsetsTopicHost {
  readonly world: World
  readonly config: BrokerConfig
  readonly image: ClusterImage
  readonly controller: ControllerLink
}

/** Makes `__consumer_offsets` when it is first needed. */
export class OffsetsTopic {
  private readonly host: OffsetsTopicHost
  private readonly settings: OffsetsTopicSettings
  private underWay = false
  private firstAskedUs = -1

  constructor(host: OffsetsTopicHost) {
    this.host = host
    this.settings = offsetsTopicSettings(host.config.properties)
  }

  /** Begins to make the topic; the metadata tells when it is there. Clients come again meanwhile. */
  want(): void {
    if (this.underWay) return
    const replicas = this.replicas()
    if (replicas === 0) return
    this.underWay = true
    const { controller, world } = this.host
    const request = {
      apiKey: CreateTopicsApi.key,
      apiVersion: VERSION,
      clientId: `broker-${this.host.config.nodeId}`,
      body: this.request(replicas),
      timeoutMs: TIMEOUT_MS,
    }
    controller.forward(request, (error, body) => {
      this.underWay = false
      const outcome = body === null ? { errorCode: error, errorMessage: null } : outcomeOf(body)
      if (outcome.errorCode === ErrorCode.NONE || outcome.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return
      world.log.warn({ topic: OFFSETS_TOPIC, replicas, ...outcome }, 'topic of group offsets not made')
    })
  }

  /** How many the topic is to have; 0 while more brokers are waited for. Those that are down now count: they will follow. */
  private replicas(): number {
    const { image, config, world } = this.host
    const now = world.clock.monotonicUs()
    if (this.firstAskedUs < 0) this.firstAskedUs = now
    const expected = Math.min(this.settings.replicas, config.controllers.length)
    if (image.brokers.size < expected && now - this.firstAskedUs < GATHERING_US) return 0
    return Math.min(this.settings.replicas, image.brokers.size)
  }

  private request(replicationFactor: number): Uint8Array {
    const { partitions, segmentBytes } = this.settings
    const configs = [
      { name: 'cleanup.policy', value: 'compact' },
      { name: 'compression.type', value: 'producer' },
      { name: 'segment.bytes', value: String(segmentBytes) },
    ]
    const topic = { name: OFFSETS_TOPIC, numPartitions: partitions, replicationFactor, assignments: [], configs }
    return encodeToBytes(CreateTopicsApi.request, VERSION, {
      topics: [topic],
      timeoutMs: TIMEOUT_MS,
      validateOnly: false,
    })
  }
}

function outcomeOf(body: Uint8Array): { readonly errorCode: ErrorCode; readonly errorMessage: string | null } {
  const [topic] = decode(CreateTopicsApi.response, VERSION, body).topics
  if (topic === undefined) return { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, errorMessage: null }
  return { errorCode: topic.errorCode as ErrorCode, errorMessage: topic.errorMessage }
}
