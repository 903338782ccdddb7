import { effectiveTopicConfig, layered, type Properties, type TopicConfig } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { LogConfig } from '@millrace/storage'

/** What the settings of a topic mean to its replicas. */
export interface TopicSettings {
  readonly config: TopicConfig
  readonly log: LogConfig
  readonly logAppendTime: boolean
}

/** The broker's own settings as text: its dynamic ones, then those of the whole cluster, then its file. */
export function brokerProperties(image: ClusterImage, nodeId: number, file: Properties): Properties {
  const own = image.configs({ kind: 'broker', name: String(nodeId) })
  const everywhere = image.configs({ kind: 'broker', name: '' })
  return own.size === 0 && everywhere.size === 0 ? file : layered(own, everywhere, file)
}

/** The settings of a topic as this broker applies them. */
export function topicSettings(image: ClusterImage, topic: string, properties: Properties): TopicSettings {
  const config = effectiveTopicConfig(image.configs({ kind: 'topic', name: topic }), properties)
  const compacted = config.cleanupPolicy.includes('compact')
  const { segmentBytes, segmentMs, segmentJitterMs, indexIntervalBytes, segmentIndexBytes } = config
  const { maxMessageBytes, retentionMs, retentionBytes, cleanupPolicy, fileDeleteDelayMs } = config
  const { deleteRetentionMs, minCompactionLagMs, maxCompactionLagMs, minCleanableDirtyRatio } = config
  return {
    config,
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
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
