// What a node makes of its folders: wiped ones, those of others, damaged ones, and one that another process uses.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor, withWire } from '../src/cluster-view.ts'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { batchesOnDisk } from '../src/log-files.ts'
import { badLines } from '../src/log-lines.ts'
import { freePorts } from '@millrace/testing'
import { MAIN, type NodeProcess, ProcessCluster } from '../src/process-cluster.ts'

const REPLICATED = 'replicated'
const ALONE = 'alone'
const NUMBER_OF_RECORDS = 200

async function fill(cluster: ProcessCluster, view: ClusterView, topic: string): Promise<string[]> {
  const leader = (await view.partition(topic)).leader
  const values = Array.from({ length: NUMBER_OF_RECORDS }, (_, at) => `${topic}-${at}`)
  await withWire(cluster.node(leader).port, async (wire) => {
    // Everybody knows of a leader before it has made its log.
    await waitFor('the log', 5_000, async () => ((await wire.fetch(topic, 0)).error === 0 ? true : null))
    for (const value of values) expect((await wire.produce(topic, value)).error).toBe(0)
  })
  return values
}

async function readAll(cluster: ProcessCluster, view: ClusterView, topic: string): Promise<readonly string[]> {
  const { leader } = await view.partition(topic)
  return withWire(cluster.node(leader).port, async (wire) => (await wire.fetch(topic, 0)).values)
}

describe('one wiped folder of three', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let values: string[]
  let victim: NodeProcess
  let directoryBefore: string | undefined
  let seenLeading = false

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3)
    view = new ClusterView(cluster)
    const controller = await view.controller()
    victim = cluster.nodes.find(({ id }) => id !== controller) as NodeProcess
    const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== victim.id)
    await view.createTopic(REPLICATED, [[victim.id, ...others]], { 'min.insync.replicas': '2' })
    await view.createTopic(ALONE, [[victim.id]])
    await view.inSync(REPLICATED, 3)
    values = await fill(cluster, view, REPLICATED)
    await fill(cluster, view, ALONE)
    directoryBefore = (await view.ask((wire) => wire.quorum())).directories.get(victim.id)
    await victim.kill('SIGKILL')
    rmSync(victim.data, { recursive: true })
    victim.start()
    await victim.listening()
    // Whoever leads the partition while the wiped node comes back has all of it.
    const watching = watchLeaders()
    await view.inSync(REPLICATED, 3)
    seenLeading = await watching
  })

  afterAll(() => cluster?.stop())

  /** Whether anything was ever served that is less than everything. */
  async function watchLeaders(): Promise<boolean> {
    let short = false
    for (let look = 0; look < 40; look++) {
      const { leader } = await view.partition(REPLICATED)
      if (leader >= 0) {
        const { error, values: served } = await withWire(cluster.node(leader).port, (wire) => wire.fetch(REPLICATED, 0))
        if (error === 0 && served.length < NUMBER_OF_RECORDS) short = true
      }
      await sleep(50)
    }
    return short
  }

  it('never leads with an empty log', () => {
    expect(seenLeading).toBe(false)
  })

  it('is fetched anew, byte by byte', async () => {
    expect(await readAll(cluster, view, REPLICATED)).toEqual(values)
    const range = { from: 0, to: NUMBER_OF_RECORDS }
    const survivor = cluster.nodes.find(({ id }) => id !== victim.id) as NodeProcess
    expect(batchesOnDisk(victim.data, REPLICATED, range)).toEqual(batchesOnDisk(survivor.data, REPLICATED, range))
  })

  it('is a voter again, as another one', async () => {
    const directory = await waitFor('the voter', 20_000, async () => {
      const found = (await view.ask((wire) => wire.quorum())).directories.get(victim.id)
      return found !== undefined && found !== directoryBefore ? found : null
    })
    expect(readFileSync(join(victim.data, 'meta.properties'), 'utf8')).toContain(`directory.id=${directory}`)
  })

  it('leaves a partition that had no other replica without a leader, and unwritten', async () => {
    expect((await view.partition(ALONE)).leader).toBe(-1)
    const answers = await withWire(victim.port, async (wire) => [
      (await wire.produce(ALONE, 'x', { acks: 1 })).error,
      (await wire.fetch(ALONE, 0)).error,
    ])
    for (const error of answers) expect([5, 6]).toContain(error)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})

describe('two wiped folders of three', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let values: string[]
  const wiped = [1, 2]
  const linesBefore = new Map<number, number>()

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3)
    view = new ClusterView(cluster)
    await view.createTopic(REPLICATED, [[3, 1, 2]], { 'min.insync.replicas': '2' })
    await view.inSync(REPLICATED, 3)
    values = await fill(cluster, view, REPLICATED)
    for (const node of cluster.nodes) await node.kill('SIGTERM')
    for (const id of wiped) renameSync(cluster.node(id).data, `${cluster.node(id).data}.aside`)
    for (const node of cluster.nodes) linesBefore.set(node.id, node.output().length)
    for (const node of cluster.nodes) node.start()
    await Promise.all(cluster.nodes.map((node) => node.listening()))
    await sleep(4_000)
  })

  afterAll(() => cluster?.stop())

  it('halt the cluster: nobody leads, nothing is written or served', async () => {
    const answers = await Promise.all(
      cluster.nodes.map(({ port }) =>
        withWire(port, (wire) =>
          Promise.race([wire.produce(REPLICATED, 'invented').then(({ error }) => error), sleep(2_000, 'silence')]),
        ),
      ),
    )
    expect(answers).not.toContain(0)
    expect(cluster.nodes.map(({ running }) => running)).toEqual([true, true, true])
    const led = cluster.nodes.flatMap((node) => node.lines().slice(linesBefore.get(node.id)))
    expect(led.map(({ event }) => event)).not.toContain('this controller leads')
  })

  it('the wiped nodes tell that they begin anew beside a cluster that is there', () => {
    for (const id of wiped) {
      const events = cluster
        .node(id)
        .lines(linesBefore.get(id))
        .map(({ event }) => event)
      expect(events).toContain('folder formatted')
      expect(events).toContain('an already formed cluster is met')
    }
  })

  it('the survivor keeps everything', () => {
    expect(batchesOnDisk(cluster.node(3).data, REPLICATED, { from: 0, to: NUMBER_OF_RECORDS })).toHaveLength(
      NUMBER_OF_RECORDS,
    )
  })

  it('the cluster goes on once the folders are put back', async () => {
    for (const node of cluster.nodes) await node.kill('SIGKILL')
    for (const id of wiped) {
      rmSync(cluster.node(id).data, { recursive: true })
      renameSync(`${cluster.node(id).data}.aside`, cluster.node(id).data)
    }
    await cluster.startAll()
    await view.inSync(REPLICATED, 3)
    expect(await readAll(cluster, view, REPLICATED)).toEqual(values)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})

describe('a folder that is not this node’s', () => {
  let cluster: ProcessCluster
  let node: NodeProcess

  beforeAll(async () => {
    cluster = await ProcessCluster.prepare(1)
    node = cluster.node(1)
  })

  afterAll(() => cluster?.stop())

  async function refusal(): Promise<{ exitCode: number | null; said: string }> {
    const before = node.errors().length
    node.start()
    const exitCode = await node.ended(15_000)
    return { exitCode, said: node.errors().slice(before) }
  }

  function write(meta: string): void {
    rmSync(node.data, { recursive: true, force: true })
    mkdirSync(node.data, { recursive: true })
    writeFileSync(join(node.data, 'meta.properties'), meta)
  }

  it('is refused when Apache Kafka formatted it', async () => {
    write(
      '#\n#Sat Jan 31 12:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\ndirectory.id=JX-pjAWKqzwFEnvFUsAh0w\nnode.id=1\nversion=1\n',
    )
    const { exitCode, said } = await refusal()
    expect(exitCode).toBe(1)
    expect(said).toContain('was formatted by Apache Kafka')
    expect(said).toContain('name an empty folder in log.dirs')
  })

  it.skipIf(!hasKafka)(
    'is refused when Kafka’s own StorageTool formatted it, and nothing in it is changed',
    async () => {
      rmSync(node.data, { recursive: true, force: true })
      const formatted = await kafkaTool('storage', ['format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk', '-c', node.configFile])
      expect(formatted).toMatchObject({ status: 0 })
      const before = readFileSync(join(node.data, 'meta.properties'), 'utf8')
      const { exitCode, said } = await refusal()
      expect(exitCode).toBe(1)
      expect(said).toContain('was formatted by Apache Kafka')
      expect(readFileSync(join(node.data, 'meta.properties'), 'utf8')).toBe(before)
    },
  )

  it('is refused when it belongs to another node', async () => {
    write('format=millrace-1\nversion=1\nnode.id=7\ndirectory.id=JX-pjAWKqzwFEnvFUsAh0w\n')
    expect(await refusal()).toMatchObject({
      exitCode: 1,
      said: expect.stringContaining('belongs to node 7, this is node 1') as string,
    })
  })

  it('is refused when its meta.properties is damaged', async () => {
    write('format=millrace-1\nversion=1\nnode.id=1\ndirectory.id=JX-pj\n')
    expect(await refusal()).toMatchObject({
      exitCode: 1,
      said: expect.stringContaining('meta.properties is damaged') as string,
    })
    write('\0\0\0\0\0\0')
    expect((await refusal()).exitCode).toBe(1)
  })

  it('is refused when it holds files of somebody else', async () => {
    rmSync(node.data, { recursive: true, force: true })
    mkdirSync(join(node.data, 'precious'), { recursive: true })
    expect(await refusal()).toMatchObject({
      exitCode: 1,
      said: expect.stringContaining('is not empty (precious)') as string,
    })
    expect(existsSync(join(node.data, 'precious'))).toBe(true)
  })

  it('is refused when it is a file', async () => {
    rmSync(node.data, { recursive: true, force: true })
    writeFileSync(node.data, 'no folder')
    const { exitCode, said } = await refusal()
    expect(exitCode).toBe(1)
    expect(said).toContain(node.data)
    rmSync(node.data)
  })
})

describe('two processes on one folder', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let values: string[]

  beforeAll(async () => {
    cluster = await ProcessCluster.start(1)
    view = new ClusterView(cluster)
    await view.createTopic(ALONE, [[1]])
    await view.inSync(ALONE, 1)
    values = await fill(cluster, view, ALONE)
  })

  afterAll(() => cluster?.stop())

  async function second(change: (config: string) => string): Promise<{ exitCode: number | null; said: string }> {
    const node = cluster.node(1)
    const file = `${node.configFile}.second`
    writeFileSync(file, change(readFileSync(node.configFile, 'utf8')))
    const child = spawn(process.execPath, [MAIN, 'server', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    const [exitCode] = (await once(child, 'exit')) as [number | null]
    clearTimeout(late)
    return { exitCode, said }
  }

  it('on one port instead: the second tells which port is taken', async () => {
    const { exitCode, said } = await second((config) =>
      config.replace(/log\.dirs=.*/, `log.dirs=${cluster.node(1).data}-other`),
    )
    expect(exitCode).toBe(1)
    expect(said).toMatch(/Port \d+ on 127\.0\.0\.1 is taken/)
  })

  it.each(['broker,controller', 'broker'])('the second is refused and touches nothing: %s', async (roles) => {
    const [port = 0, peer = 0] = await freePorts(2)
    const { exitCode, said } = await second((config) =>
      config
        .replaceAll(`:${cluster.node(1).port}`, `:${port}`)
        .replaceAll(`:${cluster.node(1).peerPort}`, `:${peer}`)
        .replace(/process\.roles=.*/, `process.roles=${roles}`),
    )
    expect(exitCode).toBe(1)
    expect(said).toContain(`${cluster.node(1).data} is in use by another process`)
    expect(existsSync(join(cluster.node(1).data, '.kafka_cleanshutdown'))).toBe(false)
    expect(await readAll(cluster, view, ALONE)).toEqual(values)
  })

  it('a copy of a running node’s folder beside it is refused', async () => {
    const copy = `${cluster.node(1).data}-copy`
    cpSync(cluster.node(1).data, copy, { recursive: true })
    const { exitCode, said } = await second((config) =>
      config.replace(/log\.dirs=.*/, `log.dirs=${cluster.node(1).data},${copy}`),
    )
    expect(exitCode).toBe(1)
    expect(said).toMatch(/same directory\.id|another process/)
  })
})
