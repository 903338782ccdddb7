import { BROKER_KEYS } from './config-broker.ts'
import { DROPPED_TOPIC_KEYS, TOPIC_KEYS } from './config-topic.ts'
import { parseBoolean, parseList, parseWhole } from './config-values.ts'
import type { ConfigKey } from './config.ts'
import { LONG_MAX } from './int64.ts'

/** Settings as text, by name. */
export type Properties = ReadonlyMap<string, string>

/** What the settings of a topic mean. Bytes and milliseconds; `LONG_MAX` where there is no limit, -1 where Kafka says -1. */
export interface TopicConfig {
  readonly cleanupPolicy: readonly ('delete' | 'compact')[]
  readonly compressionType: 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly deleteRetentionMs: number
  readonly fileDeleteDelayMs: number
  readonly indexIntervalBytes: number
  readonly maxCompactionLagMs: number
  readonly maxMessageBytes: number
  readonly messageTimestampAfterMaxMs: number
  readonly messageTimestampBeforeMaxMs: number
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: number
  /** As set: the metadata package's `minInsyncReplicas` says what counts for a partition. */
  readonly minInsyncReplicas: number
  /** -1: unlimited; per partition. */
  readonly retentionBytes: number
  /** -1: unlimited. */
  readonly retentionMs: number
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly segmentJitterMs: number
  readonly segmentMs: number
  readonly uncleanLeaderElectionEnable: boolean
}

/** Null when `value` can be the setting `name` of a topic, else what is wrong. Values of dropped keys are never wrong. */
export function topicConfigProblem(name: string, value: string): string | null {
  const key = TOPIC_KEYS.get(name)
  if (key !== undefined) return problemOf(key, value)
  return DROPPED_TOPIC_KEYS.has(name) ? null : `there is no topic setting named ${JSON.stringify(name.slice(0, 200))}`
}

/** Null when `value` can be the setting `name` of a broker. An unknown name is no problem: Kafka accepts it, too. */
export function brokerConfigProblem(name: string, value: string): string | null {
  const key = BROKER_KEYS.get(name)
  return key === undefined ? null : problemOf(key, value)
}

/** The text that counts for one broker setting: what is set, if it can be that, else the default; '' where there is none. */
export function brokerConfigValue(properties: Properties, name: string): string {
  const value = properties.get(name)
  if (value !== undefined && brokerConfigProblem(name, value) === null) return value.trim()
  return BROKER_KEYS.get(name)?.default ?? ''
}

/** What is wrong with a topic's settings together, each of them being right by itself; null when nothing is. */
export function topicConfigsProblem(overrides: Properties, brokerProperties: Properties): string | null {
  const config = effectiveTopicConfig(overrides, brokerProperties)
  if (parseBoolean(overrides.get('remote.storage.enable') ?? 'false'))
    return 'remote.storage.enable: this version has no tiered storage'
  if (config.minCompactionLagMs > config.maxCompactionLagMs)
    return `min.compaction.lag.ms (${config.minCompactionLagMs}) is more than max.compaction.lag.ms (${config.maxCompactionLagMs})`
  return null
}

/**
 * The text that counts for one topic setting: the topic's own, else the nearest broker key that is set (converted to the topic
 * key's unit), else the default. `source` is the name of the key that gave it.
 */
export function topicConfigValue(
  key: ConfigKey,
  overrides: Properties,
  brokerProperties: Properties,
): { readonly value: string; readonly source: 'topic' | 'broker' | 'default' } {
  const own = overrides.get(key.name)
  if (own !== undefined) return { value: own, source: 'topic' }
  for (const { name, factor } of key.brokerKeys) {
    const value = brokerProperties.get(name)
    if (value !== undefined && brokerConfigProblem(name, value) === null)
      return { value: converted(value, factor), source: 'broker' }
  }
  return { value: key.default ?? '', source: 'default' }
}

/** Hours to milliseconds and the like; every negative number means "without limit", whatever the unit. */
export function converted(value: string, factor: number): string {
  if (factor === 1) return value
  const whole = parseWhole(value)
  return whole < 0 ? '-1' : String(whole * factor)
}

/**
 * The settings of a topic, parsed. `overrides` are the topic's own; `brokerProperties` are the broker's as text, dynamic ones laid
 * over those of its file ({@link layered}). A broker value that does not parse counts as not set: the start of a broker refuses those.
 */
export function effectiveTopicConfig(overrides: Properties, brokerProperties: Properties): TopicConfig {
  const of = (name: string): string => {
    const key = TOPIC_KEYS.get(name) as ConfigKey
    return topicConfigValue(key, overrides, brokerProperties).value
  }
  const whole = (name: string): number => parseWhole(of(name))
  return {
    cleanupPolicy: parseList(of('cleanup.policy')) as TopicConfig['cleanupPolicy'],
    compressionType: of('compression.type').trim() as TopicConfig['compressionType'],
    deleteRetentionMs: whole('delete.retention.ms'),
    fileDeleteDelayMs: whole('file.delete.delay.ms'),
    indexIntervalBytes: whole('index.interval.bytes'),
    maxCompactionLagMs: whole('max.compaction.lag.ms'),
    maxMessageBytes: whole('max.message.bytes'),
    messageTimestampAfterMaxMs: whole('message.timestamp.after.max.ms'),
    messageTimestampBeforeMaxMs: whole('message.timestamp.before.max.ms'),
    messageTimestampType: of('message.timestamp.type').trim() as TopicConfig['messageTimestampType'],
    minCleanableDirtyRatio: Number(of('min.cleanable.dirty.ratio')),
    minCompactionLagMs: whole('min.compaction.lag.ms'),
    minInsyncReplicas: whole('min.insync.replicas'),
    retentionBytes: Math.max(-1, whole('retention.bytes')),
    retentionMs: Math.max(-1, whole('retention.ms')),
    segmentBytes: whole('segment.bytes'),
    segmentIndexBytes: whole('segment.index.bytes'),
    segmentJitterMs: whole('segment.jitter.ms'),
    segmentMs: Math.min(LONG_MAX, whole('segment.ms')),
    uncleanLeaderElectionEnable: parseBoolean(of('unclean.leader.election.enable')),
  }
}

/** Several layers of settings as one: what comes first counts. */
export function layered(...layers: readonly Properties[]): Properties {
  const all = new Map<string, string>()
  for (const layer of [...layers].reverse()) for (const [name, value] of layer) all.set(name, value)
  return all
}

function problemOf(key: ConfigKey, value: string): string | null {
  const problem = key.problem(value)
  return problem === null ? null : `${key.name}: ${problem}`
}
