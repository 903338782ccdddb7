import { ErrorCode } from '@millrace/base'
import { ProduceApi } from '@millrace/protocol'
import { baseSequence, producerEpoch } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import type { Cluster } from '../src/cluster.ts'
import { Numbering, ProducerIdentity } from '../src/producer-identity.ts'
import { PartitionQueue } from '../src/producer-queue.ts'
import { FakeCluster } from './fake-cluster.ts'
import { SequencedLogs } from './sequenced-log.ts'

const RULES = { lingerMs: 0, batchBytes: 1, maxBatchBytes: 40 }
const { NONE, NOT_ENOUGH_REPLICAS, NOT_LEADER_OR_FOLLOWER, MESSAGE_TOO_LARGE } = ErrorCode

/** A queue with so many batches of one record. */
function queueOf(count: number, numbering: Numbering | null): PartitionQueue {
  const queue = new PartitionQueue('t', 0, RULES, numbering)
  for (let at = 0; at < count; at++) {
    const waiter = { sent: () => undefined, failed: () => undefined }
    const accepted = { record: { topic: 't', value: 'x'.repeat(30) }, waiter, place: 0, deadline: 1e9, epoch: 0 }
    queue.open(accepted, 0).add(accepted.record, 0, accepted)
  }
  return queue
}

function numbering(known: boolean): Numbering {
  const made = new Numbering(new ProducerIdentity({} as Cluster))
  made.enter(7)
  if (known) made.confirm({ producerId: 7, producerEpoch: 0, baseSequence: 0 })
  return made
}

function takeAll(queue: PartitionQueue): ReturnType<PartitionQueue['take']>[] {
  const taken = []
  while (!queue.busy && !queue.empty) taken.push(queue.take())
  return taken
}

describe('the batches of a partition', () => {
  it('are five on their way at most, numbered as they leave', () => {
    const queue = queueOf(8, numbering(true))
    const first = takeAll(queue)
    expect(first.map(({ numbers }) => numbers?.baseSequence)).toEqual([0, 1, 2, 3, 4])
    queue.landed(first[0] as (typeof first)[0])
    expect(takeAll(queue).map(({ numbers }) => numbers?.baseSequence)).toEqual([5])
    // The broker knows the last five: where the oldest is not settled a later one makes no room.
    queue.landed(first[2] as (typeof first)[0])
    expect(takeAll(queue)).toEqual([])
    queue.landed(first[1] as (typeof first)[0])
    expect(takeAll(queue).map(({ numbers }) => numbers?.baseSequence)).toEqual([6, 7])
  })

  it('are one on its way without numbers, and before the broker knows the producer', () => {
    expect(takeAll(queueOf(3, null))).toHaveLength(1)
    const fresh = queueOf(3, numbering(false))
    const [first] = takeAll(fresh)
    ;(first as NonNullable<typeof first>).numbers = (fresh.numbering as Numbering).take(1)
    fresh.landed(first as NonNullable<typeof first>)
    expect(takeAll(fresh)).toHaveLength(2)
  })

  it('wait for all that are on their way where one did not get through, and then go one after the other', () => {
    const queue = queueOf(8, numbering(true))
    const [a, b, c] = takeAll(queue).slice(0, 5)
    const flying = [a, b, c] as NonNullable<typeof a>[]
    queue.cameBack(flying[1] as (typeof flying)[0], 'one')
    expect(queue.busy).toBe(true)
    expect(queue.takeReturned()).toBeNull()
    expect(takeAll(queue)).toEqual([])
  })
})

interface Chaos {
  /** In percent of the requests. */
  readonly lost: number
  readonly unanswered: number
  readonly refused: number
  readonly tooLarge: number
}

function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % 100
  }
}

interface Outcome {
  readonly values: (string | null)[][]
  readonly epochs: Set<number>
  readonly failures: readonly Error[]
}

async function sendThrough(chaos: Chaos, seed: number): Promise<Outcome> {
  await using cluster = await FakeCluster.start(2)
  cluster.topic('t', 3)
  const logs = new SequencedLogs(cluster)
  const roll = dice(seed)
  const epochs = new Set<number>()
  const failures: Error[] = []
  cluster.script(
    ProduceApi,
    ({ request }) => {
      for (const { partitionData } of request.topicData)
        for (const { records } of partitionData) if (records !== null) epochs.add(producerEpoch(records, 0))
      const chance = roll()
      if (chance < chaos.lost) return 'close'
      const answer = logs.produce(request, () => {
        const own = roll()
        if (own < chaos.refused) return own % 2 === 0 ? NOT_ENOUGH_REPLICAS : NOT_LEADER_OR_FOLLOWER
        return own < chaos.refused + chaos.tooLarge ? MESSAGE_TOO_LARGE : NONE
      })
      return chance < chaos.lost + chaos.unanswered ? 'close' : answer
    },
    1_000_000,
  )
  const client = cluster.client()
  const producer = client.producer({ lingerMs: 0, batchBytes: 100, maxBatchBytes: 400 })
  for (let round = 0; round < 20; round++) {
    const sends = Array.from({ length: 60 }, (_, at) =>
      producer
        .send({ topic: 't', partition: at % 3, value: `${round * 20 + Math.floor(at / 3)}` })
        .catch((error: Error) => void failures.push(error)),
    )
    if (round % 4 === 0) await Promise.all(sends)
    else await Promise.race(sends)
  }
  await producer.flush()
  return { values: [0, 1, 2].map((partition) => cluster.values('t', partition)), epochs, failures }
}

const WANTED = Array.from({ length: 400 }, (_, at) => `${at}`)

describe('an idempotent producer with several batches of a partition on their way', () => {
  it.each<[string, Chaos]>([
    ['requests are lost', { lost: 15, unanswered: 0, refused: 0, tooLarge: 0 }],
    ['answers are lost', { lost: 0, unanswered: 15, refused: 0, tooLarge: 0 }],
    ['brokers refuse for a while', { lost: 0, unanswered: 0, refused: 20, tooLarge: 0 }],
    ['all of that happens', { lost: 8, unanswered: 8, refused: 10, tooLarge: 0 }],
  ])('writes each record once and in order where %s', async (_, chaos) => {
    for (const seed of [1, 2, 3]) {
      const { values, epochs, failures } = await sendThrough(chaos, seed)
      expect(values).toEqual([WANTED, WANTED, WANTED])
      expect(failures).toEqual([])
      // Nothing was given up, so nothing needed another epoch.
      expect([...epochs]).toEqual([0])
    }
  })

  it('keeps the order where batches are divided in the midst of others', async () => {
    for (const seed of [4, 5, 6]) {
      const { values } = await sendThrough({ lost: 0, unanswered: 0, refused: 0, tooLarge: 10 }, seed)
      for (const found of values) expect(found).toEqual(WANTED.filter((value) => found.includes(value)))
      expect(values.flat().length).toBeGreaterThan(900)
    }
  })

  it('sends full batches without waiting for the one before', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic('t')
    const logs = new SequencedLogs(cluster)
    const arrived: number[] = []
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    cluster.script(ProduceApi, ({ request }) => logs.produce(request))
    cluster.script(
      ProduceApi,
      async ({ request, socket }) => {
        if (arrived.length === 0) {
          const before = socket.bytesRead
          while (socket.bytesRead < before + 4 * 1000) await new Promise((resolve) => setTimeout(resolve, 1))
          release()
        }
        arrived.push(baseSequence(request.topicData[0]?.partitionData[0]?.records as Uint8Array, 0))
        return logs.produce(request)
      },
      100,
    )
    const producer = cluster.client().producer({ lingerMs: 0, batchBytes: 1000, maxBatchBytes: 1100 })
    await producer.send({ topic: 't', partition: 0, value: 'first' })
    const sends = Array.from({ length: 8 }, () => producer.send({ topic: 't', partition: 0, value: 'x'.repeat(1000) }))
    await held
    await Promise.all(sends)
    expect(arrived).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })
})
