import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Broker, GroupLag, PartitionLag } from '@millrace/broker'
import { OFFSETS_TOPIC } from '@millrace/base'
import { Exposition, type MetricFamily } from './exposition.ts'

const GROUP = ['cluster_name', 'group'] as const
const GROUP_PARTITION = [...GROUP, 'topic', 'partition', 'member_host', 'consumer_id', 'client_id'] as const
const PARTITION = ['cluster_name', 'topic', 'partition'] as const

function gauge(name: string, labels: readonly string[], help: string): MetricFamily {
  return { name, type: 'gauge', help, labels }
}

/** Names and labels of the first ones are those of kafka-lag-exporter, so that its dashboards and alerts work. */
export const METRICS = {
  latestOffset: gauge('kafka_partition_latest_offset', PARTITION, 'Where the log of a partition ends.'),
  earliestOffset: gauge('kafka_partition_earliest_offset', PARTITION, 'Where the log of a partition begins.'),
  offset: gauge('kafka_consumergroup_group_offset', GROUP_PARTITION, 'The last committed offset of a group.'),
  lag: gauge('kafka_consumergroup_group_lag', GROUP_PARTITION, 'Records that a group has left to read.'),
  lagSeconds: gauge(
    'kafka_consumergroup_group_lag_seconds',
    GROUP_PARTITION,
    'How long ago the first record that a group has left to read was written.',
  ),
  maxLag: gauge('kafka_consumergroup_group_max_lag', GROUP, 'The largest lag of a group’s partitions.'),
  maxLagSeconds: gauge(
    'kafka_consumergroup_group_max_lag_seconds',
    GROUP,
    'The largest lag in seconds of a group’s partitions.',
  ),
  sumLag: gauge('kafka_consumergroup_group_sum_lag', GROUP, 'The lag of all of a group’s partitions.'),
  topicSumLag: gauge(
    'kafka_consumergroup_group_topic_sum_lag',
    [...GROUP, 'topic'],
    'The lag of all of a group’s partitions of a topic.',
  ),
  status: gauge(
    'millrace_consumergroup_status',
    [...GROUP, 'status'],
    'OK, WARN, REWIND, STALL or STOP: 1 for the worst status of a group’s partitions, 0 for the others.',
  ),
  members: gauge('millrace_consumergroup_members', GROUP, 'Members of a group.'),
  secondsToRetention: gauge(
    'millrace_consumergroup_seconds_to_retention',
    GROUP,
    'Until retention removes a record that a group has left to read: 0 when it did, +Inf while nothing will be lost.',
  ),
  rebalances: {
    name: 'millrace_consumergroup_rebalances_total',
    type: 'counter',
    help: 'Rebalances of a group that came to their end, by what began them, since this broker coordinates the group.',
    labels: [...GROUP, 'reason'],
  },
  rebalanceSeconds: {
    name: 'millrace_consumergroup_rebalance_seconds',
    type: 'summary',
    help: 'How long the rebalances of a group took, since this broker coordinates the group.',
    labels: GROUP,
  },
  replicas: gauge('millrace_broker_replicas', ['state'], 'Replicas of this broker by their state.'),
  leaders: gauge('millrace_broker_leaders', [], 'Partitions that this broker leads.'),
  underReplicated: gauge(
    'millrace_broker_under_replicated_partitions',
    [],
    'Partitions that this broker leads and that have fewer replicas in sync than they should.',
  ),
  underMinIsr: gauge(
    'millrace_broker_under_min_isr_partitions',
    [],
    'Partitions that this broker leads and that take no acks=all writes, for want of replicas in sync.',
  ),
} satisfies Readonly<Record<string, MetricFamily>>

export const STATUSES: readonly PartitionLag['status'][] = ['OK', 'WARN', 'REWIND', 'STALL', 'STOP']

/** So many samples are written before others have their turn. */
const SAMPLES_A_TURN = 2_000

/** What Prometheus scrapes: the groups that this broker coordinates and the partitions that it leads, so every one is told by one broker. */
export async function metricsOf(broker: Broker): Promise<Iterable<string>> {
  const into = new Exposition()
  const cluster = broker.context.image.clusterId ?? ''
  let samples = 0
  const rest = async (added: number): Promise<void> => {
    samples += added
    if (samples < SAMPLES_A_TURN) return
    samples = 0
    await nextTurn()
  }
  for (const group of broker.lags.all()) {
    addGroup(into, cluster, group)
    await rest(12 + 3 * group.partitions.length)
  }
  for (const replica of broker.context.replicas.all()) {
    const { topic, partition } = replica
    const latest = replica.latestOffset(-1, 0)
    const earliest = replica.earliestOffset(-1)
    if (latest.error === 0 && topic !== OFFSETS_TOPIC) {
      into.add(METRICS.latestOffset, [cluster, topic, partition], latest.offset)
      into.add(METRICS.earliestOffset, [cluster, topic, partition], earliest.error === 0 ? earliest.offset : null)
    }
    await rest(2)
  }
  addBroker(into, broker)
  return into.texts()
}

function addGroup(into: Exposition, cluster: string, group: GroupLag): void {
  const labels = [cluster, group.groupId]
  for (const partition of group.partitions) addPartition(into, labels, partition)
  for (const [topic, sum] of topicSums(group)) into.add(METRICS.topicSumLag, [...labels, topic], sum)
  into.add(METRICS.maxLag, labels, group.maxLag)
  into.add(METRICS.maxLagSeconds, labels, group.maxLagSeconds)
  into.add(METRICS.sumLag, labels, group.sumLag)
  for (const status of STATUSES) into.add(METRICS.status, [...labels, status], group.status === status ? 1 : 0)
  into.add(METRICS.members, labels, group.members)
  into.add(METRICS.secondsToRetention, labels, group.secondsToRetention)
  for (const [reason, count] of group.rebalances.reasons) into.add(METRICS.rebalances, [...labels, reason], count)
  into.add(METRICS.rebalanceSeconds, labels, group.rebalances.totalMs / 1000, '_sum')
  into.add(METRICS.rebalanceSeconds, labels, group.rebalances.count, '_count')
}

function addPartition(into: Exposition, group: readonly string[], lag: PartitionLag): void {
  const { topic, partition, member } = lag
  const labels = [...group, topic, partition, member?.clientHost ?? '', member?.memberId ?? '', member?.clientId ?? '']
  into.add(METRICS.offset, labels, lag.offset)
  into.add(METRICS.lag, labels, lag.lag)
  into.add(METRICS.lagSeconds, labels, lag.lagSeconds)
}

function topicSums({ partitions }: GroupLag): ReadonlyMap<string, number> {
  const sums = new Map<string, number>()
  for (const { topic, lag } of partitions) if (lag !== null) sums.set(topic, (sums.get(topic) ?? 0) + lag)
  return sums
}

function addBroker(into: Exposition, broker: Broker): void {
  const { leaders, underReplicated, underMinIsr, ...phases } = broker.status().partitions
  for (const [state, count] of Object.entries(phases)) into.add(METRICS.replicas, [state], count)
  into.add(METRICS.leaders, [], leaders)
  into.add(METRICS.underReplicated, [], underReplicated)
  into.add(METRICS.underMinIsr, [], underMinIsr)
}
