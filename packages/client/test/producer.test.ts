import { ErrorCode } from '@millrace/base'
import { MetadataApi, ProduceApi, type ProduceRequest } from '@millrace/protocol'
import { encodeBatch, recordCount } from '@millrace/records'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { ClosedError, KafkaError, type Producer, SendAllError, type SentRecord, TimeoutError } from '../src/index.ts'
import { answerAll, FakeCluster, produced, recordsOf } from './fake-cluster.ts'

const TOPIC = 'orders'

function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, at) => `r${from + at}`)
}

function sendNumbered(producer: Producer, count: number, from = 0): Promise<SentRecord[]> {
  return Promise.all(numbered(count, from).map((value) => producer.send({ topic: TOPIC, partition: 0, value })))
}

function refusal(code: number): (asked: { request: ProduceRequest }) => ReturnType<typeof answerAll> {
  return ({ request }) => answerAll(request, (_topic, index) => produced(index, code))
}

function failureOf(promise: Promise<unknown>): Promise<Error & { fix?: string | null }> {
  return promise.then(
    () => new Error('it did not fail'),
    (error: Error) => error,
  )
}

function batchesSeen(cluster: FakeCluster): Buffer[] {
  return cluster.seen
    .filter(({ api }) => api === ProduceApi.name)
    .flatMap(({ request }) => (request as ProduceRequest).topicData.flatMap(({ partitionData }) => partitionData))
    .map(({ records }) => Buffer.from(records ?? []))
}

describe('a producer', () => {
  it('tells each record its place', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const sent = await sendNumbered(cluster.client().producer(), 100)
    expect(sent.map(({ offset }) => offset)).toEqual(Array.from({ length: 100 }, (_, at) => at))
    expect(cluster.values(TOPIC)).toEqual(numbered(100))
  })

  it('writes keys, values, headers and times of every form as they were given', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const long = 'ü€😀x'.repeat(500)
    const list = [
      { key: 'twice', value: 'a' },
      { key: 'twice', value: null },
    ]
    await cluster
      .client()
      .producer()
      .sendAll([
        { topic: TOPIC, key: null, value: null, timestamp: 1_700_000_000_000 },
        { topic: TOPIC, key: '', value: '', timestamp: 1_600_000_000_000 },
        {
          topic: TOPIC,
          key: 'schlüssel',
          value: long,
          timestamp: 0,
          headers: { ü: long, none: null, bytes: Buffer.of(0, 255) },
        },
        { topic: TOPIC, value: new Uint8Array([1, 2, 255]), timestamp: 1_700_000_000_001, headers: list },
      ])
    const records = batchesSeen(cluster).flatMap((batch) => recordsOf(batch))
    const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())
    expect(records.map(({ timestamp, key, value }) => [timestamp, text(key), text(value)])).toEqual([
      [1_700_000_000_000, null, null],
      [1_600_000_000_000, '', ''],
      [0, 'schlüssel', long],
      [1_700_000_000_001, null, Buffer.of(1, 2, 255).toString()],
    ])
    expect(
      records[2]?.headers.map(({ key, value }) => [key, value === null ? null : Buffer.from(value).toString('hex')]),
    ).toEqual([
      ['ü', Buffer.from(long).toString('hex')],
      ['none', null],
      ['bytes', '00ff'],
    ])
    expect(records[3]?.headers.map(({ key, value }) => [key, text(value)])).toEqual([
      ['twice', 'a'],
      ['twice', null],
    ])
  })

  it('copies bytes when it accepts them, so that the caller may use them again', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 20 })
    await producer.send({ topic: TOPIC, value: 'first' })
    const value = Buffer.from('mine')
    const sent = producer.send({ topic: TOPIC, value })
    value.fill(0)
    await sent
    expect(cluster.values(TOPIC)).toEqual(['first', 'mine'])
  })

  it('makes the bytes that the reference encoder makes', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const records = Array.from({ length: 300 }, (_, at) => ({
      timestamp: 1_700_000_000_000 + ((at * 7_919) % 400) - 200,
      key: at % 3 === 0 ? null : Buffer.from(`key ${at}`),
      value: Buffer.alloc((at * 37) % 300, at),
      headers: at % 5 === 0 ? [{ key: 'h', value: Buffer.from(`${at}`) }] : [],
    }))
    await cluster
      .client()
      .producer()
      .sendAll(records.map((record) => ({ topic: TOPIC, partition: 0, ...record })))
    expect(
      Buffer.concat(batchesSeen(cluster)).equals(
        encodeBatch(records, { producerId: 1000, producerEpoch: 0, baseSequence: 0 }),
      ),
    ).toBe(true)
  })

  it('refuses what is no record, without harm to the others', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer()
    for (const [record, problem] of [
      [{ topic: TOPIC, value: 5 }, /the value of a record is text, bytes or null/],
      [{ topic: TOPIC }, /the value of a record/],
      [{ topic: TOPIC, value: 'x', key: {} }, /the key of a record/],
      [{ topic: '', value: 'x' }, /needs the name of a topic/],
      [{ topic: TOPIC, value: 'x', timestamp: 1.5 }, /1.5 is not a time/],
      [{ topic: TOPIC, value: 'x', headers: { h: 7 } }, /header h/],
      [{ topic: TOPIC, value: 'x', partition: 1 }, /it has partitions 0 to 0/],
      [{ topic: TOPIC, value: 'x', partition: Number.NaN }, /it has partitions 0 to 0/],
      [{ topic: TOPIC, value: Buffer.alloc(101 * 1024 * 1024) }, /is larger than/],
    ] as const)
      expect((await failureOf(producer.send(record as never))).message).toMatch(problem)
    await producer.send({ topic: TOPIC, value: 'fine' })
    expect(cluster.values(TOPIC)).toEqual(['fine'])
  })

  it('keeps the order of send while topics are looked up and the buffer is full', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(MetadataApi, async () => {
      await new Promise((resolve) => setTimeout(resolve, 30))
      return 'pass' as const
    })
    const producer = cluster.client().producer({ lingerMs: 0, bufferBytes: 2_000 })
    const sent: Promise<SentRecord>[] = []
    let next = 0
    const more = (): void => {
      // Sends come from everywhere: in one go, and from the acknowledgement of earlier ones.
      if (next < 400) sent.push(producer.send({ topic: TOPIC, partition: 0, value: `r${next++}` }))
    }
    for (let at = 0; at < 200; at++) more()
    for (let at = 0; at < 200; at++) {
      await sent[at]
      more()
    }
    await Promise.all(sent)
    expect(cluster.values(TOPIC)).toEqual(numbered(400))
  })

  it('holds no more than the buffer allows', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    let largest = 0
    cluster.script(
      ProduceApi,
      ({ request }) => {
        largest = Math.max(
          largest,
          ...request.topicData.flatMap(({ partitionData }) => partitionData.map(({ records }) => records?.length ?? 0)),
        )
        return 'pass'
      },
      10_000,
    )
    const producer = cluster.client().producer({ lingerMs: 0, bufferBytes: 50_000 })
    await Promise.all(
      Array.from({ length: 500 }, () => producer.send({ topic: TOPIC, partition: 0, value: Buffer.alloc(1_000) })),
    )
    expect(cluster.values(TOPIC)).toHaveLength(500)
    expect(largest).toBeLessThanOrEqual(52_000)
  })

  it('has one batch of a partition on its way where it is not idempotent, and leaves no partition behind', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 40)
    let under = 0
    let most = 0
    cluster.script(
      ProduceApi,
      async ({ request }) => {
        const indices = request.topicData.flatMap(({ partitionData }) => partitionData.map(({ index }) => index))
        expect(new Set(indices).size).toBe(indices.length)
        most = Math.max(most, ++under)
        await new Promise((resolve) => setTimeout(resolve, 1))
        under--
        return 'pass' as const
      },
      10_000,
    )
    const options = { idempotent: false, lingerMs: 0, batchBytes: 1_000, maxBatchBytes: 1_000 }
    const producer = cluster.client().producer(options)
    await Promise.all(
      Array.from({ length: 4_000 }, (_, at) =>
        producer.send({ topic: TOPIC, partition: at % 40, value: `r${Math.floor(at / 40)}` }),
      ),
    )
    for (let partition = 0; partition < 40; partition++) expect(cluster.values(TOPIC, partition)).toEqual(numbered(100))
    expect(most).toBe(1)
  })

  it('spreads records without a key over the partitions that have a leader', async () => {
    await using cluster = await FakeCluster.start()
    const topic = cluster.topic(TOPIC, 4)
    ;(topic.partitions[2] as { leader: number }).leader = -1
    const producer = cluster.client().producer({ lingerMs: 0, batchBytes: 500 })
    await Promise.all(Array.from({ length: 2_000 }, (_, at) => producer.send({ topic: TOPIC, value: `r${at}` })))
    const counts = [0, 1, 2, 3].map((partition) => cluster.values(TOPIC, partition).length)
    expect(counts[2]).toBe(0)
    for (const partition of [0, 1, 3]) expect(counts[partition]).toBeGreaterThan(200)
  })

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('compresses with %s', async (compression) => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    await sendNumbered(cluster.client().producer({ compression }), 2_000)
    expect(cluster.values(TOPIC)).toEqual(numbered(2_000))
    const bytes = batchesSeen(cluster).reduce((sum, batch) => sum + batch.length, 0)
    expect(bytes > 20_000).toBe(compression === 'none')
  })

  it('resolves once for many, in their order', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 3)
    const producer = cluster.client().producer()
    expect(await producer.sendAll([])).toEqual([])
    const records = numbered(300).map((value, at) => ({ topic: TOPIC, partition: at % 3, value }))
    const sent = await producer.sendAll(records)
    expect(sent.map(({ partition, offset }) => offset * 3 + partition)).toEqual(records.map((_, at) => at))
  })

  it('tells the outcome of each of many when some fail', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const error = await failureOf(
      cluster
        .client()
        .producer()
        .sendAll([
          { topic: TOPIC, value: 'a' },
          { topic: TOPIC, value: 7 as never },
          { topic: TOPIC, value: 'c' },
        ]),
    )
    expect(error).toBeInstanceOf(SendAllError)
    const { outcomes } = error as SendAllError
    expect(outcomes.map((outcome) => (outcome instanceof Error ? 'failed' : outcome.offset))).toEqual([0, 'failed', 1])
    expect(error.message).toContain('1 of 3 records')
  })

  it('refuses options that make no sense', async () => {
    await using cluster = await FakeCluster.start()
    const client = cluster.client()
    expect(() => client.producer({ acks: 2 as never })).toThrow('acks is 2')
    expect(() => client.producer({ compression: 'brotli' as never })).toThrow('compression is brotli')
    expect(() => client.producer({ lingerMs: -1 })).toThrow('lingerMs is -1')
    expect(() => client.producer({ bufferBytes: Number.NaN })).toThrow('bufferBytes is NaN')
    expect(() => client.producer({ acks: undefined as never })).not.toThrow()
  })
})

describe('a producer whose batch is refused', () => {
  it('repeats the very same bytes after an error that may pass, before anything else of the partition', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    for (const code of [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.KAFKA_STORAGE_ERROR])
      cluster.script(ProduceApi, refusal(code))
    const producer = cluster.client().producer({ lingerMs: 0 })
    const first = sendNumbered(producer, 10)
    await new Promise((resolve) => setTimeout(resolve, 30))
    await Promise.all([first, sendNumbered(producer, 10, 10)])
    expect(cluster.values(TOPIC)).toEqual(numbered(20))
    const [one, two, three, four] = batchesSeen(cluster)
    for (const again of [two, three, four]) expect(again?.equals(one as Buffer)).toBe(true)
  })

  it('follows the leader', async () => {
    await using cluster = await FakeCluster.start(2)
    const topic = cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 0 })
    await sendNumbered(producer, 1)
    Object.assign(topic.partitions[0] as object, { leader: 2, epoch: 1 })
    await sendNumbered(producer, 1, 1)
    expect(cluster.values(TOPIC)).toEqual(numbered(2))
    expect(cluster.seen.filter(({ api }) => api === ProduceApi.name).map(({ broker }) => broker)).toEqual([1, 1, 2])
  })

  it('goes to the leader that the refusal names, without another look-up', async () => {
    await using cluster = await FakeCluster.start(2)
    const topic = cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 0 })
    await sendNumbered(producer, 1)
    Object.assign(topic.partitions[0] as object, { leader: 2, epoch: 1 })
    cluster.script(MetadataApi, () => 'silence', 100)
    cluster.script(ProduceApi, ({ request }) =>
      answerAll(request, (_topic, index) => ({
        ...produced(index, ErrorCode.NOT_LEADER_OR_FOLLOWER),
        currentLeader: { leaderId: 2, leaderEpoch: 1 },
      })),
    )
    await sendNumbered(producer, 1, 1)
    expect(cluster.values(TOPIC)).toEqual(numbered(2))
  })

  it('does not believe a broker that lags behind about the leader', async () => {
    await using cluster = await FakeCluster.start(2)
    const topic = cluster.topic(TOPIC)
    const client = cluster.client()
    const producer = client.producer({ lingerMs: 0 })
    Object.assign(topic.partitions[0] as object, { leader: 2, epoch: 5 })
    await sendNumbered(producer, 1)
    cluster.script(MetadataApi, ({ request }) => {
      const answer = cluster.metadata(request)
      return {
        ...answer,
        topics: answer.topics.map((one) => ({
          ...one,
          partitions: one.partitions.map((partition) => ({ ...partition, leaderId: 1, leaderEpoch: 4 })),
        })),
      }
    })
    await client.admin.describeTopic(TOPIC)
    await sendNumbered(producer, 1, 1)
    expect(cluster.seen.filter(({ api }) => api === ProduceApi.name).map(({ broker }) => broker)).toEqual([2, 2])
  })

  it('waits for a leader, and sends when there is one', async () => {
    await using cluster = await FakeCluster.start()
    const partition = cluster.topic(TOPIC).partitions[0] as { leader: number }
    partition.leader = -1
    const sent = sendNumbered(cluster.client().producer({ lingerMs: 0 }), 5)
    await new Promise((resolve) => setTimeout(resolve, 200))
    partition.leader = 1
    await sent
    expect(cluster.values(TOPIC)).toEqual(numbered(5))
  })

  it('halves a batch that is too large until it fits, keeps the order and sends smaller ones from then on', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const limit = 700
    cluster.script(
      ProduceApi,
      ({ request }) =>
        answerAll(request, (topic, index, records) =>
          records.length > limit
            ? produced(index, ErrorCode.MESSAGE_TOO_LARGE)
            : produced(index, 0, cluster.append(topic, index, records)),
        ),
      1_000,
    )
    const producer = cluster.client().producer({ lingerMs: 5 })
    const sent = await sendNumbered(producer, 500)
    expect(sent.map(({ offset }) => offset)).toEqual(Array.from({ length: 500 }, (_, at) => at))
    const before = cluster.count(ProduceApi)
    await sendNumbered(producer, 200, 500)
    expect(cluster.values(TOPIC)).toEqual(numbered(700))
    expect(
      batchesSeen(cluster)
        .slice(before)
        .every((batch) => batch.length <= limit),
    ).toBe(true)
  })

  it('halves compressed batches too', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(
      ProduceApi,
      ({ request }) =>
        answerAll(request, (topic, index, records) =>
          recordCount(records, 0) > 100
            ? produced(index, ErrorCode.RECORD_LIST_TOO_LARGE)
            : produced(index, 0, cluster.append(topic, index, records)),
        ),
      1_000,
    )
    await sendNumbered(cluster.client().producer({ compression: 'zstd' }), 1_000)
    expect(cluster.values(TOPIC)).toEqual(numbered(1_000))
  })

  it('fails the one record that is too large, with the way out, and no other', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(
      ProduceApi,
      ({ request }) =>
        answerAll(request, (topic, index, records) =>
          records.length > 1_000
            ? produced(index, ErrorCode.MESSAGE_TOO_LARGE)
            : produced(index, 0, cluster.append(topic, index, records)),
        ),
      1_000,
    )
    const producer = cluster.client().producer()
    const values = ['a', 'b', 'x'.repeat(5_000), 'c']
    const outcomes = await Promise.allSettled(
      values.map((value) => producer.send({ topic: TOPIC, partition: 0, value })),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    const { reason } = outcomes[2] as PromiseRejectedResult
    expect(reason).toBeInstanceOf(KafkaError)
    expect((reason as KafkaError).code).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    expect((reason as KafkaError).fix).toContain('max.message.bytes')
    expect(cluster.values(TOPIC)).toEqual(['a', 'b', 'c'])
  })

  it('fails the records that the broker names and sends the others again', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, ({ request }) =>
      answerAll(request, (_topic, index) => ({
        ...produced(index, ErrorCode.INVALID_RECORD),
        recordErrors: [{ batchIndex: 1, batchIndexErrorMessage: 'a record without a key' }],
      })),
    )
    const producer = cluster.client().producer()
    const outcomes = await Promise.allSettled(['a', 'b', 'c'].map((value) => producer.send({ topic: TOPIC, value })))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(((outcomes[1] as PromiseRejectedResult).reason as Error).message).toContain('a record without a key')
    expect(cluster.values(TOPIC)).toEqual(['a', 'c'])
  })

  it('fails at once for what no retry mends', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, refusal(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    const error = await failureOf(sendNumbered(cluster.client().producer({ lingerMs: 0 }), 1))
    expect((error as KafkaError).codeName).toBe('TOPIC_AUTHORIZATION_FAILED')
    expect(cluster.count(ProduceApi)).toBe(1)
  })

  it('gives up after the delivery timeout and names the last failure', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, refusal(ErrorCode.NOT_ENOUGH_REPLICAS), 1_000)
    const producer = cluster.client().producer({ lingerMs: 0, deliveryTimeoutMs: 300 })
    const started = performance.now()
    const error = await failureOf(sendNumbered(producer, 3))
    expect(error).toBeInstanceOf(TimeoutError)
    expect(error.message).toMatch(/not acknowledged within 300 ms \(deliveryTimeoutMs\).*not enough replicas/)
    expect(performance.now() - started).toBeLessThan(1_500)
    expect(cluster.count(ProduceApi)).toBeLessThan(10)
  })
})

describe('a producer whose topic changes', () => {
  it('says that a topic does not exist', async () => {
    await using cluster = await FakeCluster.start()
    const error = await failureOf(cluster.client().producer().send({ topic: 'nowhere', value: 'x' }))
    expect((error as KafkaError).code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(error.fix).toContain('Create the topic')
  })

  it('finds a topic that the brokers learn of a moment later', async () => {
    await using cluster = await FakeCluster.start()
    const sent = sendNumbered(cluster.client().producer(), 3)
    await new Promise((resolve) => setTimeout(resolve, 100))
    cluster.topic(TOPIC)
    expect(await sent).toHaveLength(3)
  })

  it('fails what waits for a deleted topic soon, not after the delivery timeout', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 0 })
    await sendNumbered(producer, 1)
    cluster.topics.delete(TOPIC)
    const started = performance.now()
    const error = await failureOf(sendNumbered(producer, 5))
    expect((error as KafkaError).code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(performance.now() - started).toBeLessThan(8_000)
  }, 15_000)

  it('fails what waits for a partition that a recreated topic lacks, and serves the ones it has', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 3)
    const producer = cluster.client().producer({ lingerMs: 0 })
    await producer.send({ topic: TOPIC, partition: 2, value: 'old' })
    cluster.topic(TOPIC, 1)
    const gone = failureOf(producer.send({ topic: TOPIC, partition: 2, value: 'gone' }))
    await producer.send({ topic: TOPIC, partition: 0, value: 'new' })
    expect(((await gone) as KafkaError).code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(cluster.values(TOPIC, 0)).toEqual(['new'])
  }, 15_000)

  it('writes to partitions that were added, once the metadata is old', async () => {
    await using cluster = await FakeCluster.start()
    const topic = cluster.topic(TOPIC, 1)
    const producer = cluster.client({ metadataMaxAgeMs: 50 }).producer({ lingerMs: 0 })
    await sendNumbered(producer, 1)
    topic.partitions.push({ leader: 1, epoch: 0, start: 0, batches: [] })
    await expect
      .poll(
        async () => {
          await producer.send({ topic: TOPIC, value: 'x' })
          return cluster.values(TOPIC, 1).length
        },
        { timeout: 3_000, interval: 10 },
      )
      .toBeGreaterThan(0)
  })
})

describe('a producer and its connections', () => {
  it('repeats in order what was on its way when every connection broke', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 6)
    const producer = cluster.client().producer({ lingerMs: 0, batchBytes: 200, maxBatchBytes: 200 })
    const sent = Promise.all(
      Array.from({ length: 600 }, (_, at) =>
        producer.send({ topic: TOPIC, partition: at % 6, value: `r${Math.floor(at / 6)}` }),
      ),
    )
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      cluster.cut()
    }
    await sent
    for (let partition = 0; partition < 6; partition++) {
      const firsts = cluster.values(TOPIC, partition).filter((value, at, all) => all.indexOf(value) === at)
      expect(firsts).toEqual(numbered(100))
    }
  })

  it.each(['close', 'half-close', 'silence'] as const)(
    'repeats a batch whose answer was lost by %s',
    async (how) => {
      await using cluster = await FakeCluster.start()
      cluster.topic(TOPIC)
      cluster.script(ProduceApi, () => how)
      const client = cluster.client()
      const producer = client.producer({ lingerMs: 0, requestTimeoutMs: 1 })
      await sendNumbered(producer, 3)
      expect(cluster.values(TOPIC)).toEqual(numbered(3))
    },
    15_000,
  )

  it('repeats a batch that the answer leaves out', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, () => ({ responses: [], throttleTimeMs: 0, nodeEndpoints: [] }))
    await sendNumbered(cluster.client().producer({ lingerMs: 0 }), 3)
    expect(cluster.values(TOPIC)).toEqual(numbered(3))
  })

  it('fails on bytes that are no answer', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const error = await failureOf(sendNumbered(cluster.client().producer({ lingerMs: 0 }), 1))
    expect(error.name).toBe('ProtocolError')
    expect(error.fix).toContain('Kafka listener')
  })

  it('is not answered with acks 0, and finds the new leader when the old one hangs up', async () => {
    await using cluster = await FakeCluster.start(2)
    const topic = cluster.topic(TOPIC)
    const producer = cluster.client().producer({ acks: 0, lingerMs: 0 })
    const sent = await sendNumbered(producer, 3)
    expect(sent.map(({ offset }) => offset)).toEqual([-1, -1, -1])
    Object.assign(topic.partitions[0] as object, { leader: 2, epoch: 1 })
    await sendNumbered(producer, 1, 3)
    await expect
      .poll(
        async () => {
          await producer.send({ topic: TOPIC, partition: 0, value: 'later' })
          return cluster.seen.some(({ api, broker }) => api === ProduceApi.name && broker === 2)
        },
        { timeout: 3_000, interval: 20 },
      )
      .toBe(true)
  })

  it('is not held up by a consumer of the same client that waits for records', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const client = cluster.client()
    const consumer = client.consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 5_000 })
    const first = consumer[Symbol.asyncIterator]().next()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const started = performance.now()
    await sendNumbered(client.producer({ lingerMs: 0 }), 1)
    await first
    expect(performance.now() - started).toBeLessThan(1_000)
  })
})

describe('flush and close', () => {
  it('flush sends at once what lingers', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 60_000 })
    await producer.flush()
    const sent = sendNumbered(producer, 5)
    const started = performance.now()
    await producer.flush()
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(cluster.values(TOPIC)).toEqual(numbered(5))
    await sent
  })

  it('flush does not wait for what is sent after it', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 0 })
    const stop = new AbortController()
    const sent: Promise<unknown>[] = []
    const stream = (async () => {
      while (!stop.signal.aborted) {
        sent.push(producer.send({ topic: TOPIC, value: 'x' }))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await producer.flush()
    stop.abort()
    await stream
    await Promise.all(sent)
    expect(cluster.values(TOPIC).length).toBe(sent.length)
  })

  it('flush waits for what fails too, and does not reject', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, refusal(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    const producer = cluster.client().producer()
    const failed = failureOf(sendNumbered(producer, 1))
    await producer.flush()
    expect((await failed).name).toBe('KafkaError')
  })

  it('close flushes, and send fails afterwards', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const producer = cluster.client().producer({ lingerMs: 60_000 })
    const sent = sendNumbered(producer, 5)
    await Promise.all([producer.close(), producer.close()])
    expect(await sent).toHaveLength(5)
    expect(await failureOf(producer.send({ topic: TOPIC, value: 'late' }))).toBeInstanceOf(ClosedError)
  })

  it('close with a limit fails what was not acknowledged by then, wherever it waits', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.script(ProduceApi, () => 'silence', 1_000)
    const producer = cluster.client().producer({ lingerMs: 0, bufferBytes: 400 })
    const outcomes = Promise.allSettled([
      ...numbered(20).map((value) => producer.send({ topic: TOPIC, partition: 0, value })),
      producer.send({ topic: 'nowhere', value: 'x' }),
    ])
    await new Promise((resolve) => setTimeout(resolve, 50))
    const started = performance.now()
    await producer.close({ timeoutMs: 100 })
    expect(performance.now() - started).toBeLessThan(1_000)
    for (const outcome of await outcomes) expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(ClosedError)
  })

  it('closing the client leaves no connection, and it can not be used any more', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 4)
    const client = cluster.client()
    await client.producer().sendAll(numbered(40).map((value, at) => ({ topic: TOPIC, partition: at % 4, value })))
    const consumer = client.consumer({ assign: [{ topic: TOPIC }] })[Symbol.asyncIterator]()
    await consumer.next()
    await client.close()
    await client.close()
    await expect.poll(() => cluster.connections).toBe(0)
    expect((await failureOf(client.admin.listTopics())).name).toBe('ClosedError')
    expect((await failureOf(client.producer().send({ topic: TOPIC, value: 'x' }))).name).toBe('ClosedError')
  })

  it('a process ends by itself once its client is closed, whatever was under way', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const program = new URL('programs/use-and-close.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [program, `127.0.0.1:${cluster.ports[0]}`, TOPIC])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const [code] = (await once(child, 'exit')) as [number | null]
    const ended = Date.now()
    expect(output).toMatch(/^closed at \d+\n$/)
    expect(code).toBe(0)
    expect(ended - Number(/\d+/.exec(output)?.[0])).toBeLessThan(1_000)
  })
})
