import { layered, parseBoolean, parseWhole, TOPIC_KEYS, topicConfigProblem, topicConfigValue } from '@millrace/base'
import type { ConfigKey, Properties } from '@millrace/base'
import type { ClusterImage } from './image.ts'

const MIN_ISR = 'min.insync.replicas'
const UNCLEAN = 'unclean.leader.election.enable'

/**
 * How many replicas must be in sync for this topic, before it is capped by what a partition has ({@link neededInSync}). It comes from
 * committed metadata alone (the topic's setting, else the cluster-wide one, else 1), never from a broker's file: the controller's
 * eligible leaders are only right if every leader holds its watermark to the same number.
 */
export function minInsyncReplicas(image: ClusterImage, topic: string): number {
  return minIsrOf(image.configs({ kind: 'topic', name: topic }), image.configs({ kind: 'broker', name: '' }))
}

/** The same for settings that may not be in an image yet. */
export function minIsrOf(topic: Properties, clusterWide: Properties): number {
  const text = topic.get(MIN_ISR) ?? clusterWide.get(MIN_ISR)
  return text === undefined || topicConfigProblem(MIN_ISR, text) !== null ? 1 : parseWhole(text)
}

/** Whether a topic rather loses records than stays without leader. */
export function uncleanElectionOf(topic: Properties, clusterWide: Properties, properties: Properties): boolean {
  const { value } = topicConfigValue(TOPIC_KEYS.get(UNCLEAN) as ConfigKey, topic, layered(clusterWide, properties))
  return parseBoolean(value)
}
