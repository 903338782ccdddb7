import { eventually, holds, refused, same, sameRecords } from '../core/checks.ts'
import { sampleRecords, type Stage } from '../core/stage.ts'
import type { Feature } from './feature.ts'

async function administersTopics(stage: Stage): Promise<void> {
  const topic = stage.name
  const replication = stage.judge.replication
  await stage.ask('createTopic', { topic, partitions: 3, replication, config: { 'retention.ms': '7200000' } })
  await eventually('the new topic in the list (Metadata)', async () => {
    const { topics } = await stage.ask('listTopics', {})
    return topics.includes(topic) || `the list has ${topics.length} topics without it`
  })
  await eventually('the description of the new topic', async () => {
    const { partitions } = await stage.ask('describeTopic', { topic })
    const found = partitions.map(({ partition, replicas, isr }) => [partition, replicas.length, isr.length])
    const wanted = [0, 1, 2].map((partition) => [partition, replication, replication])
    return (
      JSON.stringify(found.sort(([a = 0], [b = 0]) => a - b)) === JSON.stringify(wanted) ||
      `partition, replicas, in sync: ${JSON.stringify(found)}`
    )
  })
  const again = stage.ask('createTopic', { topic, partitions: 3, replication, config: {} })
  await refused('CreateTopics of a topic that exists', again, /exist/i)
  const entries = await stage.judge.client.admin.topicConfigs(topic)
  same('retention.ms given to CreateTopics', entries.find(({ name }) => name === 'retention.ms')?.value, '7200000')
  await stage.ask('deleteTopic', { topic })
  await eventually('a list without the deleted topic (DeleteTopics, Metadata)', async () => {
    const { topics } = await stage.ask('listTopics', {})
    return !topics.includes(topic) || 'it is still listed'
  })
}

async function altersConfigs(stage: Stage): Promise<void> {
  const topic = await stage.topic()
  const set = { 'retention.ms': '3600000', 'cleanup.policy': 'compact' }
  await stage.ask('alterTopicConfig', { topic, set })
  await eventually('the altered settings (DescribeConfigs)', async () => {
    const { config } = await stage.ask('topicConfig', { topic })
    const found = { 'retention.ms': config['retention.ms'], 'cleanup.policy': config['cleanup.policy'] }
    return JSON.stringify(found) === JSON.stringify(set) || JSON.stringify(found)
  })
  const wrong = stage.ask('alterTopicConfig', { topic, set: { 'retention.ms': 'soon' } })
  await refused('a retention.ms of "soon"', wrong, /invalid|config|40|42/i)
}

async function createsPartitions(stage: Stage): Promise<void> {
  const topic = await stage.topic(2)
  await stage.ask('createPartitions', { topic, count: 5 })
  await eventually('five partitions (CreatePartitions, Metadata)', async () => {
    const { partitions } = await stage.ask('describeTopic', { topic })
    return partitions.length === 5 || `there are ${partitions.length}`
  })
  await refused('CreatePartitions to fewer', stage.ask('createPartitions', { topic, count: 3 }), /partition|37/i)
}

async function deletesRecords(stage: Stage): Promise<void> {
  const topic = await stage.topic(2)
  const records = sampleRecords(2, 30)
  await stage.judge.seed(topic, records)
  await stage.ask('deleteRecords', { topic, partition: 1, before: 12 })
  same('start after DeleteRecords', await stage.judge.offset(topic, 1, -2), 12)
  same('start of the other partition', await stage.judge.offset(topic, 0, -2), 0)
  const kept = records.filter(({ partition }) => partition === 1).slice(12)
  sameRecords('what DeleteRecords left', (await stage.judge.contents(topic, 1)).records, kept, { 1: 12 })
  const beyond = stage.ask('deleteRecords', { topic, partition: 1, before: 1000 })
  await refused('DeleteRecords beyond the end', beyond, /range|OFFSET_OUT|requested offset/i)
  holds((await stage.judge.offset(topic, 1, -2)) === 12, 'a refused DeleteRecords moved the start')
}

export const adminFeatures: readonly Feature[] = [
  {
    name: 'admin-topics',
    shows: 'a topic is created, listed, described and deleted; a second creation is refused',
    run: administersTopics,
  },
  {
    name: 'admin-configs',
    shows: 'settings of a topic are changed and shown; bad ones are refused',
    run: altersConfigs,
  },
  { name: 'admin-partitions', shows: 'a topic grows; it cannot shrink', run: createsPartitions },
  { name: 'admin-delete-records', shows: 'records before an offset are deleted, no others', run: deletesRecords },
]
