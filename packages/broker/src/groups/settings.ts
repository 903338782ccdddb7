import {
  brokerConfigValue,
  effectiveGroupTimes,
  LONG_MAX,
  parseList,
  parseWhole,
  type Properties,
} from '@millrace/base'
import type { GroupsConfig, MigrationPolicy } from '@millrace/groups'

const MINUTE_MS = 60_000
const NOTHING: Properties = new Map()

/** What server.properties says of groups, and `ownOf` of one that has settings of its own. */
export function groupsConfig(properties: Properties, ownOf: (groupId: string) => Properties): GroupsConfig {
  const times = effectiveGroupTimes(NOTHING, properties)
  const number = (name: string): number => parseWhole(brokerConfigValue(properties, name))
  return {
    minSessionTimeoutMs: number('group.min.session.timeout.ms'),
    maxSessionTimeoutMs: number('group.max.session.timeout.ms'),
    initialRebalanceDelayMs: number('group.initial.rebalance.delay.ms'),
    maxSize: number('group.max.size'),
    maxMetadataBytes: number('offset.metadata.max.bytes'),
    offsetsRetentionMs: Math.min(LONG_MAX, number('offsets.retention.minutes') * MINUTE_MS),
    offsetsCheckMs: number('offsets.retention.check.interval.ms'),
    consumer: {
      ...times,
      timesOf(groupId) {
        const own = ownOf(groupId)
        return own.size === 0 ? times : effectiveGroupTimes(own, properties)
      },
      maxSize: number('group.consumer.max.size'),
      assignors: assignors(brokerConfigValue(properties, 'group.consumer.assignors')),
      migrationPolicy: migrationPolicy(brokerConfigValue(properties, 'group.consumer.migration.policy')),
    },
  }
}

/** How long a commit may take, in milliseconds. */
export function commitTimeoutMs(properties: Properties): number {
  return parseWhole(brokerConfigValue(properties, 'offsets.commit.timeout.ms'))
}

/** How `__consumer_offsets` is made. */
export interface OffsetsTopicSettings {
  readonly partitions: number
  /** Fewer where there are fewer brokers. */
  readonly replicas: number
  readonly segmentBytes: number
}

export function offsetsTopicSettings(properties: Properties): OffsetsTopicSettings {
  return {
    partitions: parseWhole(brokerConfigValue(properties, 'offsets.topic.num.partitions')),
    replicas: parseWhole(brokerConfigValue(properties, 'offsets.topic.replication.factor')),
    segmentBytes: parseWhole(brokerConfigValue(properties, 'offsets.topic.segment.bytes')),
  }
}

function assignors(value: string): readonly ('uniform' | 'range')[] {
  const known = parseList(value).filter((name) => name === 'uniform' || name === 'range')
  return known.length > 0 ? known : ['uniform', 'range']
}

function migrationPolicy(value: string): MigrationPolicy {
  return value === 'upgrade' || value === 'downgrade' || value === 'disabled' ? value : 'bidirectional'
}
