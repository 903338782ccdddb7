import { ErrorCode } from '@millrace/base'
import { type Client, KafkaError, type TopicMetadata } from '@millrace/client'
import { type ClusterOptions, pairs, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { printJson, printTable } from '../output.ts'

interface CreateOptions extends ClusterOptions {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: readonly string[]
  readonly ifNotExists?: boolean
}

export async function createTopic(name: string, options: CreateOptions): Promise<void> {
  const { partitions, replicationFactor } = options
  const configs = pairs(options.config)
  await withClient(options, async ({ admin }) => {
    const wanted = {
      name,
      ...(partitions === undefined ? {} : { partitions }),
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
      configs,
    }
    let created = true
    await admin.createTopic(wanted).catch((error: unknown) => {
      if (
        options.ifNotExists !== true ||
        !(error instanceof KafkaError) ||
        error.code !== ErrorCode.TOPIC_ALREADY_EXISTS
      )
        throw error
      created = false
    })
    if (options.json === true) printJson({ topic: name, created })
    else process.stdout.write(created ? `Created topic ${name}.\n` : `Topic ${name} is there already.\n`)
  })
}

export async function listTopics(options: ClusterOptions & { readonly internal?: boolean }): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const topics = (await admin.listTopics()).filter(({ internal }) => options.internal === true || !internal)
    if (options.json === true) for (const topic of topics) printJson(summary(topic))
    else if (topics.length === 0)
      process.stderr.write('There are no topics. Create one with: millrace topic create NAME\n')
    else
      printTable(
        ['TOPIC', 'PARTITIONS', 'REPLICAS', 'UNDER-REPLICATED', 'LEADERLESS'],
        topics
          .map(summary)
          .map((topic) => [topic.topic, topic.partitions, topic.replicas, topic.underReplicated, topic.leaderless]),
      )
  })
}

function summary(topic: TopicMetadata): {
  topic: string
  partitions: number
  replicas: number
  underReplicated: number
  leaderless: number
} {
  return {
    topic: topic.name,
    partitions: topic.partitions.length,
    replicas: topic.partitions[0]?.replicas.length ?? 0,
    underReplicated: topic.partitions.filter(({ isr, replicas }) => isr.length < replicas.length).length,
    leaderless: topic.partitions.filter(({ leader }) => leader < 0).length,
  }
}

export async function describeTopic(name: string, options: ClusterOptions): Promise<void> {
  await withClient(options, async (client) => {
    const topic = await client.admin.describeTopic(name)
    const configs = (await client.admin.topicConfigs(name)).filter(({ source }) => source === 'topic')
    const partitions = await Promise.all(topic.partitions.map((partition) => withOffsets(client, name, partition)))
    if (options.json === true)
      return printJson({
        topic: name,
        topicId: topic.topicId,
        internal: topic.internal,
        configs: Object.fromEntries(configs.map((entry) => [entry.name, entry.value])),
        partitions,
      })
    process.stdout.write(`Topic ${name}, id ${topic.topicId}\n`)
    for (const { name: key, value } of configs) process.stdout.write(`  ${key}=${value}\n`)
    printTable(
      ['PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'IN SYNC', 'EARLIEST', 'LATEST'],
      partitions.map(({ partition, leader, leaderEpoch, replicas, isr, earliest, latest }) => [
        partition,
        leader < 0 ? 'none' : leader,
        leaderEpoch,
        replicas.join(','),
        isr.join(','),
        earliest ?? '-',
        latest ?? '-',
      ]),
    )
  })
}

type Partition = TopicMetadata['partitions'][number]

/** Offsets are null where there is no leader to ask, or none that answers. */
async function withOffsets(
  client: Client,
  topic: string,
  partition: Partition,
): Promise<Partition & { earliest: number | null; latest: number | null }> {
  const none = { earliest: null, latest: null }
  if (partition.leader < 0) return { ...partition, ...none }
  return { ...partition, ...(await client.admin.offsets(topic, partition.partition).catch(() => none)) }
}

interface AlterOptions extends ClusterOptions {
  readonly partitions?: number
  readonly config?: readonly string[]
  readonly deleteConfig?: readonly string[]
}

export async function alterTopic(name: string, options: AlterOptions): Promise<void> {
  const changes: Record<string, string | null> = { ...pairs(options.config) }
  for (const key of options.deleteConfig ?? []) changes[key] = null
  const { partitions } = options
  if (partitions === undefined && Object.keys(changes).length === 0)
    throw new UsageError('There is nothing to change.', 'Name --partitions, --config key=value or --delete-config key.')
  await withClient(options, async ({ admin }) => {
    if (Object.keys(changes).length > 0) await admin.alterTopicConfigs(name, changes)
    if (partitions !== undefined) await admin.createPartitions(name, partitions)
    if (options.json === true) printJson({ topic: name, configs: changes, partitions: partitions ?? null })
    else process.stdout.write(`Changed topic ${name}.\n`)
  })
}

export async function deleteTopic(name: string, options: ClusterOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    await admin.deleteTopic(name)
    if (options.json === true) printJson({ topic: name, deleted: true })
    else process.stdout.write(`Deleted topic ${name}.\n`)
  })
}
