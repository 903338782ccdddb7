// Nodes that stop, in order and at once, and come back: what is on their disks afterwards, held against each other and against Kafka's tool.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor } from '../src/cluster-view.ts'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { badLines } from '../src/log-lines.ts'
import { batchesOnDisk, segmentFiles } from '../src/log-files.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { readBack } from '../src/read-back.ts'
import { compare, hasKcat, KafkaJsWriter, KcatWriter, type NumberedWriter, progress } from '../src/writers.ts'

const TOPIC = 'restarts'
/** The smallest segments that Kafka allows, so that recovery, rolling and the comparison cross their boundaries. */
const CONFIG = { 'min.insync.replicas': '2', 'segment.bytes': '1048576', 'index.interval.bytes': '1024' }

let cluster: ProcessCluster
let view: ClusterView
let writers: NumberedWriter[] = []

beforeAll(async () => {
  cluster = await ProcessCluster.start(3)
  view = new ClusterView(cluster)
  await view.createTopic(TOPIC, [[1, 2, 3]], CONFIG)
  await view.inSync(TOPIC, 3)
  await view.askNode(1, async (wire) => {
    for (let at = 0; at < 40; at++) await wire.produce(TOPIC, `bulk-${at} `.padEnd(100_000, 'x'))
  })
  writers = [await new KafkaJsWriter(cluster.bootstrap, TOPIC).start()]
  if (hasKcat()) writers.push(new KcatWriter(cluster.bootstrap, TOPIC))
  await Promise.all(writers.map((writer) => progress(writer, 100)))
})

afterAll(() => cluster?.stop())

/** Restarts a node and returns what its new process logged when it was in the ISR again. */
async function comeBack(id: number): Promise<{ events: string[]; clean: unknown }> {
  const node = cluster.node(id)
  const before = node.output().length
  node.start()
  await node.listening()
  await view.inSync(TOPIC, 3)
  const lines = node.lines(before)
  return {
    events: lines.map(({ event }) => event),
    clean: lines.find(({ event }) => event === 'directory opened')?.['clean'],
  }
}

describe('a node that is stopped in order', () => {
  it.each(['the leader', 'a follower', 'the controller'])(
    'hands over, ends with 0 and comes back clean when it is %s',
    async (role) => {
      const leader = await view.inSync(TOPIC, 3)
      const controller = await view.controller()
      const id =
        role === 'the leader'
          ? leader
          : role === 'the controller'
            ? controller
            : (cluster.nodes.find((node) => node.id !== leader && node.id !== controller)?.id as number)
      const node = cluster.node(id)
      const begun = performance.now()
      // Asked while it stops: whoever stops has given its leaderships away before it is gone.
      const handedOver =
        role === 'the leader'
          ? waitFor('another leader while the old one runs', 10_000, async () => {
              const runs = node.running
              const { leader: now } = await view.partition(TOPIC)
              return now >= 0 && now !== id ? runs : null
            })
          : Promise.resolve(true)
      await node.kill('SIGTERM')
      process.stdout.write(`SIGTERM of ${role}: gone after ${(performance.now() - begun).toFixed(0)} ms\n`)
      expect({ exitCode: node.exitCode, handedOver: await handedOver }).toEqual({ exitCode: 0, handedOver: true })
      expect(existsSync(join(node.data, '.kafka_cleanshutdown'))).toBe(true)
      await Promise.all(writers.map((writer) => progress(writer, 50)))
      const { events, clean } = await comeBack(id)
      expect(clean).toBe(true)
      expect(events).not.toContain('torn tail cut')
      expect(existsSync(join(node.data, '.kafka_cleanshutdown'))).toBe(false)
    },
  )
})

describe('a node that is killed', () => {
  it.each([1, 2, 3])('recovers and is in the ISR again: node %i', async (id) => {
    await cluster.node(id).kill('SIGKILL')
    expect(existsSync(join(cluster.node(id).data, '.kafka_cleanshutdown'))).toBe(false)
    await Promise.all(writers.map((writer) => progress(writer, 50)))
    expect((await comeBack(id)).clean).toBe(false)
  })

  it('comes back when all three are killed at once', async () => {
    // kcat gives up when no broker at all is there.
    await writers[1]?.stop()
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')))
    for (const node of cluster.nodes) node.start()
    await Promise.all(cluster.nodes.map((node) => node.listening()))
    await view.inSync(TOPIC, 3)
    await progress(writers[0] as NumberedWriter, 50)
    expect((await view.partition(TOPIC)).isr).toHaveLength(3)
  })
})

describe('after all of that', () => {
  let end = 0

  beforeAll(async () => {
    await Promise.all(writers.map((writer) => writer.stop()))
    // Every follower has what the leader has, and every node has it on disk, when all have stopped in order.
    await view.inSync(TOPIC, 3)
  })

  it('nothing acknowledged is lost', async () => {
    const { values } = await readBack(cluster.bootstrap, TOPIC, 0)
    const lost = writers.flatMap((writer) => compare(writer.acknowledged, values, writer.prefix).lost)
    expect(lost).toEqual([])
  })

  it('all replicas hold the same bytes between log start and watermark', async () => {
    const leader = await view.inSync(TOPIC, 3)
    const { to, from } = await view.askNode(leader, async (wire) => ({
      from: (await wire.listOffset(TOPIC, -2)).offset,
      to: (await wire.listOffset(TOPIC, -1)).offset,
    }))
    expect(to).toBeGreaterThan(500)
    end = to
    for (const node of cluster.nodes) {
      const begun = performance.now()
      await node.kill('SIGTERM')
      process.stdout.write(`SIGTERM of one after the other: gone after ${(performance.now() - begun).toFixed(0)} ms\n`)
      expect(node.exitCode).toBe(0)
    }
    const [first = [], ...others] = cluster.nodes.map(({ data }) => batchesOnDisk(data, TOPIC, { from, to }))
    expect(first.length).toBeGreaterThan(300)
    for (const other of others) expect(other).toEqual(first)
    expect(segmentFiles(cluster.node(1).data, TOPIC, 0, '.log').length).toBeGreaterThan(2)
  })

  it('all replicas tell the same leader epochs', () => {
    // An epoch that begins at the end has no record: whether a node heard of it before it stopped is chance.
    const histories = cluster.nodes.map(({ data }) =>
      readFileSync(join(data, `${TOPIC}-0`, 'leader-epoch-checkpoint'), 'utf8')
        .split('\n')
        .slice(2)
        .filter((line) => line !== '' && Number(line.split(' ')[1]) < end),
    )
    expect(histories[0]?.length).toBeGreaterThan(3)
    expect(histories[1]).toEqual(histories[0])
    expect(histories[2]).toEqual(histories[0])
  })

  it.skipIf(!hasKafka)('Kafka’s own tool accepts the files of every node', async () => {
    for (const { data } of cluster.nodes) {
      const logs = segmentFiles(data, TOPIC, 0, '.log')
      const dumped = await kafkaTool('dump-log', ['--files', logs.join(','), '--deep-iteration', '--print-data-log'])
      expect(dumped).toMatchObject({ status: 0 })
      expect(dumped.out).not.toMatch(/isvalid: false|invalid|Found timestamp mismatch|Mismatches/i)
      expect(dumped.out.match(/payload: js-/g)?.length ?? 0).toBeGreaterThan(100)
      const indexes = [...segmentFiles(data, TOPIC, 0, '.index'), ...segmentFiles(data, TOPIC, 0, '.timeindex')]
      const checked = await kafkaTool('dump-log', ['--files', indexes.join(','), '--index-sanity-check'])
      expect(checked).toMatchObject({ status: 0 })
      expect(checked.out.match(/passed sanity check/g)).toHaveLength(indexes.length)
      const verified = await kafkaTool('dump-log', ['--files', indexes.join(','), '--verify-index-only'])
      expect(verified).toMatchObject({ status: 0 })
      expect(verified.out).not.toMatch(/Mismatch|Non-sequential|out of order|Exception/i)
    }
  })

  it('the nodes left only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})
