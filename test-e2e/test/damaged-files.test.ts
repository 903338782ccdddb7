// Files that were torn, flipped, emptied or lost while a node was down, and a disk that is full: what the node makes of it.
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor, withWire } from '../src/cluster-view.ts'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { batchesOnDisk, segmentFiles } from '../src/log-files.ts'
import { badLines } from '../src/log-lines.ts'
import { type LogLine, type NodeProcess, ProcessCluster } from '../src/process-cluster.ts'

const TOPIC = 'damaged'
const RECORDS = 300
const STORAGE_ERROR = 56

/** Turns every bit of one byte. */
function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] as number) ^ 0xff
  writeFileSync(path, bytes)
}

describe('a node of three', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let victim: NodeProcess
  let end = 0

  beforeAll(async () => {
    // Snapshots after every few changes, so that there are some to damage.
    cluster = await ProcessCluster.start(3, ['metadata.log.max.record.bytes.between.snapshots=2000'])
    view = new ClusterView(cluster)
    const controller = await view.controller()
    victim = cluster.nodes.find(({ id }) => id !== controller) as NodeProcess
    const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== victim.id)
    await view.createTopic(TOPIC, [[...others, victim.id]], {
      'min.insync.replicas': '2',
      'index.interval.bytes': '1024',
    })
    for (let topic = 0; topic < 20; topic++) await view.createTopic(`filler-${topic}`, [others])
    const leader = await view.inSync(TOPIC, 3)
    await withWire(cluster.node(leader).port, async (wire) => {
      for (let at = 0; at < RECORDS; at++) await wire.produce(TOPIC, `record ${at} `.padEnd(500, '.'))
      end = (await wire.listOffset(TOPIC, -1)).offset
    })
  })

  afterAll(() => cluster?.stop())

  /** Ends the victim, damages its files, starts it, and returns what it told when it was whole again. */
  async function comeBack(
    damage: (data: string) => void,
    signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL',
  ): Promise<LogLine[]> {
    await victim.kill(signal)
    const before = victim.output().length
    damage(victim.data)
    victim.start()
    await victim.listening()
    await view.inSync(TOPIC, 3)
    await waitFor('three voters', 20_000, async () => {
      const { voters, observers } = await view.ask((wire) => wire.quorum())
      return voters.length === 3 && observers.every((id) => id !== victim.id) ? true : null
    })
    expect(
      await view.askNode(await view.inSync(TOPIC, 3), async (wire) => (await wire.produce(TOPIC, 'after')).error),
    ).toBe(0)
    return victim.lines(before)
  }

  async function expectWhole(): Promise<void> {
    const other = cluster.nodes.find(({ id }) => id !== victim.id) as NodeProcess
    const range = { from: 0, to: end }
    await waitFor('the same bytes', 10_000, () => {
      const [mine, theirs] = [victim, other].map(({ data }) => batchesOnDisk(data, TOPIC, range))
      return mine?.length === RECORDS && mine.join() === theirs?.join() ? true : null
    })
  }

  const log = (data: string): string => segmentFiles(data, TOPIC, 0, '.log')[0] as string
  const index = (data: string, ending: string): string => segmentFiles(data, TOPIC, 0, ending)[0] as string
  /** The raft store that counts: a node that joined anew has another one. */
  const raft = (data: string): string => {
    const folder = join(data, '__cluster_metadata')
    const identity = JSON.parse(readFileSync(join(folder, 'quorum-identity.json'), 'utf8')) as { store?: string }
    return join(folder, identity.store ?? 'raft')
  }
  /** The folder of the newest log of the raft store. */
  const store = (data: string): string => {
    const newest = readdirSync(raft(data))
      .filter((name) => /^log-\d+$/.test(name))
      .toSorted()
      .at(-1) as string
    return join(raft(data), newest)
  }
  const inStore = (data: string, name: RegExp): string =>
    join(
      store(data),
      readdirSync(store(data))
        .filter((file) => name.test(file))
        .toSorted()
        .at(-1) as string,
    )

  it.each<[string, (data: string) => void]>([
    ['zeros at the end', (data) => appendFileSync(log(data), Buffer.alloc(5_000))],
    ['half a batch at the end', (data) => appendFileSync(log(data), readFileSync(log(data)).subarray(0, 100))],
    ['noise at the end', (data) => appendFileSync(log(data), Buffer.alloc(3_000, 0x5a))],
  ])('cuts %s of a log', async (_name, damage) => {
    // What is in the journal alone would be written over the damage.
    await expectWhole()
    const lines = await comeBack(damage)
    expect(lines.map(({ event }) => event)).toContain('torn tail cut')
    await expectWhole()
  })

  it('puts a log with a flipped byte in its middle aside and fetches it anew', async () => {
    // A clean stop promises everything up to the end. The epochs are gone too, so that the start walks the whole log.
    const lines = await comeBack((data) => {
      flip(log(data), 20_000)
      rmSync(join(data, `${TOPIC}-0`, 'leader-epoch-checkpoint'), { force: true })
    }, 'SIGTERM')
    const events = lines.map(({ event }) => event)
    expect(events.some((event) => /quarantined/.test(event))).toBe(true)
    await expectWhole()
  })

  it.each<[string, (data: string) => void]>([
    ['removed', (data) => [rmSync(index(data, '.index')), rmSync(index(data, '.timeindex'))]],
    [
      'full of noise',
      (data) =>
        ['.index', '.timeindex'].forEach((ending) => writeFileSync(index(data, ending), Buffer.alloc(4_096, 0x77))),
    ],
    ['empty', (data) => ['.index', '.timeindex'].forEach((ending) => truncateSync(index(data, ending), 0))],
  ])('makes indexes anew that are %s', async (_name, damage) => {
    await comeBack(damage, 'SIGTERM')
    await expectWhole()
    await victim.kill('SIGTERM')
    const files = [index(victim.data, '.index'), index(victim.data, '.timeindex')]
    for (const file of files) expect(readFileSync(file).length).toBeGreaterThan(0)
    const checked = hasKafka ? await kafkaTool('dump-log', ['--files', files.join(','), '--index-sanity-check']) : null
    expect(checked?.out.match(/passed sanity check/g) ?? files).toHaveLength(2)
    victim.start()
    await victim.listening()
    await view.inSync(TOPIC, 3)
  })

  it.each<[string, (data: string) => void]>([
    ['quorum-state is gone', (data) => rmSync(join(raft(data), 'quorum-state'))],
    ['quorum-state is noise', (data) => writeFileSync(join(raft(data), 'quorum-state'), Buffer.alloc(8_192, 0x33))],
    ['CURRENT of the store is gone', (data) => rmSync(join(store(data), 'CURRENT'))],
    ['MANIFEST of the store is gone', (data) => rmSync(inStore(data, /^MANIFEST/))],
    ['a block of the store’s log is flipped', (data) => flip(inStore(data, /^\d+\.log$/), 20)],
    ['the store is gone', (data) => rmSync(raft(data), { recursive: true })],
  ])('joins anew as another voter when %s', async (_name, damage) => {
    const directory = (await view.ask((wire) => wire.quorum())).directories.get(victim.id)
    const lines = await comeBack(damage)
    expect(lines.map(({ event }) => event)).toContain(
      'the quorum store lost data: this node joins anew as another voter',
    )
    // The old voter leaves with one change, the new one comes with the next.
    const voters = await waitFor('another voter in its place', 20_000, async () => {
      const { voters: now, directories } = await view.ask((wire) => wire.quorum())
      return [undefined, directory].includes(directories.get(victim.id)) ? null : now
    })
    expect(voters).toContain(victim.id)
    expect(voters).toHaveLength(3)
  })

  const snapshots = (data: string): string[] => {
    const folder = join(data, '__cluster_metadata')
    return readdirSync(folder)
      .filter((name) => name.endsWith('.mrsnap'))
      .toSorted()
      .map((name) => join(folder, name))
  }

  /** Changes enough for another snapshot, when the one before was put aside. */
  async function makeSnapshot(): Promise<void> {
    for (let change = 0; change < 40; change++)
      await view.setConfig(TOPIC, 'retention.ms', String(1_000_000_000 + change))
    await waitFor('a snapshot', 10_000, () => (snapshots(victim.data).length > 0 ? true : null))
  }

  it.each<[string, (path: string) => void]>([
    ['flipped', (path) => flip(path, -10)],
    ['half written', (path) => truncateSync(path, 20)],
    ['empty', (path) => truncateSync(path, 0)],
  ])('does without a snapshot that is %s', async (_name, damage) => {
    await makeSnapshot()
    const lines = await comeBack((data) => damage(snapshots(data).at(-1) as string))
    expect(lines.map(({ event }) => event)).toContain('a snapshot is damaged and put aside')
  })

  it('refuses to start with a snapshot of a later version, and tells so', async () => {
    await makeSnapshot()
    await victim.kill('SIGTERM')
    const path = snapshots(victim.data).at(-1) as string
    const whole = readFileSync(path)
    const later = Buffer.from(whole)
    later.writeUInt16BE(2, 6)
    later.writeUInt32BE(crc32(later.subarray(0, 8)), 8)
    writeFileSync(path, later)
    const before = victim.output().length
    victim.start()
    expect(await victim.ended()).not.toBe(0)
    expect(victim.output().slice(before).join('\n') + victim.errors()).toMatch(/version 2/)
    writeFileSync(path, whole)
    victim.start()
    await victim.listening()
    expect(await view.inSync(TOPIC, 3)).toBeGreaterThan(0)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})

/** A small file system of its own, or the reason why there is none. */
function mountSmall(path: string, megabytes: number): string | null {
  mkdirSync(path, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'pipe' })
    return null
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim()
  }
}

describe('a node whose disk is full', () => {
  let cluster: ProcessCluster
  let refusal: string | null
  let ballast: string

  beforeAll(async () => {
    cluster = await ProcessCluster.prepare(1)
    refusal = mountSmall(cluster.node(1).data, 200)
    if (refusal !== null) process.stdout.write(`no small file system here (${refusal}): the full disk is skipped\n`)
    ballast = join(cluster.node(1).data, 'lost+found')
    if (refusal === null) await cluster.startAll()
  })

  afterAll(async () => {
    for (const node of cluster.nodes) await node.kill('SIGKILL')
    if (refusal === null) execFileSync('umount', [cluster.node(1).data])
    await cluster.stop()
  })

  it('refuses writes with KAFKA_STORAGE_ERROR, goes on reading, and takes writes again by itself', async (context) => {
    context.skip(refusal !== null, refusal ?? '')
    const view = new ClusterView(cluster)
    const node = cluster.node(1)
    await view.createTopic(TOPIC, [[1]])
    await waitFor('the log', 5_000, async () =>
      (await view.askNode(1, (wire) => wire.produce(TOPIC, 'first'))).error === 0 ? true : null,
    )
    mkdirSync(ballast)
    writeFileSync(join(ballast, 'ballast'), Buffer.alloc(150_000_000))
    const full = await waitFor('a refusal', 20_000, async () => {
      const { error } = await view.askNode(1, (wire) => wire.produce(TOPIC, 'x'.repeat(100_000)))
      return error === 0 ? null : error
    })
    expect(full).toBe(STORAGE_ERROR)
    expect((await view.askNode(1, (wire) => wire.fetch(TOPIC, 0))).values[0]).toBe('first')
    rmSync(ballast, { recursive: true })
    await waitFor('a write', 20_000, async () =>
      (await view.askNode(1, (wire) => wire.produce(TOPIC, 'again'))).error === 0 ? true : null,
    )
    expect(node.running).toBe(true)
    const events = node.lines().map(({ event }) => event)
    expect(events).toContain('log directory is full, appends are refused until space is back')
    expect(events).toContain('log directory has space again')
    expect(existsSync(node.errorFile) ? node.errors() : '').toBe('')
  })
})
