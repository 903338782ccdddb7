import { type DirEntry, type Disk, ErrorCode, IoError } from '@millrace/base'
import { baseSequence, encodeBatch, producerId, recordCount } from '@millrace/records'
import type { ProducerView } from '@millrace/transactions'
import { describe, expect, it } from 'vitest'
import { ProducerIdBlocks } from '../src/producer-id-blocks.ts'
import type { BrokerReplica } from '../src/replica.ts'
import { batchOf, Cluster, eventually, type Produced, sleep, type TestBroker } from './cluster.ts'
import { batchesOf, contents, logOf } from './contents.ts'

const { NONE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, KAFKA_STORAGE_ERROR, INVALID_RECORD } = ErrorCode

interface Numbered {
  readonly seq: number
  readonly epoch?: number
  readonly id?: number
  readonly values?: readonly string[]
}

/** A batch of one record, `v<seq>`, by producer 7. */
function numbered({ seq, epoch = 0, id = 7, values = [`v${seq}`] }: Numbered): Uint8Array {
  return batchOf(values, undefined, { producerId: id, producerEpoch: epoch, baseSequence: seq })
}

/** A batch that writes the one key over again, by producer 7 where it has a number. */
function keyed(seq = -1): Uint8Array {
  const record = { timestamp: 1_700_000_000_000, key: new Uint8Array(1), value: new Uint8Array(100_000) }
  return encodeBatch([record], seq < 0 ? {} : { producerId: 7, producerEpoch: 0, baseSequence: seq })
}

async function removeSnapshots(disk: Disk, folder: string): Promise<void> {
  const entries = await new Promise<readonly DirEntry[]>((resolve, reject) =>
    disk.list(folder, (error, found) => (error === null ? resolve(found) : reject(error))),
  )
  const names = entries.filter(({ name }) => name.endsWith('.snapshot')).map(({ name }) => `${folder}/${name}`)
  expect(names).not.toEqual([])
  for (const name of names)
    await new Promise<void>((resolve, reject) =>
      disk.remove(name, (error) => (error === null ? resolve() : reject(error))),
    )
}

function send(broker: TestBroker, batch: Numbered, acks: 0 | 1 | -1 = -1): Promise<Produced> {
  return broker.append('t', numbered(batch), acks)
}

async function sendUpTo(broker: TestBroker, end: number, from = 0): Promise<void> {
  for (let seq = from; seq < end; seq++)
    expect(await send(broker, { seq })).toMatchObject({ error: NONE, baseOffset: seq })
}

/** Each of the last five is recognised, the one before no more, and the next one is taken. */
async function expectWindow(broker: TestBroker, end: number): Promise<void> {
  for (let seq = end - 5; seq < end; seq++)
    expect(await send(broker, { seq })).toMatchObject({ error: NONE, baseOffset: seq })
  expect((await send(broker, { seq: end - 6 })).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect((await send(broker, { seq: end + 1 })).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect(await broker.read('t')).toEqual(values(end))
}

function values(end: number): string[] {
  return Array.from({ length: end }, (_, seq) => `v${seq}`)
}

function producers(broker: TestBroker, topic = 't'): readonly ProducerView[] {
  return [...(broker.replica(topic) as BrokerReplica).producers.all()]
}

async function oneBroker(name: string, configs: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const cluster = await Cluster.started(name, 1)
  await cluster.topic('t', [1], configs)
  return cluster
}

describe('an idempotent producer', () => {
  it('that repeats one of its last five batches is answered as the first time, and nothing is written', async () => {
    await using cluster = await oneBroker('window')
    await sendUpTo(cluster.broker(1), 8)
    await expectWindow(cluster.broker(1), 8)
    expect(await cluster.broker(1).read('t')).toEqual(values(8))
  })

  it('is told of by the leader alone', async () => {
    await using cluster = await Cluster.started('told', 2)
    await cluster.topic('t', [1, 2])
    await sendUpTo(cluster.broker(1), 3)
    const told = [...(cluster.broker(1).replica('t').activeProducers() as Iterable<ProducerView>)]
    expect(told).toMatchObject([
      { producerId: 7, producerEpoch: 0, lastSequence: 2, coordinatorEpoch: -1, openFrom: -1 },
    ])
    expect(cluster.broker(2).replica('t').activeProducers()).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('may send several batches in a turn, and repeat them in the same', async () => {
    await using cluster = await oneBroker('one-turn')
    const broker = cluster.broker(1)
    const answers = await Promise.all(
      [0, 1, 0, 2, 1, 3, 3, 4].map((seq) => send(broker, { seq }, seq % 2 === 0 ? -1 : 1)),
    )
    expect(answers.map(({ error, baseOffset }) => [error, baseOffset])).toEqual(
      [0, 1, 0, 2, 1, 3, 3, 4].map((offset) => [NONE, offset]),
    )
    expect(await broker.read('t')).toEqual(values(5))
  })

  it('is refused what does not continue its numbers, with the reason', async () => {
    await using cluster = await oneBroker('order')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 2)
    expect((await send(broker, { seq: 3 })).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
    const message = await new Promise((resolve) =>
      broker.replica('t').append(numbered({ seq: 3 }), -1, (...answer) => resolve(answer[4])),
    )
    expect(message).toContain('producer 7')
    expect((await send(broker, { seq: 0, values: ['v0', 'v1'] })).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect((await send(broker, { seq: -1, id: 9 })).error).toBe(INVALID_RECORD)
    await sendUpTo(broker, 3, 2)
    expect(await broker.read('t')).toEqual(values(3))
  })

  it('begins a new epoch with number 0, and its former one is fenced', async () => {
    await using cluster = await oneBroker('epochs')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 2)
    expect((await send(broker, { seq: 2, epoch: 1 })).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(await send(broker, { seq: 0, epoch: 1, values: ['new'] })).toMatchObject({ error: NONE, baseOffset: 2 })
    expect((await send(broker, { seq: 1 })).error).toBe(INVALID_PRODUCER_EPOCH)
    expect((await send(broker, { seq: 2 })).error).toBe(INVALID_PRODUCER_EPOCH)
    expect(await broker.read('t')).toEqual(['v0', 'v1', 'new'])
  })

  it('does not hinder others: those without numbers, and those nobody knows, who may begin anywhere', async () => {
    await using cluster = await oneBroker('others')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 1)
    expect(await broker.produce('t', ['plain'])).toMatchObject({ error: NONE, baseOffset: 1 })
    expect(await broker.produce('t', ['plain'])).toMatchObject({ error: NONE, baseOffset: 2 })
    expect(await send(broker, { seq: 500, id: 8 })).toMatchObject({ error: NONE, baseOffset: 3 })
    expect(await send(broker, { seq: 1 })).toMatchObject({ error: NONE, baseOffset: 4 })
  })

  it('hears of a repetition once the watermark has passed the first, or with acks 1 at once', async () => {
    await using cluster = await Cluster.started('repeat-waits', 2)
    await cluster.topic('t', [1, 2])
    const leader = cluster.broker(1)
    await sendUpTo(leader, 1)
    const { faults } = cluster.broker(2)
    faults.held = []
    const answered: string[] = []
    const note = (name: string) => (answer: Produced) =>
      void answered.push(`${name} ${answer.error} ${answer.baseOffset}`)
    const first = send(leader, { seq: 1 }).then(note('first'))
    const next = send(leader, { seq: 2 }).then(note('next'))
    await sleep(50)
    const again = send(leader, { seq: 1 }).then(note('again'))
    await send(leader, { seq: 1 }, 1).then(note('acks 1'))
    await send(leader, { seq: 0 }).then(note('committed'))
    await sleep(50)
    expect(answered).toEqual(['acks 1 0 1', 'committed 0 0'])
    const { held } = faults
    faults.held = null
    for (const sync of held) sync()
    await Promise.all([first, next, again])
    expect(answered.slice(2)).toEqual(['first 0 1', 'again 0 1', 'next 0 2'])
  })

  it('is told the time of the first append again where the topic has that', async () => {
    await using cluster = await oneBroker('append-time', { 'message.timestamp.type': 'LogAppendTime' })
    const broker = cluster.broker(1)
    const first = await send(broker, { seq: 0 })
    expect(first.logAppendTimeMs).toBeGreaterThan(1_700_000_000_000)
    broker.clock.jump(5)
    expect(await send(broker, { seq: 0 })).toEqual(first)
  })

  it('may send again what could not be written', async () => {
    await using cluster = await oneBroker('not-written')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 1)
    broker.faults.append = new IoError('ENOSPC', '/data', 'no space left')
    const refused = await Promise.all([1, 1, 2].map((seq) => send(broker, { seq }, 1)))
    expect(refused.map(({ error }) => error)).toEqual([KAFKA_STORAGE_ERROR, KAFKA_STORAGE_ERROR, KAFKA_STORAGE_ERROR])
    broker.faults.append = null
    await eventually(async () => expect(await send(broker, { seq: 1 })).toMatchObject({ error: NONE, baseOffset: 1 }))
    expect(await send(broker, { seq: 2 })).toMatchObject({ error: NONE, baseOffset: 2 })
    expect(await broker.read('t')).toEqual(values(3))
  })

  it('is known to its partition after a clean stop, and after a death', async () => {
    await using cluster = await oneBroker('restarts')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 20)
    const before = producers(broker)
    await broker.stop()
    await broker.start()
    await eventually(() => expect(producers(broker)).toEqual(before))
    await eventually(() => expectWindow(broker, 20))
    await sendUpTo(broker, 30, 20)
    broker.kill()
    await broker.start()
    await eventually(() => expectWindow(broker, 30))
    await sendUpTo(broker, 31, 30)
  })

  it('is known by its last batch after the log was compacted, even where the log is all that is left', async () => {
    const properties = new Map([['log.cleaner.backoff.ms', '100']])
    await using cluster = await Cluster.started('compacted', 1)
    const broker = cluster.broker(1)
    await broker.stop()
    await broker.start({ properties })
    await cluster.topic('t', [1], {
      'cleanup.policy': 'compact',
      'segment.bytes': '1048576',
      'min.cleanable.dirty.ratio': '0',
    })
    for (let seq = 0; seq < 3; seq++) expect((await broker.append('t', keyed(seq))).error).toBe(NONE)
    for (let more = 0; more < 60; more++) await broker.append('t', keyed())
    const before = logOf(broker, 't').sizeBytes
    await eventually(() => expect(logOf(broker, 't').sizeBytes).toBeLessThan(before / 2))
    // After a death the journal would have what was compacted.
    await broker.stop()
    await removeSnapshots(broker.disk, '/data/t-0')
    await broker.start({ properties })
    await eventually(() => broker.replica('t'))
    const left = (await batchesOf(broker, 't')).filter((batch) => producerId(batch, 0) === 7)
    expect(left.map((batch) => [baseSequence(batch, 0), recordCount(batch, 0)])).toEqual([[2, 0]])
    await eventually(async () =>
      expect(await broker.append('t', keyed(2))).toMatchObject({ error: NONE, baseOffset: 2 }),
    )
    expect((await broker.append('t', keyed(4))).error).toBe(OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(await broker.append('t', keyed(3))).toMatchObject({ error: NONE, baseOffset: 63 })
  })

  it('is forgotten once it has written nothing for the time that is set', async () => {
    await using cluster = await oneBroker('expiry')
    const broker = cluster.broker(1)
    await sendUpTo(broker, 2)
    const replica = broker.replica('t') as BrokerReplica
    const now = broker.clock.wallMs()
    replica.expireProducers(now + 900, 1000)
    expect(producers(broker)).toHaveLength(1)
    replica.expireProducers(now + 2000, 1000)
    expect(producers(broker)).toEqual([])
    expect(await send(broker, { seq: 77 })).toMatchObject({ error: NONE, baseOffset: 2 })
  })
})

describe('the producers of a partition', () => {
  it('are the same for every replica, and a new leader goes on where the old one ended', async () => {
    await using cluster = await Cluster.started('failover', 3)
    await cluster.topic('t', [1, 2, 3])
    await sendUpTo(cluster.broker(1), 9)
    for (const id of [2, 3])
      await eventually(() => expect(producers(cluster.broker(id))).toEqual(producers(cluster.broker(1))))
    cluster.broker(1).kill()
    cluster.controller.fence(1)
    const leader = await eventually(async () => {
      const found = cluster.leader('t')
      expect(await send(found, { seq: 8 })).toMatchObject({ error: NONE, baseOffset: 8 })
      return found
    })
    expect(leader.id).not.toBe(1)
    await expectWindow(leader, 9)
    await sendUpTo(leader, 12, 9)
    await cluster.broker(1).start()
    await cluster.isr('t', [1, 2, 3])
    await eventually(() => expect(producers(cluster.broker(1))).toEqual(producers(leader)))
  })

  it('are as the log is after a follower had to cut it, so what was cut is taken when it comes again', async () => {
    await using cluster = await Cluster.started('cut', 3)
    await cluster.topic('t', [1, 2, 3])
    await sendUpTo(cluster.broker(1), 4)
    // Only the first leader has what comes now.
    for (const id of [2, 3]) cluster.network.cut('b1', `b${id}`, 'silent')
    for (const seq of [4, 5])
      cluster
        .broker(1)
        .replica('t')
        .append(numbered({ seq }), 1, () => {})
    await eventually(async () => expect(await contents(cluster.broker(1), 't')).toHaveLength(6))
    cluster.controller.force('t', { leader: 2, isr: [2, 3] })
    const leader = cluster.broker(2)
    await eventually(async () =>
      expect(await send(leader, { seq: 4, values: ['again'] })).toMatchObject({ error: NONE, baseOffset: 4 }),
    )
    // Before the other two have heard of the new leader they would take what the link has held back.
    for (const id of [2, 3]) cluster.network.heal('b1', `b${id}`)
    await cluster.isr('t', [1, 2, 3])
    await eventually(() => expect(producers(cluster.broker(1))).toEqual(producers(leader)))
    cluster.controller.force('t', { leader: 1 })
    await eventually(async () =>
      expect(await send(cluster.broker(1), { seq: 4, values: ['again'] })).toMatchObject({
        error: NONE,
        baseOffset: 4,
      }),
    )
    expect(await send(cluster.broker(1), { seq: 5 })).toMatchObject({ error: NONE, baseOffset: 5 })
    expect(await contents(cluster.broker(1), 't')).toEqual(['0:v0', '1:v1', '2:v2', '3:v3', '4:again', '5:v5'])
  })

  it('do not count what a leader accepted and lost its leadership before writing', async () => {
    await using cluster = await Cluster.started('lost-turn', 2)
    await cluster.topic('t', [1, 2])
    await sendUpTo(cluster.broker(1), 1)
    const staged = send(cluster.broker(1), { seq: 1 })
    const replica = cluster.broker(1).replica('t') as BrokerReplica
    replica.end(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect((await staged).error).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(replica.producers.check(numbered({ seq: 1 })).outcome).toBe('accepted')
  })
})

describe('producer ids', () => {
  it('come in blocks of the controller, never twice', async () => {
    await using cluster = await Cluster.started('ids', 2)
    const fresh = { producerId: -1, producerEpoch: -1 }
    const given = new Set<number>()
    for (const { running } of cluster.brokers) {
      const { producerIds } = running.context
      expect(producerIds.init(fresh).error).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
      for (let i = 0; i < 1500; i++) {
        const { producerId, producerEpoch } = await eventually(() => {
          const answer = producerIds.init(fresh)
          expect(answer.error).toBe(NONE)
          return answer
        })
        expect(producerEpoch).toBe(0)
        given.add(producerId)
      }
    }
    expect(given.size).toBe(3000)
  })

  it('are asked for again after the controller did not answer', () => {
    const asked: ((error: ErrorCode, first: number, count: number) => void)[] = []
    const blocks = new ProducerIdBlocks({ allocateProducerIds: (done) => void asked.push(done) })
    const fresh = { producerId: -1, producerEpoch: -1 }
    blocks.init(fresh)
    blocks.init(fresh)
    expect(asked).toHaveLength(1)
    asked[0]?.(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, 0)
    expect(blocks.init(fresh).error).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    expect(asked).toHaveLength(2)
    asked[1]?.(NONE, 5000, 1000)
    expect(blocks.init(fresh)).toEqual({ error: NONE, producerId: 5000, producerEpoch: 0 })
  })
})

describe('a broker with plain producers', () => {
  it('keeps nothing of them', async () => {
    await using cluster = await oneBroker('plain')
    for (let i = 0; i < 5; i++) await cluster.broker(1).append('t', batchOf(['a']))
    expect(producers(cluster.broker(1))).toEqual([])
  })
})
