import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { FetchApi, ListOffsetsApi, MetadataApi } from '@millrace/protocol'
import { encodeBatch, encodeMarker } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { type ConsumedRecord, type Consumer, KafkaError } from '../src/index.ts'
import { FakeCluster, fetched } from './fake-cluster.ts'

const TOPIC = 'orders'

function batch(values: readonly string[], options: Parameters<typeof encodeBatch>[1] = {}, from = 1_000): Uint8Array {
  return encodeBatch(
    values.map((value, at) => ({ timestamp: from + at, key: null, value: Buffer.from(value) })),
    options,
  )
}

function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, at) => `r${from + at}`)
}

/** `batches` batches of `size` records each, numbered on. */
function fill(cluster: FakeCluster, batches: number, size: number, partition = 0): void {
  for (let at = 0; at < batches; at++) cluster.append(TOPIC, partition, batch(numbered(size, at * size)))
}

function text({ value }: ConsumedRecord): string {
  return Buffer.from(value ?? []).toString()
}

async function readAll(consumer: Consumer): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of consumer) records.push(record)
  return records
}

async function take(consumer: Consumer, count: number): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of consumer) if (records.push(record) === count) break
  return records
}

function failureOf(promise: Promise<unknown>): Promise<Error & { fix?: string | null }> {
  return promise.then(
    () => new Error('it did not fail'),
    (error: Error) => error,
  )
}

const END = { assign: [{ topic: TOPIC }], until: 'end' as const }

describe('a consumer', () => {
  it('reads every partition in the order of its offsets and ends at the end', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 4)
    for (let partition = 0; partition < 4; partition++) fill(cluster, 20, 10, partition)
    const consumer = cluster.client().consumer({ ...END, maxPartitionBytes: 1_000 })
    const records = await readAll(consumer)
    for (let partition = 0; partition < 4; partition++)
      expect(records.filter((record) => record.partition === partition).map(text)).toEqual(numbered(200))
    expect(consumer.position.map(({ offset }) => offset)).toEqual([200, 200, 200, 200])
  })

  it('ends at once where nothing is, and where it starts at or after the end', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 3)
    const client = cluster.client()
    expect(await readAll(client.consumer(END))).toEqual([])
    fill(cluster, 1, 5)
    for (const from of ['latest', { offset: 5 }, { offset: 9 }, { timestamp: 5_000 }] as const)
      expect(await readAll(client.consumer({ assign: [{ topic: TOPIC, partition: 0, from }], until: 'end' }))).toEqual(
        [],
      )
    expect(cluster.count(FetchApi)).toBe(0)
    expect(await readAll(client.consumer({ assign: [] }))).toEqual([])
  })

  it('starts at an offset within a batch, and at a time', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.append(TOPIC, 0, batch(numbered(10), {}, 1_000))
    cluster.append(TOPIC, 0, batch(numbered(10, 10), {}, 2_000))
    const read = async (from: { offset: number } | { timestamp: number }): Promise<string[]> =>
      (await readAll(cluster.client().consumer({ assign: [{ topic: TOPIC, from }], until: 'end' }))).map(text)
    expect(await read({ offset: 7 })).toEqual(numbered(13, 7))
    expect(await read({ timestamp: 1_500 })).toEqual(numbered(10, 10))
    expect(await read({ timestamp: 2_004 })).toEqual(numbered(6, 14))
  })

  it('stops at the end that was there at the start, though more is written', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.append(TOPIC, 0, batch(numbered(10)))
    cluster.script(FetchApi, () => {
      cluster.append(TOPIC, 0, batch(['late']))
      return 'pass'
    })
    const consumer = cluster.client().consumer(END)
    expect((await readAll(consumer)).map(text)).toEqual(numbered(10))
    expect(consumer.position[0]?.offset).toBe(10)
  })

  it('passes control records and the gaps of compaction, also at the end', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const marker = {
      type: 'commit' as const,
      offset: 0,
      leaderEpoch: 0,
      producerId: 7,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 1,
    }
    const own = { transactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 }
    cluster.append(TOPIC, 0, batch(['a', 'b'], own))
    cluster.append(TOPIC, 0, encodeMarker(marker))
    // Compaction kept one record of ten, then none of five.
    cluster.append(
      TOPIC,
      0,
      encodeBatch([{ timestamp: 1, key: null, value: Buffer.from('c'), offsetDelta: 4 }], { lastOffsetDelta: 9 }),
    )
    cluster.append(TOPIC, 0, encodeBatch([], { lastOffsetDelta: 4, baseTimestamp: 1 }))
    cluster.append(TOPIC, 0, encodeMarker(marker))
    const consumer = cluster.client().consumer(END)
    const records = await readAll(consumer)
    expect(records.map((record) => [record.offset, text(record)])).toEqual([
      [0, 'a'],
      [1, 'b'],
      [7, 'c'],
    ])
    expect(consumer.position[0]?.offset).toBe(19)
  })

  it('leaves out the records of aborted transactions only where it is asked to', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const marker = (type: 'abort' | 'commit', producerId: number): Uint8Array =>
      encodeMarker({ type, offset: 0, leaderEpoch: 0, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1 })
    const of = (producerId: number) => ({ transactional: true, producerId, producerEpoch: 0, baseSequence: 0 })
    cluster.append(TOPIC, 0, batch(['aborted'], of(1)))
    cluster.append(TOPIC, 0, batch(['kept'], of(2)))
    cluster.append(TOPIC, 0, batch(['plain']))
    cluster.append(TOPIC, 0, marker('abort', 1))
    cluster.append(TOPIC, 0, batch(['later'], of(1)))
    cluster.append(TOPIC, 0, marker('commit', 2))
    cluster.append(TOPIC, 0, marker('commit', 1))
    cluster.script(
      FetchApi,
      async ({ request, broker }) => {
        const answer = await cluster.fetch(request, broker)
        const abortedTransactions = [{ producerId: 1, firstOffset: 0 }]
        return {
          ...answer,
          responses: answer.responses.map((topic) => ({
            ...topic,
            partitions: topic.partitions.map((partition) => ({ ...partition, abortedTransactions })),
          })),
        }
      },
      100,
    )
    const client = cluster.client()
    expect((await readAll(client.consumer(END))).map(text)).toEqual(['kept', 'plain', 'later'])
    const all = await readAll(client.consumer({ ...END, committedOnly: false }))
    expect(all.map(text)).toEqual(['aborted', 'kept', 'plain', 'later'])
  })

  it('reads a batch that is larger than any limit of a fetch', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 3)
    for (let partition = 0; partition < 3; partition++) cluster.append(TOPIC, partition, batch(['x'.repeat(100_000)]))
    const records = await readAll(cluster.client().consumer({ ...END, maxPartitionBytes: 10, prefetchBytes: 10 }))
    expect(records.map(text)).toEqual(['x'.repeat(100_000), 'x'.repeat(100_000), 'x'.repeat(100_000)])
  })

  it('gives batches as they come, in the same order', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 5, 10)
    const consumer = cluster.client().consumer(END)
    const sizes: number[] = []
    for await (const records of consumer.batches()) {
      sizes.push(records.length)
      expect(consumer.position[0]?.offset).toBe((records.at(-1)?.offset ?? -2) + 1)
    }
    expect(sizes).toEqual([10, 10, 10, 10, 10])
  })

  it('tells the position after the record that was handed out, not after what was fetched', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 2, 10)
    const consumer = cluster.client().consumer(END)
    for await (const record of consumer) expect(consumer.position[0]?.offset).toBe(record.offset + 1)
  })

  it('answers many calls of next in their order', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 3, 4)
    const iterator = cluster.client().consumer(END)[Symbol.asyncIterator]()
    const results = await Promise.all(Array.from({ length: 14 }, () => iterator.next()))
    expect(results.slice(0, 12).map(({ value }) => text(value as ConsumedRecord))).toEqual(numbered(12))
    expect(results.slice(12)).toEqual([
      { value: undefined, done: true },
      { value: undefined, done: true },
    ])
  })

  it('is iterated once', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const consumer = cluster.client().consumer(END)
    await readAll(consumer)
    expect((await failureOf(readAll(consumer))).message).toContain('is being iterated already')
  })

  it('refuses what makes no sense', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 2)
    const client = cluster.client()
    const consumer = (assign: object[]): Consumer => client.consumer({ assign: assign as never, until: 'end' })
    expect(() => consumer([{ topic: TOPIC }, { topic: TOPIC, partition: 1 }])).toThrow('assigned twice')
    expect(() => consumer([{ topic: TOPIC, partition: 1 }, { topic: TOPIC }])).toThrow('assigned twice')
    expect(() =>
      consumer([
        { topic: TOPIC, partition: 1 },
        { topic: TOPIC, partition: 1 },
      ]),
    ).toThrow('assigned twice')
    expect(() => consumer([{ topic: TOPIC, partition: -1 }])).toThrow('is not possible')
    expect(() => consumer([{ topic: TOPIC, from: { offset: -5 } }])).toThrow('no place to begin')
    expect(() => client.consumer({ assign: [], maxWaitMs: -1 })).toThrow('maxWaitMs is -1')
    expect((await failureOf(readAll(consumer([{ topic: TOPIC, partition: 2 }])))).message).toContain(
      'partitions 0 to 1',
    )
    expect((await failureOf(readAll(consumer([{ topic: 'nowhere' }])))).message).toContain('no such topic')
  })
})

describe('a consumer that goes on for ever', () => {
  it('hands out what is written while it waits', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    const consumer = cluster.client().consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 10_000 })
    const reading = take(consumer, 6)
    for (const value of [0, 2, 4]) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      cluster.append(TOPIC, 0, batch(numbered(2, value)))
    }
    expect((await reading).map(text)).toEqual(numbered(6))
  })

  it.each(['return', 'close', 'client'] as const)('ends promptly in the middle of a long poll by %s', async (how) => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    cluster.append(TOPIC, 0, batch(['a']))
    const client = cluster.client()
    const consumer = client.consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 20_000 })
    const iterator = consumer[Symbol.asyncIterator]()
    await iterator.next()
    const waiting = iterator.next()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const started = performance.now()
    if (how === 'return') await iterator.return?.()
    else if (how === 'close') consumer.close()
    else await client.close()
    expect(await waiting).toEqual({ value: undefined, done: true })
    expect(performance.now() - started).toBeLessThan(500)
    expect(consumer.position[0]?.offset).toBe(1)
    expect(await iterator.next()).toEqual({ value: undefined, done: true })
  })

  it('ends promptly while it looks for its topic', async () => {
    await using cluster = await FakeCluster.start()
    cluster.script(MetadataApi, () => 'silence', 100)
    const consumer = cluster.client({ requestTimeoutMs: 20_000 }).consumer({ assign: [{ topic: TOPIC }] })
    const waiting = consumer[Symbol.asyncIterator]().next()
    await new Promise((resolve) => setTimeout(resolve, 50))
    consumer.close()
    const outcome = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 1_000, 'late'))])
    expect(outcome).toEqual({ value: undefined, done: true })
  })

  it('fetches no further than its limit while nobody takes what it has', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 4)
    for (let partition = 0; partition < 4; partition++)
      for (let at = 0; at < 50; at++) cluster.append(TOPIC, partition, batch(['x'.repeat(10_000)]))
    let brought = 0
    cluster.script(
      FetchApi,
      async ({ request, broker }) => {
        const answer = await cluster.fetch(request, broker)
        for (const { partitions } of answer.responses)
          for (const { records } of partitions) brought += records?.length ?? 0
        return answer
      },
      10_000,
    )
    const consumer = cluster.client().consumer({ ...END, prefetchBytes: 200_000 })
    const iterator = consumer[Symbol.asyncIterator]()
    await iterator.next()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(brought).toBeLessThan(250_000)
    let count = 1
    while ((await iterator.next()).done !== true) count++
    expect(count).toBe(200)
  })

  it('does not ask in a tight loop for metadata that nobody gives, while it holds all that it may', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 50, 100)
    const client = cluster.client({ metadataMaxAgeMs: 20 })
    const iterator = client.consumer({ assign: [{ topic: TOPIC }], prefetchBytes: 5_000 })[Symbol.asyncIterator]()
    await iterator.next()
    cluster.script(MetadataApi, () => 'close', 100_000)
    const before = cluster.count(MetadataApi)
    for (let at = 0; at < 300; at++) {
      await iterator.next()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(cluster.count(MetadataApi) - before).toBeGreaterThan(0)
    expect(cluster.count(MetadataApi) - before).toBeLessThan(60)
  })

  it('reads partitions that are added to a topic that it reads as a whole', async () => {
    await using cluster = await FakeCluster.start()
    const topic = cluster.topic(TOPIC, 1)
    const client = cluster.client({ metadataMaxAgeMs: 50 })
    const consumer = client.consumer({ assign: [{ topic: TOPIC, from: 'latest' }], maxWaitMs: 20 })
    const reading = take(consumer, 2)
    await new Promise((resolve) => setTimeout(resolve, 50))
    topic.partitions.push({ leader: 1, epoch: 0, start: 0, batches: [] })
    cluster.append(TOPIC, 1, batch(['a', 'b']))
    expect((await reading).map((record) => [record.partition, text(record)])).toEqual([
      [1, 'a'],
      [1, 'b'],
    ])
  })

  it('seeks to offsets, times and ends, and drops what it had fetched', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 2)
    for (let at = 0; at < 5; at++) cluster.append(TOPIC, 0, batch(numbered(10, at * 10), {}, at * 1_000))
    const consumer = cluster.client().consumer({ assign: [{ topic: TOPIC, partition: 0 }], maxWaitMs: 20 })
    const iterator = consumer[Symbol.asyncIterator]()
    const next = async (): Promise<string> => text((await iterator.next()).value as ConsumedRecord)
    const place = { topic: TOPIC, partition: 0 }
    expect([await next(), await next()]).toEqual(['r0', 'r1'])
    expect(await consumer.seek(place, { offset: 33 })).toBe(33)
    expect(consumer.position[0]?.offset).toBe(33)
    expect([await next(), await next()]).toEqual(['r33', 'r34'])
    expect(await consumer.seek(place, 'earliest')).toBe(0)
    expect(await next()).toBe('r0')
    expect(await consumer.seek(place, { timestamp: 2_005 })).toBe(25)
    expect(await next()).toBe('r25')
    expect(await consumer.seek(place, 'latest')).toBe(50)
    const waiting = next()
    cluster.append(TOPIC, 0, batch(['new']))
    expect(await waiting).toBe('new')
    expect((await failureOf(consumer.seek({ topic: TOPIC, partition: 1 }, 'latest'))).message).toContain(
      'is not assigned',
    )
    consumer.close()
  })
})

describe('a consumer in trouble', () => {
  it('follows the leader without duplicates and gaps', async () => {
    await using cluster = await FakeCluster.start(3)
    const topic = cluster.topic(TOPIC)
    const consumer = cluster.client().consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 20, maxPartitionBytes: 200 })
    const reading = take(consumer, 400)
    for (let round = 0; round < 20; round++) {
      cluster.append(TOPIC, 0, batch(numbered(20, round * 20)))
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (round % 4 === 3) Object.assign(topic.partitions[0] as object, { leader: (round % 3) + 1, epoch: round })
    }
    expect((await reading).map(text)).toEqual(numbered(400))
  })

  it('reads on where it was when connections break and brokers hang up', async () => {
    await using cluster = await FakeCluster.start(2)
    cluster.topic(TOPIC, 4)
    for (let partition = 0; partition < 4; partition++) fill(cluster, 50, 10, partition)
    for (const how of ['close', 'half-close', 'pass', 'close', 'pass', 'half-close'] as const)
      cluster.script(FetchApi, () => how)
    const records = await readAll(cluster.client().consumer({ ...END, maxPartitionBytes: 1_000 }))
    for (let partition = 0; partition < 4; partition++)
      expect(records.filter((record) => record.partition === partition).map(text)).toEqual(numbered(500))
  })

  it('loses nothing of one partition when another one of the same answer fails', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC, 2)
    fill(cluster, 1, 10, 0)
    fill(cluster, 1, 10, 1)
    cluster.script(FetchApi, async ({ request, broker }) => {
      const answer = await cluster.fetch(request, broker)
      return {
        ...answer,
        responses: answer.responses.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map((one) =>
            one.partitionIndex === 1 ? fetched(1, ErrorCode.OFFSET_OUT_OF_RANGE) : one,
          ),
        })),
      }
    })
    cluster.script(ListOffsetsApi, () => 'pass', 2)
    cluster.script(ListOffsetsApi, () => 'close')
    const records = await readAll(cluster.client().consumer({ ...END, onOutOfRange: 'earliest' }))
    for (const partition of [0, 1])
      expect(records.filter((record) => record.partition === partition).map(text)).toEqual(numbered(10))
  })

  it('fails outside of the log with the way out, or goes where it was told', async () => {
    await using cluster = await FakeCluster.start()
    const partition = cluster.topic(TOPIC).partitions[0] as { start: number; batches: Buffer[] }
    for (let at = 0; at < 3; at++) cluster.append(TOPIC, 0, batch(numbered(10, at * 10)))
    partition.batches.shift()
    partition.start = 10
    const assign = [{ topic: TOPIC, from: { offset: 3 } }]
    const client = cluster.client()
    const error = await failureOf(readAll(client.consumer({ assign, until: 'end' })))
    expect(error).toBeInstanceOf(KafkaError)
    expect(error.message).toContain('offset 3 is not in its log')
    expect(error.fix).toContain('earliest')
    const earliest = client.consumer({ assign, until: 'end', onOutOfRange: 'earliest' })
    expect((await readAll(earliest)).map(text)).toEqual(numbered(20, 10))
    const latest = client.consumer({ assign, until: 'end', onOutOfRange: 'latest' })
    expect(await readAll(latest)).toEqual([])
    expect(latest.position[0]?.offset).toBe(30)
  })

  it('takes a topic that was created again for another log', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 1, 10)
    const client = cluster.client({ metadataMaxAgeMs: 30 })
    for (const onOutOfRange of ['fail', 'earliest'] as const) {
      const consumer = client.consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 10, onOutOfRange })
      const iterator = consumer[Symbol.asyncIterator]()
      for (let at = 0; at < 10; at++) await iterator.next()
      cluster.topic(TOPIC)
      fill(cluster, 1, 10)
      const next = await iterator.next().then(
        ({ value }) => text(value as ConsumedRecord),
        (error: Error) => error.message,
      )
      expect(next).toMatch(onOutOfRange === 'fail' ? /created again/ : /^r0$/)
      consumer.close()
    }
  })

  it('fails when its topic is gone', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 1, 2)
    const consumer = cluster.client({ retryTimeoutMs: 300 }).consumer({ assign: [{ topic: TOPIC }], maxWaitMs: 10 })
    const iterator = consumer[Symbol.asyncIterator]()
    await iterator.next()
    cluster.topics.delete(TOPIC)
    await iterator.next()
    expect(((await failureOf(iterator.next())) as KafkaError).code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('gives up an end that it can not reach', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 1, 2)
    cluster.script(FetchApi, () => 'close', 10_000)
    const error = await failureOf(readAll(cluster.client({ retryTimeoutMs: 300 }).consumer(END)))
    expect(error.name).toBe('ConnectionError')
  })

  it('hands out what comes before a corrupt batch, then names its place', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 3, 10)
    const damaged = cluster.partition(TOPIC, 0).batches[1] as Buffer
    damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 0xff
    const records: string[] = []
    const error = await failureOf(
      (async () => {
        for await (const record of cluster.client().consumer(END)) records.push(text(record))
      })(),
    )
    expect(records).toEqual(numbered(10))
    expect(error.name).toBe('ProtocolError')
    expect(error.message).toMatch(/orders partition 0: the batch at offset 10 is corrupt: its checksum/)
  })

  it.each([
    ['noise', Buffer.from('x'.repeat(200))],
    ['a batch that is cut', Buffer.from(batch(['a'])).subarray(0, 40)],
    ['a batch before the position', Buffer.from(batch(['a']))],
  ])('does not spin on %s', async (_what, records) => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 2, 5)
    cluster.script(
      FetchApi,
      () => ({
        throttleTimeMs: 0,
        errorCode: 0,
        sessionId: 0,
        nodeEndpoints: [],
        responses: [{ topic: TOPIC, topicId: ZERO_UUID, partitions: [{ ...fetched(0, 0), records }] }],
      }),
      100,
    )
    const assign = [{ topic: TOPIC, from: { offset: 5 } }]
    const error = await failureOf(readAll(cluster.client().consumer({ assign, until: 'end' })))
    expect(error.name).toBe('ProtocolError')
    expect(cluster.count(FetchApi)).toBe(1)
  })

  it('ignores answers to questions that it did not ask', async () => {
    await using cluster = await FakeCluster.start()
    cluster.topic(TOPIC)
    fill(cluster, 1, 5)
    cluster.script(FetchApi, async ({ request, broker }) => {
      const answer = await cluster.fetch(request, broker)
      const more = { topic: 'other', topicId: ZERO_UUID, partitions: [fetched(9, ErrorCode.OFFSET_OUT_OF_RANGE)] }
      return { ...answer, responses: [more, ...answer.responses] }
    })
    expect((await readAll(cluster.client().consumer(END))).map(text)).toEqual(numbered(5))
  })
})
