// Rows that only Kafka's command line tools have: what no client library asks.
import { Difference, eventually, holds, same, sameRecords } from '../core/checks.ts'
import { withFiles } from '../core/files.ts'
import { sampleRecords, type Stage, type ToolRunner } from '../core/stage.ts'
import type { Feature } from './feature.ts'
import { GroupPlay } from './group.ts'

function toolOf({ tool }: Stage): ToolRunner {
  if (tool === null) throw new Error('this row needs Kafka’s command line tools')
  return tool
}

/** What the tool printed must have this in it; returns the match. */
function shows(tool: string, printed: string, wanted: RegExp): RegExpExecArray {
  const found = wanted.exec(printed)
  if (found !== null) return found
  const start = printed.trim().slice(0, 300)
  throw new Difference(`${tool} printed no ${String(wanted)}, but "${start}"`)
}

async function brokers(stage: Stage): Promise<readonly number[]> {
  return (await stage.judge.client.admin.describeCluster()).brokers.map(({ id }) => id)
}

async function describesCluster(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const { clusterId, brokers } = await stage.judge.client.admin.describeCluster()
  const [, printed] = shows('cluster', await tool('cluster', ['cluster-id']), /Cluster ID: (\S+)/)
  same('cluster cluster-id (DescribeCluster)', printed, clusterId)
  const endpoints = await tool('cluster', ['list-endpoints'])
  for (const { id, port } of brokers)
    shows('cluster list-endpoints', endpoints, new RegExp(`^${id}\\s+\\S+\\s+${port}\\s`, 'm'))
}

async function listsVersions(stage: Stage): Promise<void> {
  const printed = await toolOf(stage)('broker-api-versions', [])
  for (const id of await brokers(stage)) shows('broker-api-versions', printed, new RegExp(`id: ${id} .*-> \\(`))
  for (const api of ['Produce\\(0\\)', 'Fetch\\(1\\)', 'Metadata\\(3\\)', 'ApiVersions\\(18\\)'])
    shows('broker-api-versions', printed, new RegExp(`${api}: \\d+ to \\d+ \\[usable: \\d+\\]`))
}

async function describesQuorum(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const status = await tool('metadata-quorum', ['describe', '--status'])
  const [, leader] = shows('metadata-quorum --status', status, /LeaderId:\s+(\d+)/)
  shows('metadata-quorum --status', status, /HighWatermark:\s+\d+/)
  shows('metadata-quorum --status', status, new RegExp(`CurrentVoters:.*"id": ${leader}`))
  const replication = await tool('metadata-quorum', ['describe', '--replication'])
  shows('metadata-quorum --replication', replication, new RegExp(`^${leader}\\s.*\\sLeader\\s*$`, 'm'))
}

async function describesFeatures(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const printed = await tool('features', ['describe'])
  // The one feature that decides what clients do; the others name what a broker keeps to itself.
  shows('features', printed, /Feature: group\.version\s.*FinalizedVersionLevel: 1\s/)
  const upgrade = await tool('features', ['upgrade', '--feature', 'group.version=1', '--dry-run'])
  shows('features upgrade (UpdateFeatures)', upgrade, /group\.version can be upgraded to 1/)
}

async function describesLogDirs(stage: Stage): Promise<void> {
  const topic = await stage.topic(2)
  await stage.judge.seed(topic, sampleRecords(2, 20))
  await eventually('sizes of the replicas (DescribeLogDirs)', async () => {
    const printed = await toolOf(stage)('log-dirs', ['--describe', '--topic-list', topic])
    const [json] = shows('log-dirs', printed, /^\{.*\}$/m)
    const { brokers } = JSON.parse(json) as LogDirs
    const found = brokers.flatMap(({ logDirs }) => logDirs.flatMap(({ partitions }) => partitions))
    const wanted = 2 * stage.judge.replication
    const held = found.filter(({ partition, size }) => partition.startsWith(`${topic}-`) && size > 0)
    return held.length === wanted || `${held.length} of ${wanted} replicas with a size: ${json.slice(0, 200)}`
  })
}

interface LogDirs {
  readonly brokers: readonly { readonly logDirs: readonly { readonly partitions: readonly ReplicaSize[] }[] }[]
}

interface ReplicaSize {
  readonly partition: string
  readonly size: number
}

async function electsLeaders(stage: Stage): Promise<void> {
  const topic = await stage.topic()
  const given = ['--election-type', 'preferred', '--topic', topic, '--partition', '0']
  const printed = await toolOf(stage)('leader-election', given)
  // The preferred replica of a new topic leads already.
  shows('leader-election', printed, /(Successfully completed leader election|Valid replica already elected)/)
}

/** With more brokers than replicas one replica moves; a single broker is assigned what it has, which is all that it can do. */
async function reassigns(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const ids = await brokers(stage)
  const topic = stage.name
  await stage.judge.createTopic(topic, 1, Math.min(2, ids.length))
  const records = sampleRecords(1, 50)
  await stage.judge.seed(topic, records)
  const { replicas: before = [] } = (await stage.judge.client.admin.describeTopic(topic)).partitions[0] ?? {}
  const free = ids.find((id) => !before.includes(id))
  const after = free === undefined ? [...before] : [...before.slice(1), free]
  const plan = JSON.stringify({ version: 1, partitions: [{ topic, partition: 0, replicas: after }] })
  const topics = JSON.stringify({ version: 1, topics: [{ topic }] })
  await withFiles({ plan, topics }, async (files) => {
    const generate = ['--generate', '--topics-to-move-json-file', files.topics, '--broker-list', ids.join(',')]
    shows(
      'reassign-partitions --generate',
      await tool('reassign-partitions', generate),
      /Proposed partition reassignment/,
    )
    const execute = ['--execute', '--reassignment-json-file', files.plan, '--throttle', '50000000']
    const started = await tool('reassign-partitions', execute)
    shows('reassign-partitions --execute', started, /Successfully started partition reassignment/)
    shows('reassign-partitions --execute', started, /throttle limit was set to 50000000/)
    await eventually('the end of the reassignment (ListPartitionReassignments)', async () => {
      const printed = await tool('reassign-partitions', ['--verify', '--reassignment-json-file', files.plan])
      return /is completed/.test(printed) || printed.trim().slice(0, 300)
    })
  })
  shows('reassign-partitions --list', await tool('reassign-partitions', ['--list']), /No partition reassignments found/)
  const described = await stage.judge.client.admin.describeTopic(topic)
  same('replicas after the reassignment', described.partitions[0]?.replicas, after)
  sameRecords('records after the reassignment', (await stage.judge.contents(topic, 0)).records, records)
}

async function measuresPerformance(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const topic = await stage.topic()
  const size = ['--num-records', '5000', '--record-size', '100', '--throughput', '-1']
  const sent = await tool('producer-perf', ['--topic', topic, ...size])
  shows('producer-perf', sent, /^5000 records sent/m)
  same('end of the partition after producer-perf', await stage.judge.offset(topic, 0, -1), 5000)
  const read = await tool('consumer-perf', ['--topic', topic, '--num-records', '5000', '--timeout', '20000'])
  const row = read.trim().split('\n').at(-1)?.split(', ') ?? []
  same('records that consumer-perf read', row[4], '5000')
}

async function listsOffsets(stage: Stage): Promise<void> {
  const topic = await stage.topic(3)
  await stage.judge.seed(topic, sampleRecords(3, 15))
  const listed = async (time: string): Promise<string[]> => {
    const printed = await toolOf(stage)('get-offsets', ['--topic', topic, '--time', time])
    return printed.split('\n').filter((line) => line.startsWith(topic))
  }
  const all = (offset: number): string[] => [0, 1, 2].map((partition) => `${topic}:${partition}:${offset}`)
  same('get-offsets --time latest (ListOffsets)', await listed('latest'), all(15))
  same('get-offsets --time earliest (ListOffsets)', await listed('earliest'), all(0))
  same('get-offsets --time max-timestamp (ListOffsets)', (await listed('max-timestamp')).length, 3)
}

const RATE = 'leader.replication.throttled.rate'

async function altersBrokers(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const [id] = await brokers(stage)
  const entity = ['--entity-type', 'brokers', '--entity-name', String(id)]
  await tool('configs', [...entity, '--alter', '--add-config', `${RATE}=60000000`])
  await eventually('the dynamic setting of a broker (DescribeConfigs)', async () => {
    const printed = await tool('configs', [...entity, '--describe'])
    return printed.includes(`${RATE}=60000000`) || printed.trim().slice(0, 300)
  })
  await tool('configs', [...entity, '--alter', '--delete-config', RATE])
  await eventually('a broker without the setting (DescribeConfigs)', async () => {
    const printed = await tool('configs', [...entity, '--describe'])
    return !printed.includes(RATE) || printed.trim().slice(0, 300)
  })
  shows(
    'configs --describe --all',
    await tool('configs', [...entity, '--describe', '--all']),
    /log\.retention\.hours=\d+/,
  )
  await tool('configs', ['--entity-type', 'clients', '--describe'])
  await tool('configs', ['--entity-type', 'users', '--describe'])
}

const SESSION = 'consumer.session.timeout.ms'

async function configuresGroups(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const entity = ['--entity-type', 'groups', '--entity-name', stage.group]
  await tool('configs', [...entity, '--alter', '--add-config', `${SESSION}=50000`])
  await eventually('a setting of a group (ListConfigResources, DescribeConfigs)', async () => {
    const printed = await tool('configs', ['--entity-type', 'groups', '--describe'])
    const own = new RegExp(`configs for group ${stage.group} are:\\s+${SESSION}=50000 `)
    return own.test(printed) || printed.trim().slice(0, 300)
  })
  await tool('configs', [...entity, '--alter', '--delete-config', SESSION])
  await eventually('a group without the setting (DescribeConfigs)', async () => {
    const printed = await tool('configs', ['--entity-type', 'groups', '--describe'])
    return !printed.includes(stage.group) || printed.trim().slice(0, 300)
  })
}

async function describesProducers(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const topic = await stage.topic()
  const size = ['--num-records', '10', '--record-size', '10', '--throughput', '-1']
  await tool('producer-perf', ['--topic', topic, ...size])
  const printed = await tool('transactions', ['describe-producers', '--topic', topic, '--partition', '0'])
  shows('transactions describe-producers (DescribeProducers)', printed, /^\d+\s+0\s+-1\s+9\s+\d+\s+None/m)
  shows('transactions list (ListTransactions)', await tool('transactions', ['list']), /^TransactionalId\s+Coordinator/m)
}

async function administersOffsets(stage: Stage): Promise<void> {
  const tool = toolOf(stage)
  const topic = await stage.topic(4)
  const group = new GroupPlay(stage, topic, 'classic')
  await group.write('some')
  await group.join('only')
  await group.readAll()
  await group.commitAll()
  const name = ['--group', group.group]
  const states = await tool('consumer-groups', ['--list', '--state'])
  shows('consumer-groups --list --state', states, new RegExp(`^${group.group}\\s+Stable`, 'm'))
  shows('groups --list', await tool('groups', ['--list']), new RegExp(`^${group.group}\\s+Classic\\s+consumer`, 'm'))
  const members = await tool('consumer-groups', ['--describe', ...name, '--members', '--verbose'])
  shows('consumer-groups --members', members, new RegExp(`^${group.group}\\s.*\\s4\\s`, 'm'))
  await group.leave('only')
  await eventually('an empty group (LeaveGroup, ListGroups)', async () => {
    const printed = await tool('consumer-groups', ['--list', '--state'])
    return new RegExp(`^${group.group}\\s+Empty`, 'm').test(printed) || 'it is not listed as empty'
  })
  const reset = ['--reset-offsets', ...name, '--topic', `${topic}:0,1`, '--to-offset', '7', '--execute']
  await tool('consumer-groups', reset)
  same('offsets after --reset-offsets (OffsetCommit)', await stage.judge.committed(group.group, topic, 4), {
    0: 7,
    1: 7,
    2: 25,
    3: 25,
  })
  const lag = await tool('consumer-groups', ['--describe', ...name])
  shows('consumer-groups --describe', lag, new RegExp(`^${group.group}\\s+${topic}\\s+0\\s+7\\s+25\\s+18\\s`, 'm'))
  await tool('consumer-groups', ['--delete-offsets', ...name, '--topic', `${topic}:3`])
  const left = await stage.judge.committed(group.group, topic, 4)
  holds(
    !('3' in left) && left['2'] === 25,
    `after --delete-offsets of partition 3 (OffsetDelete) the group has ${JSON.stringify(left)}`,
  )
}

const ROWS: readonly Omit<Feature, 'toolsOnly'>[] = [
  { name: 'tool-broker-api-versions', shows: 'broker-api-versions', run: listsVersions },
  { name: 'tool-cluster', shows: 'cluster cluster-id, list-endpoints', run: describesCluster },
  { name: 'tool-metadata-quorum', shows: 'metadata-quorum describe --status, --replication', run: describesQuorum },
  { name: 'tool-features', shows: 'features describe, upgrade --dry-run', run: describesFeatures },
  { name: 'tool-log-dirs', shows: 'log-dirs --describe', run: describesLogDirs },
  { name: 'tool-leader-election', shows: 'leader-election of the preferred replica', run: electsLeaders },
  { name: 'tool-reassign-partitions', shows: 'reassign-partitions, all its steps, throttled', run: reassigns },
  { name: 'tool-perf', shows: 'producer-perf and consumer-perf', run: measuresPerformance },
  { name: 'tool-get-offsets', shows: 'get-offsets, latest, earliest and by greatest time', run: listsOffsets },
  { name: 'tool-broker-configs', shows: 'configs of brokers, clients and users', run: altersBrokers },
  { name: 'tool-group-configs', shows: 'configs of groups', run: configuresGroups },
  { name: 'tool-producers', shows: 'transactions describe-producers and list', run: describesProducers },
  {
    name: 'tool-consumer-groups',
    shows: 'groups, consumer-groups: states, members, lag, reset',
    run: administersOffsets,
  },
]

export const toolFeatures: readonly Feature[] = ROWS.map((row) => ({ ...row, toolsOnly: true }))
