// A process that is stopped for longer than its session, under load, and goes on: it must not believe that it still leads.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor, withWire } from '../src/cluster-view.ts'
import { badLines } from '../src/log-lines.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { readBack } from '../src/read-back.ts'
import { compare, KafkaJsWriter, longestGap, progress } from '../src/writers.ts'
import { Wire } from '../src/wire.ts'

const PAUSE_MS = 20_000
const NOT_LEADER = 6

/** One paused leader, with everything that was seen. */
interface Seen {
  readonly victim: number
  readonly newLeader: number
  /** The first answers on connections that were opened before the pause: to requests sent while it slept, then to those sent after. */
  readonly asleep: readonly { request: string; error: number }[]
  readonly awake: readonly { request: string; error: number; offset?: number }[]
  readonly lost: readonly string[]
  readonly stale: readonly string[]
  /** Of kafkajs. */
  readonly gapMs: number
  /** Until the new leader acknowledged a write. */
  readonly writableMs: number
}

async function askAll(
  wires: readonly Wire[],
  topic: string,
  tag: string,
): Promise<{ request: string; error: number }[]> {
  const [one, all, read] = wires as [Wire, Wire, Wire]
  const answers = await Promise.all([
    one.produce(topic, `stale-${tag}-1`, { acks: 1 }),
    all.produce(topic, `stale-${tag}-all`, { acks: -1 }),
    read.fetch(topic, 0),
  ])
  return answers.map(({ error }, at) => ({ request: ['acks=1', 'acks=all', 'fetch'][at] as string, error }))
}

async function pauseLeader(cluster: ProcessCluster, view: ClusterView, choose: 'leader' | 'controller'): Promise<Seen> {
  const topic = `paused-${choose}`
  const controller = await view.controller()
  const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== controller)
  const replicas = choose === 'controller' ? [controller, ...others] : [...others, controller]
  const victim = replicas[0] as number
  await view.createTopic(topic, [replicas], { 'min.insync.replicas': '2' })
  await view.inSync(topic, 3)
  // kafkajs asks nobody but nodes that it is connected to: one of them must not be the sleeping one.
  const bootstrap = cluster.nodes.filter(({ id }) => id !== victim).map(({ port: at }) => `127.0.0.1:${at}`)
  const writer = await new KafkaJsWriter(bootstrap, topic, 500).start()
  await progress(writer, 100)
  const { port } = cluster.node(victim)
  const before = await Promise.all([1, 2, 3, 4, 5, 6].map(() => Wire.open(port)))
  // Every connection has served something, so that the node knows it.
  for (const wire of before) expect((await wire.fetch(topic, 0)).error).toBe(0)

  const paused = performance.now()
  await cluster.node(victim).kill('SIGSTOP')
  view.silent.add(victim)
  const newLeader = await waitFor('another leader', 15_000, async () => {
    const { leader } = await view.partition(topic)
    return leader >= 0 && leader !== victim ? leader : null
  })
  await waitFor('a write to the new leader', 15_000, async () => {
    const { error } = await withWire(cluster.node(newLeader).port, (wire) => wire.produce(topic, 'direct'))
    return error === 0 ? true : null
  })
  const writableMs = performance.now() - paused
  // These wait in the sockets of the sleeping process.
  const waiting = askAll(before.slice(0, 3), topic, 'asleep')
  await sleep(Math.max(0, PAUSE_MS - (performance.now() - paused)))
  await cluster.node(victim).kill('SIGCONT')
  const awake = await askAll(before.slice(3), topic, 'awake')
  const asleep = await waiting
  view.silent.delete(victim)
  await view.inSync(topic, 3)
  await progress(writer, 50)
  const gapMs = longestGap(writer, paused)
  await writer.stop()
  for (const wire of before) wire.close()

  const { values } = await readBack(cluster.bootstrap, topic, 0)
  const { lost } = compare(writer.acknowledged, values, 'js')
  const stale = values.filter((value) => value.startsWith('stale-'))
  return { victim, newLeader, asleep, awake, lost, stale, gapMs, writableMs }
}

/** A cluster whose node in this role was paused, and what was seen. */
interface Paused {
  readonly cluster: ProcessCluster
  readonly view: ClusterView
  readonly seen: Seen
}

const ROLES = ['leader', 'controller'] as const
const runs = new Map<string, Paused>()

// Most of the time is sleep: both clusters sleep at once.
beforeAll(() => Promise.all(ROLES.map((role) => run(role))))

async function run(role: (typeof ROLES)[number]): Promise<void> {
  const cluster = await ProcessCluster.start(3)
  try {
    const view = new ClusterView(cluster)
    const seen = await pauseLeader(cluster, view, role)
    runs.set(role, { cluster, view, seen })
    process.stdout.write(
      `paused ${role}: writable again after ${seen.writableMs.toFixed(0)} ms, kafkajs without acknowledgement for ${seen.gapMs.toFixed(0)} ms\n`,
    )
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

afterAll(async () => {
  for (const { cluster } of runs.values()) await cluster.stop()
})

describe.each(ROLES)('a paused %s', (choose) => {
  const paused = (): Paused => runs.get(choose) as Paused

  it('was replaced while it slept', () => {
    expect(paused().seen.newLeader).not.toBe(paused().seen.victim)
  })

  it('answers NOT_LEADER to what was sent to it while it slept', () => {
    expect(paused().seen.asleep.map(({ error }) => error)).toEqual([NOT_LEADER, NOT_LEADER, NOT_LEADER])
  })

  it('answers NOT_LEADER to what is sent as it wakes', () => {
    expect(paused().seen.awake.map(({ error }) => error)).toEqual([NOT_LEADER, NOT_LEADER, NOT_LEADER])
  })

  it('accepted nothing of that', () => {
    expect(paused().seen.stale).toEqual([])
  })

  it('costs no acknowledged record', () => {
    expect(paused().seen.lost).toEqual([])
  })

  it('is in the ISR and among the voters again', async () => {
    const { view, seen } = paused()
    await view.inSync(`paused-${choose}`, 3)
    expect((await view.ask((wire) => wire.quorum())).voters).toContain(seen.victim)
  })

  it('tells of its pause in its log', () => {
    const { cluster, seen } = paused()
    const events = cluster
      .node(seen.victim)
      .lines()
      .map(({ event }) => event)
    expect(events).toContain('this node was paused: serving nothing until the controller answers')
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(paused().cluster)).toEqual([])
  })
})
