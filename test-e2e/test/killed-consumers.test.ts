// Consumers and coordinators that are killed without notice, while records are written: nothing is skipped, and only what was not committed comes again.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@millrace/client'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { waitFor } from '../src/cluster-view.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { type Place, Reader } from '../src/reader.ts'

const PARTITIONS = 6
const TOPIC = 'read-on'
const GROUP = 'readers'

describe('a group of kafkajs consumers', () => {
  let cluster: ProcessCluster
  let producer: Producer
  const readers: Reader[] = []
  /** How many records each partition has. */
  const written = Array.from({ length: PARTITIONS }, () => 0)
  const writing = new AbortController()
  let writer: Promise<void> = Promise.resolve()

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3, [
      'group.initial.rebalance.delay.ms=0',
      'offsets.topic.replication.factor=3',
    ])
    const retry = { initialRetryTime: 20, maxRetryTime: 200, retries: 1_000 }
    const kafka = new Kafka({ clientId: 'writer', brokers: cluster.bootstrap, logLevel: logLevel.NOTHING, retry })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: 3 }] })
    await admin.disconnect()
    producer = kafka.producer({ idempotent: true, retry })
    await producer.connect()
    writer = writeOn()
  }, 120_000)

  afterAll(async () => {
    writing.abort()
    await writer
    await producer?.disconnect()
    await Promise.all(readers.map((reader) => reader.kill()))
    await cluster?.stop()
  })

  async function writeOn(): Promise<void> {
    while (!writing.signal.aborted) {
      const messages = written.map((_, partition) => ({ partition, value: `v-${written[partition]}` }))
      await producer.send({ topic: TOPIC, messages })
      for (let partition = 0; partition < PARTITIONS; partition++) written[partition] = (written[partition] ?? 0) + 1
      await sleep(5)
    }
  }

  function join(): Reader {
    const reader = new Reader(cluster.bootstrap, GROUP, TOPIC)
    readers.push(reader)
    return reader
  }

  function shared(among: readonly Reader[]): Promise<boolean> {
    return waitFor('a division of all partitions', 60_000, () => {
      const owned = among.flatMap((reader) => [...reader.owned]).sort((a, b) => a - b)
      const isShared =
        String(owned) === String(written.map((_, at) => at)) && among.every((one) => one.owned.length > 0)
      if (!isShared) throw new Error(`they own ${JSON.stringify(among.map((one) => one.owned))}`)
      return true
    })
  }

  /** What the group has committed, by partition. */
  async function committed(): Promise<Map<number, number>> {
    await using client = createClient({ bootstrap: cluster.bootstrap })
    const offsets = await client.admin.groups.offsets(GROUP)
    return new Map(offsets.map(({ partition, offset }) => [partition, offset]))
  }

  /** Everybody reads on in every partition, beyond what is written now. */
  async function readOn(among: readonly Reader[]): Promise<void> {
    const ends = [...written]
    await waitFor('reading on in every partition', 60_000, async () => {
      const seen = furthest(among.flatMap(({ read }) => read))
      return ends.every((end, partition) => (seen.get(partition) ?? -1) >= end) ? true : null
    })
  }

  it('reads the partitions of one that was killed after its session, and again only what that had not committed', async () => {
    const [stays, goes] = [join(), join()]
    await shared([stays, goes])
    await readOn([stays, goes])
    const own = goes.owned
    await goes.kill()
    const before = stays.read.length
    const floor = await committed()
    await shared([stays])
    await readOn([stays])
    expect(skipped([stays, goes], written)).toEqual([])
    const had = new Set(goes.read.map(nameOf))
    const again = stays.read.slice(before).filter((place) => own.includes(place.partition) && had.has(nameOf(place)))
    expect(again.filter(({ partition, offset }) => offset < (floor.get(partition) ?? 0))).toEqual([])
    const taken = new Set(stays.read.slice(before).map(({ partition }) => partition))
    expect(own.filter((partition) => !taken.has(partition))).toEqual([])
  })

  it('reads on when the coordinator of the group is killed, and when another member comes meanwhile', async () => {
    await using client = createClient({ bootstrap: cluster.bootstrap })
    const [group] = await client.admin.groups.describe([GROUP])
    const node = cluster.node(group?.coordinator.id ?? -1)
    const [stays] = readers as [Reader]
    const floor = await committed()
    const before = stays.read.length
    await node.kill('SIGKILL')
    const comes = join()
    await readOn(readers)
    await shared([stays, comes])
    await readOn(readers)
    expect(skipped(readers, written)).toEqual([])
    const low = [...stays.read.slice(before), ...comes.read].filter(
      ({ partition, offset }) => offset < (floor.get(partition) ?? 0),
    )
    expect(low).toEqual([])
    node.start()
    await node.listening()
  })
})

function nameOf({ partition, offset }: Place): string {
  return `${partition}@${offset}`
}

function furthest(places: readonly Place[]): Map<number, number> {
  const furthest = new Map<number, number>()
  for (const { partition, offset } of places) furthest.set(partition, Math.max(offset, furthest.get(partition) ?? -1))
  return furthest
}

/** Offsets that nobody was handed, below the furthest that somebody was. */
function skipped(readers: readonly Reader[], written: readonly number[]): string[] {
  const seen = new Set(readers.flatMap(({ read }) => read.map(nameOf)))
  const ends = furthest(readers.flatMap(({ read }) => read))
  return written.flatMap((_, partition) =>
    Array.from({ length: (ends.get(partition) ?? -1) + 1 }, (__, offset) => nameOf({ partition, offset })).filter(
      (name) => !seen.has(name),
    ),
  )
}
