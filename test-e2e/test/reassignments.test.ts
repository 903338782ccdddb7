// Partitions move between processes while others write to them: by requests of our own, and by Kafka's own tool.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ErrorCode } from '@millrace/base'
import { AlterPartitionReassignmentsApi, DescribeConfigsApi, ListPartitionReassignmentsApi } from '@millrace/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor } from '../src/cluster-view.ts'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { badLines } from '../src/log-lines.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { readBack } from '../src/read-back.ts'
import type { Wire } from '../src/wire.ts'
import { KafkaJsWriter } from '../src/writers.ts'

const SETTINGS = { 'min.insync.replicas': '2', 'file.delete.delay.ms': '100' }

let cluster: ProcessCluster
let view: ClusterView

beforeAll(async () => {
  cluster = await ProcessCluster.start(4, ['default.replication.factor=3', 'log.segment.bytes=1048576'])
  view = new ClusterView(cluster)
})

afterAll(() => cluster?.stop())

/** The error of the one partition. */
async function alter(topic: string, replicas: readonly number[] | null): Promise<number> {
  const answer = await view.ask((wire) =>
    wire.ask(AlterPartitionReassignmentsApi, 1, {
      timeoutMs: 10_000,
      allowReplicationFactorChange: true,
      topics: [
        { name: topic, partitions: [{ partitionIndex: 0, replicas: replicas === null ? null : [...replicas] }] },
      ],
    }),
  )
  return answer.errorCode || (answer.responses[0]?.partitions[0]?.errorCode ?? -1)
}

/** What is told of a topic's reassignment, by any node. */
async function under(
  wire: Wire,
  topic: string,
): Promise<{ adding: readonly number[]; removing: readonly number[] } | null> {
  const { topics } = await wire.ask(ListPartitionReassignmentsApi, 0, { timeoutMs: 10_000, topics: null })
  const found = topics.find(({ name }) => name === topic)?.partitions[0]
  return found === undefined ? null : { adding: found.addingReplicas, removing: found.removingReplicas }
}

const arrived = (topic: string): Promise<true> =>
  waitFor(`the end of the reassignment of ${topic}`, 60_000, async () =>
    (await view.ask((wire) => under(wire, topic))) === null ? true : null,
  )

const hasFolder = (node: number, topic: string): boolean => existsSync(join(cluster.node(node).data, `${topic}-0`))

/** Neither the folder nor what it was renamed to. */
const folderGoes = (node: number, topic: string): Promise<true> =>
  waitFor(`node ${node} without a folder of ${topic}`, 10_000, () =>
    readdirSync(cluster.node(node).data).some((name) => name.startsWith(`${topic}-0`)) ? null : true,
  )

async function seed(topic: string, megabytes: number): Promise<void> {
  const leader = await view.inSync(topic, 3)
  const value = 'x'.repeat(100_000)
  await view.askNode(leader, async (wire) => {
    for (let at = 0; at < megabytes * 10; at++)
      // A leader may not have heard of its leadership yet.
      await waitFor('a write', 10_000, async () => ((await wire.produce(topic, value)).error === 0 ? true : null))
  })
}

/** Everything that was acknowledged is there, in its order. */
async function readsAll(topic: string, writer: KafkaJsWriter): Promise<void> {
  const { values } = await readBack(cluster.bootstrap, topic, 0)
  const wanted = new Set(writer.acknowledged)
  const first = [...new Set(values.filter((value) => wanted.has(value)))]
  expect(first.length).toBe(writer.acknowledged.length)
  expect(first).toEqual(writer.acknowledged)
}

const written = (writer: KafkaJsWriter, more: number): Promise<true> => {
  const wanted = writer.acknowledged.length + more
  return waitFor(`${more} more writes`, 30_000, () => (writer.acknowledged.length >= wanted ? true : null))
}

describe('a partition that is written to', () => {
  it('moves to other nodes and loses nothing, and the folders that it leaves disappear', async () => {
    await view.createTopic('moved', [[1, 2, 3]], SETTINGS)
    await seed('moved', 5)
    const writer = await new KafkaJsWriter(cluster.bootstrap, 'moved', 1_000).start()
    await written(writer, 50)
    expect(await alter('moved', [4, 2, 3])).toBe(ErrorCode.NONE)
    await arrived('moved')
    expect(await view.partition('moved')).toMatchObject({ leader: 4, replicas: [4, 2, 3] })
    await written(writer, 50)
    expect(await alter('moved', [1, 4])).toBe(ErrorCode.NONE)
    await arrived('moved')
    expect((await view.partition('moved')).replicas).toEqual([1, 4])
    await written(writer, 50)
    await writer.stop()
    for (const node of [2, 3]) await folderGoes(node, 'moved')
    for (const node of [1, 4]) expect(hasFolder(node, 'moved')).toBe(true)
    await readsAll('moved', writer)
  })

  it('moves though the node that it moves to is killed on the way', async () => {
    await view.createTopic('killed', [[1, 2, 3]], SETTINGS)
    await seed('killed', 20)
    const writer = await new KafkaJsWriter(cluster.bootstrap, 'killed', 1_000).start()
    expect(await alter('killed', [4, 3])).toBe(ErrorCode.NONE)
    await cluster.node(4).kill('SIGKILL')
    await written(writer, 20)
    cluster.node(4).start()
    await cluster.node(4).listening()
    await arrived('killed')
    await written(writer, 20)
    await writer.stop()
    expect((await view.partition('killed')).replicas).toEqual([4, 3])
    for (const node of [1, 2]) await folderGoes(node, 'killed')
    await readsAll('killed', writer)
  })

  it('that is to move to nobody, twice to one, or to a stranger stays, and there is nothing to cancel', async () => {
    await view.createTopic('still', [[1, 2, 3]])
    for (const replicas of [[], [4, 4], [9]])
      expect(await alter('still', replicas)).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(await alter('still', null)).toBe(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    expect(await alter('stranger', [1])).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect((await view.partition('still')).replicas).toEqual([1, 2, 3])
  })
})

describe.skipIf(!hasKafka)('Kafka’s reassign-partitions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-moves-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** A plan for one partition, in the tool's own form. */
  function plan(topic: string, replicas: readonly number[]): string {
    const file = join(folder, `${topic}-${replicas.join('-')}.json`)
    writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition: 0, replicas }] }))
    return file
  }

  async function tool(...args: readonly string[]): Promise<string> {
    const { status, out, err } = await kafkaTool('reassign-partitions', [
      '--bootstrap-server',
      cluster.bootstrap.join(','),
      ...args,
    ])
    expect({ status, err: status === 0 ? '' : `${out}${err}` }).toEqual({ status: 0, err: '' })
    return out
  }

  /** What of a node's or a topic's settings is about throttles. */
  async function throttles(resourceType: 2 | 4, resourceName: string): Promise<Record<string, string | null>> {
    const answer = await view.ask((wire) =>
      wire.ask(DescribeConfigsApi, 4, {
        resources: [{ resourceType, resourceName, configurationKeys: null }],
        includeSynonyms: false,
        includeDocumentation: false,
      }),
    )
    const set = (answer.results[0]?.configs ?? []).filter(
      ({ name, configSource }) => name.includes('.throttled.') && configSource !== 5,
    )
    return Object.fromEntries(set.map(({ name, value }) => [name, value]))
  }

  it('executes a plan under load with a throttle, verifies it and takes the throttle away', async () => {
    await view.createTopic('tool', [[1, 2, 3]], SETTINGS)
    await seed('tool', 3)
    const writer = await new KafkaJsWriter(cluster.bootstrap, 'tool', 1_000).start()
    const file = plan('tool', [4, 2, 3])
    const executed = await tool('--execute', '--reassignment-json-file', file, '--throttle', '1000000')
    expect(executed).toContain('Successfully started partition reassignment for tool-0')
    expect(await throttles(2, 'tool')).toEqual({
      'follower.replication.throttled.replicas': '0:4',
      'leader.replication.throttled.replicas': expect.stringMatching(/0:1/) as string,
    })
    expect(await throttles(4, '1')).toMatchObject({ 'leader.replication.throttled.rate': '1000000' })
    await arrived('tool')
    const verified = await tool('--verify', '--reassignment-json-file', file)
    expect(verified).toContain('Reassignment of partition tool-0 is completed.')
    expect(await throttles(2, 'tool')).toEqual({})
    for (const node of cluster.nodes) expect(await throttles(4, String(node.id))).toEqual({})
    await written(writer, 20)
    await writer.stop()
    await folderGoes(1, 'tool')
    await readsAll('tool', writer)
  })

  it('lists and cancels what a throttle holds up', async () => {
    await view.createTopic('cancel', [[1, 2, 3]], SETTINGS)
    await seed('cancel', 5)
    const writer = await new KafkaJsWriter(cluster.bootstrap, 'cancel', 1_000).start()
    const file = plan('cancel', [1, 2, 4])
    await tool('--execute', '--reassignment-json-file', file, '--throttle', '20000')
    expect(await tool('--list')).toMatch(/cancel-0: replicas: 1,2,4,3\. adding: 4\. removing: 3\./)
    expect(await tool('--verify', '--preserve-throttles', '--reassignment-json-file', file)).toContain(
      'is still in progress',
    )
    await waitFor('a folder to copy to', 10_000, () => (hasFolder(4, 'cancel') ? true : null))
    const cancelled = await tool('--cancel', '--reassignment-json-file', file)
    expect(cancelled).toContain('Successfully cancelled partition reassignment')
    expect(await view.ask((wire) => under(wire, 'cancel'))).toBeNull()
    expect((await view.partition('cancel')).replicas).toEqual([1, 2, 3])
    expect(await throttles(2, 'cancel')).toEqual({})
    await written(writer, 20)
    await writer.stop()
    await folderGoes(4, 'cancel')
    await readsAll('cancel', writer)
  })
})

it('the nodes left only lines that are JSON with level, time, node and event', () => {
  expect(badLines(cluster)).toEqual([])
})
