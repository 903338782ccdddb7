import { effectiveTopicConfig, layered, type Properties, type TopicConfig } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { LogConfig } from '@millrace/storage'
import { ThrottledReplicas } from './throttled-replicas.ts'

/** What the settings of a topic mean to its replicas. */
export interface TopicSettings {
  readonly config: TopicConfig
  readonly log: LogConfig
  readonly logAppendTime: boolean
  /** Whose sending, and whose catching up, may be slowed down; null: nobody's. */
  readonly throttledLeaders: ThrottledReplicas | null
  readonly throttledFollowers: ThrottledReplicas | null
}

/** The broker's own settings as text: its dynamic ones, then those of the whole cluster, then its file. */
export function brokerProperties(image: ClusterImage, nodeId: number, file: Properties): Properties {
  const own = image.configs({ kind: 'broker', name: String(nodeId) })
  const everywhere = image.configs({ kind: 'broker', name: '' })
  return own.size === 0 && everywhere.size === 0 ? file : layered(own, everywhere, file)
}

/** The settings of a topic as this broker applies them. */
export function topicSettings(image: ClusterImage, topic: string, properties: Properties): TopicSettings {
  const configs = image.configs({ kind: 'topic', name: topic })
  const config = effectiveTopicConfig(configs, properties)
  const compacted = config.cleanupPolicy.includes('compact')
  const { segmentBytes, segmentMs, segmentJitterMs, indexIntervalBytes, segmentIndexBytes } = config
  const { maxMessageBytes, retentionMs, retentionBytes, cleanupPolicy, fileDeleteDelayMs } = config
  const { deleteRetentionMs, minCompactionLagMs, maxCompactionLagMs, minCleanableDirtyRatio } = config
  return {
    config,
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
    throttledLeaders: ThrottledReplicas.of(configs, 'leader'),
    throttledFollowers: ThrottledReplicas.of(configs, 'follower'),
    log: {
      segmentBytes,
      // Only what is rolled can be compacted.
      segmentMs: compacted ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs,
      segmentJitterMs,
      indexIntervalBytes,
      segmentIndexBytes,
      maxMessageBytes,
      retentionMs,
      retentionBytes,
      cleanupPolicy,
      fileDeleteDelayMs,
      deleteRetentionMs,
      minCompactionLagMs,
      maxCompactionLagMs,
      minCleanableDirtyRatio,
    },
  }
}
