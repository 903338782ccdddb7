// What the three kinds of acknowledgement promise, and what is answered and shown while fewer replicas are in sync than must be.
import { spawnSync } from 'node:child_process'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor, withWire } from '../src/cluster-view.ts'
import { badLines } from '../src/log-lines.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { readBack } from '../src/read-back.ts'
import type { FetchAnswer } from '../src/wire.ts'
import { hasKcat } from '../src/writers.ts'

const TOPIC = 'acks'
const REQUEST_TIMED_OUT = 7
const NOT_ENOUGH_REPLICAS = 19
const NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20

let cluster: ProcessCluster
let view: ClusterView
let leader: number
let follower: number

beforeAll(async () => {
  cluster = await ProcessCluster.start(3, ['broker.session.timeout.ms=4000', 'broker.heartbeat.interval.ms=500'])
  view = new ClusterView(cluster)
  const controller = await view.controller()
  // The one that is paused is neither the leader nor the controller.
  const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== controller)
  leader = others[0] as number
  follower = others[1] as number
  await view.createTopic(TOPIC, [[leader, follower, controller]], { 'min.insync.replicas': '3' })
  await view.inSync(TOPIC, 3)
  await waitFor('the log', 5_000, async () => ((await readFrom(0)).error === 0 ? true : null))
})

afterAll(async () => {
  await cluster?.node(follower).kill('SIGCONT')
  await cluster?.stop()
})

function readFrom(offset: number): Promise<FetchAnswer> {
  return view.askNode(leader, (wire) => wire.fetch(TOPIC, offset, { waitMs: 50 }))
}

function latest(): Promise<number> {
  return view.askNode(leader, async (wire) => (await wire.listOffset(TOPIC, -1)).offset)
}

function kcatProduce(acks: string, value: string, timeoutMs = 10_000): { status: number | null; said: string } {
  const args = [
    '-P',
    '-b',
    bootstrapOfLeader(),
    '-t',
    TOPIC,
    '-p',
    '0',
    '-X',
    `acks=${acks}`,
    '-X',
    `message.timeout.ms=${timeoutMs}`,
  ]
  const run = spawnSync('kcat', args, { input: `${value}\n`, encoding: 'utf8', timeout: 30_000 })
  return { status: run.status, said: run.stderr }
}

function bootstrapOfLeader(): string {
  return `127.0.0.1:${cluster.node(leader).port}`
}

async function kafkaJsProduce(acks: number, value: string): Promise<string> {
  const kafka = new Kafka({ brokers: [bootstrapOfLeader()], logLevel: logLevel.NOTHING, retry: { retries: 0 } })
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 0 } })
  await producer.connect()
  try {
    await producer.send({ topic: TOPIC, acks, timeout: 1_000, messages: [{ value, partition: 0 }] })
    return 'ok'
  } catch (error) {
    return (error as { type?: string }).type ?? String(error)
  } finally {
    await producer.disconnect()
  }
}

describe('with all replicas in sync', () => {
  it('all three kinds are taken from raw frames, kafkajs and kcat, and are there', async () => {
    const expected: string[] = []
    for (const acks of [0, 1, -1] as const) {
      await view.askNode(leader, async (wire) => {
        expect((await wire.produce(TOPIC, `raw${acks}`, { acks })).error).toBe(0)
        // The same connection answers in order: with this answer the record before it is taken too.
        await wire.listOffset(TOPIC, -1)
      })
      expect(await kafkaJsProduce(acks, `js${acks}`)).toBe('ok')
      expected.push(`raw${acks}`, `js${acks}`)
      if (!hasKcat()) continue
      expect(kcatProduce(String(acks), `kcat${acks}`)).toMatchObject({ status: 0 })
      expected.push(`kcat${acks}`)
    }
    const values = await waitFor('every record', 5_000, async () => {
      const { values: found } = await readBack(cluster.bootstrap, TOPIC, 0)
      return found.length >= expected.length ? found : null
    })
    expect(values.toSorted()).toEqual(expected.toSorted())
  })
})

describe('with a follower that sleeps', () => {
  let before: number
  let parked: Promise<{ error: number }>

  beforeAll(async () => {
    before = await latest()
    await cluster.node(follower).kill('SIGSTOP')
    view.silent.add(follower)
  })

  it('acks=all waits for it and is answered REQUEST_TIMED_OUT; the record stays, unseen', async () => {
    parked = view.askNode(leader, (wire) => wire.produce(TOPIC, 'parked', { timeoutMs: 9_000 }))
    const late = await view.askNode(leader, (wire) => wire.produce(TOPIC, 'late', { timeoutMs: 700 }))
    expect(late.error).toBe(REQUEST_TIMED_OUT)
    expect(await latest()).toBe(before)
    expect((await readFrom(before)).values).toEqual([])
  })

  it('what waited when the ISR shrank below the minimum is not acknowledged', async () => {
    await waitFor('a smaller ISR', 15_000, async () => ((await view.partition(TOPIC)).isr.length === 2 ? true : null))
    expect([REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND]).toContain((await parked).error)
  })

  it('acks=all is refused with NOT_ENOUGH_REPLICAS and appends nothing', async () => {
    const refused = await view.askNode(leader, (wire) => wire.produce(TOPIC, 'refused', { timeoutMs: 1_000 }))
    expect(refused.error).toBe(NOT_ENOUGH_REPLICAS)
    expect(await kafkaJsProduce(-1, 'refused')).toContain('there are fewer in-sync replicas than required')
    if (!hasKcat()) return
    const { said } = kcatProduce('-1', 'refused', 1_500)
    expect(said).toMatch(/Not enough in-sync replicas|timed out/)
  })

  it('acks=1 and acks=0 are taken', async () => {
    expect((await view.askNode(leader, (wire) => wire.produce(TOPIC, 'one', { acks: 1 }))).error).toBe(0)
    expect(await kafkaJsProduce(1, 'one')).toBe('ok')
    await view.askNode(leader, async (wire) => {
      await wire.produce(TOPIC, 'none', { acks: 0 })
      await wire.listOffset(TOPIC, -1)
    })
  })

  it('no consumer sees anything above the watermark', async () => {
    expect(await latest()).toBe(before)
    for (let look = 0; look < 5; look++) {
      const { values, highWatermark } = await readFrom(before)
      expect({ values, highWatermark }).toEqual({ values: [], highWatermark: before })
    }
    const others = cluster.nodes.filter(({ id }) => id !== follower).map(({ port }) => `127.0.0.1:${port}`)
    expect((await readBack(others, TOPIC, 0)).values).toHaveLength(before)
  })

  it('a fetch behind the watermark and beyond the end is OFFSET_OUT_OF_RANGE, between them empty', async () => {
    expect((await readFrom(before + 1)).error).toBe(0)
    expect((await readFrom(before + 1_000)).error).toBe(1)
  })

  it('everything that was appended is seen once the follower is back, and nothing that was refused', async () => {
    await cluster.node(follower).kill('SIGCONT')
    view.silent.delete(follower)
    await view.inSync(TOPIC, 3)
    const values = await waitFor('the records', 10_000, async () => {
      const found = (await readFrom(before)).values
      return found.length >= 5 ? found : null
    })
    expect(values).toEqual(['parked', 'late', 'one', 'one', 'none'])
    expect((await withWire(cluster.node(leader).port, (wire) => wire.produce(TOPIC, 'after'))).error).toBe(0)
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})
