import { ErrorCode } from '@millrace/base'
import { FetchApi, ProduceApi } from '@millrace/protocol'
import type { FetchResponse } from '@millrace/protocol'
import { baseOffset, splitBatches } from '@millrace/records'
import { describe, expect, test } from 'vitest'
import type { FakeReplica } from './fake-broker.ts'
import { batch, fetchRequest, harness, produceRequest } from './harness.ts'
import type { FetchChange, Harness, TestClient } from './harness.ts'

const ALL = 32
/** A record of 100,000 bytes in its batch. */
const BATCH_BYTES = 100_075

/** A listener with a topic of four partitions, 100 KB in each. What its pool gets back is spoiled at once. */
function filled(): Harness & { places: { topic: string; partition: number; maxBytes?: number }[] } {
  const made = harness()
  const replicas = made.broker.topic('t', 4)
  const client = made.connect()
  for (let index = 0; index < 4; index++)
    client.ask(ProduceApi, 9, produceRequest('t', batch([`${index}`.repeat(100_000)]), { index }))
  for (const replica of replicas) replica.cold = true
  return { ...made, places: [0, 1, 2, 3].map((partition) => ({ topic: 't', partition })) }
}

function send(client: TestClient, places: Parameters<typeof fetchRequest>[0], change: FetchChange = {}): void {
  client.send(FetchApi, 11, fetchRequest(places, change))
}

function errorsOf(client: TestClient): number[] {
  return client
    .receive()
    .flatMap(({ value }) => (value as FetchResponse).responses)
    .flatMap(({ partitions }) => partitions.map(({ errorCode, records }) => (records?.length ?? 0) || -errorCode))
}

describe('the memory of answers', () => {
  test('is out from the first read until the kernel has the answer', () => {
    const { world, broker, connect, places } = filled()
    const client = connect()
    client.end.stalled = true
    send(client, places)
    world.time.turn()
    expect(broker.buffers.available).toBe(ALL - 1)
    world.time.advance(2)
    expect(client.end.writes).toBe(1)
    expect(broker.buffers.available).toBe(ALL - 1)
    client.end.drain()
    expect(broker.buffers.available).toBe(ALL)
    expect(errorsOf(client)).toEqual(Array.from({ length: 4 }, () => BATCH_BYTES))
  })

  test('comes back, and only after the reads have ended, when the client goes away while they are under way', () => {
    const { world, broker, connect, places } = filled()
    const client = connect()
    send(client, places)
    world.time.turn()
    client.end.hangUp()
    expect(broker.buffers.available).toBe(ALL - 1)
    world.time.advance(2)
    expect(broker.buffers.available).toBe(ALL)
    expect(client.end.writes).toBe(0)
  })

  test('comes back when the client goes away with the answer on its way', () => {
    const { world, broker, connect, places } = filled()
    const client = connect()
    client.end.stalled = true
    send(client, places)
    world.time.advance(2)
    expect(client.end.writes).toBe(1)
    expect(broker.buffers.available).toBe(ALL - 1)
    client.end.hangUp()
    expect(broker.buffers.available).toBe(ALL)
  })

  test('comes back when the client goes away with the answer waiting for an earlier one', () => {
    const { world, broker, connect, places } = filled()
    const [replica] = broker.topic('slow')
    if (replica !== undefined) replica.alone = false
    const client = connect()
    client.send(ProduceApi, 9, produceRequest('slow', batch(['x']), { timeoutMs: 60_000 }))
    send(client, places)
    world.time.advance(2)
    expect(client.end.writes).toBe(0)
    expect(broker.buffers.available).toBe(ALL - 1)
    client.end.hangUp()
    expect(broker.buffers.available).toBe(ALL)
  })

  test('comes back when the listener stops', () => {
    const { world, broker, listener, connect, places } = filled()
    for (let i = 0; i < 4; i++) send(connect(), places)
    world.time.turn()
    expect(broker.buffers.available).toBe(ALL - 4)
    listener.stop(() => {})
    world.time.advance(2)
    expect(broker.buffers.available).toBe(ALL)
  })

  test('comes back when reads fail', () => {
    const { world, broker, connect, places } = filled()
    const replica = broker.replicas.find('t', 2)
    if (typeof replica !== 'number') Object.assign(replica, { readErrors: 1 })
    const client = connect()
    send(client, places)
    world.time.advance(2)
    expect(errorsOf(client)).toEqual([BATCH_BYTES, BATCH_BYTES, -ErrorCode.KAFKA_STORAGE_ERROR, BATCH_BYTES])
    expect(broker.buffers.available).toBe(ALL)
  })

  test('is not kept from fast clients by those that read slowly', () => {
    const { world, broker, connect, places } = filled()
    const slow = Array.from({ length: ALL + 8 }, () => connect())
    for (const client of slow) {
      client.end.stalled = true
      send(client, places)
    }
    world.time.advance(2)
    expect(broker.buffers.available).toBe(0)
    const fast = connect()
    send(fast, places)
    world.time.advance(2)
    expect(errorsOf(fast)).toEqual(Array.from({ length: 4 }, () => BATCH_BYTES))
    world.time.advance(4000)
    expect(broker.buffers.available).toBe(ALL)
    for (const client of slow) client.end.drain()
    for (const client of slow) expect(errorsOf(client)).toEqual(Array.from({ length: 4 }, () => BATCH_BYTES))
    expect(broker.buffers.available).toBe(ALL)
  })

  test('bounds what one answer gathers, which goes on where it stopped', () => {
    const { broker, connect } = harness()
    const replicas = broker.topic('wide', 20)
    const client = connect()
    for (let index = 0; index < 20; index++)
      client.ask(ProduceApi, 9, produceRequest('wide', batch(['x'.repeat(900_000)]), { index }))
    const places = replicas.map(({ partition }) => ({ topic: 'wide', partition }))
    const read = new Set<number>()
    for (let round = 0; round < 4 && read.size < 20; round++) {
      const left = places.filter(({ partition }) => !read.has(partition))
      const { responses } = client.ask(FetchApi, 11, fetchRequest(left), 1000)
      const found = responses.flatMap(({ partitions }) => partitions).filter(({ records }) => records?.length)
      expect(found.length).toBeLessThanOrEqual(9)
      for (const { partitionIndex } of found) read.add(partitionIndex)
    }
    expect(read.size).toBe(20)
    expect(broker.buffers.available).toBe(ALL)
  })
})

describe('a partition that is asked for more than a piece', () => {
  const asked = [{ topic: 'big', maxBytes: 5_000_000 }]
  const sent = (world: Harness['world'], client: TestClient): void => {
    send(client, asked)
    world.time.turn()
  }
  const only = (client: TestClient): { error: number; batches: number; bytes: number } => {
    const [answer] = client.receive()
    const [partition] = (answer as { value: FetchResponse }).value.responses.flatMap(({ partitions }) => partitions)
    const records = partition?.records ?? new Uint8Array(0)
    const batches = splitBatches(records)
    for (const [at, one] of batches.entries()) expect(baseOffset(one, 0)).toBe(at)
    return { error: partition?.errorCode ?? -1, batches: batches.length, bytes: records.length }
  }
  const big = (batches: number, bytes: number): Harness & { replica: FakeReplica } => {
    const made = harness()
    const replica = made.broker.topic('big')[0] as FakeReplica
    const client = made.connect()
    for (let i = 0; i < batches; i++) client.ask(ProduceApi, 9, produceRequest('big', batch(['x'.repeat(bytes)])))
    return { ...made, replica }
  }

  test.each([true, false])('gets as many as have room, from the disk: %s', (cold) => {
    const { world, broker, replica, connect } = big(20, 300_000)
    replica.cold = cold
    const client = connect()
    client.end.stalled = true
    sent(world, client)
    world.time.advance(20)
    expect(only(client)).toMatchObject({ error: 0, batches: 15 })
    expect(broker.buffers.available).toBe(ALL - 5)
    client.end.drain()
    expect(broker.buffers.available).toBe(ALL)
  })

  test('gets what there is', () => {
    const { world, replica, connect } = big(5, 300_000)
    replica.cold = true
    const client = connect()
    sent(world, client)
    world.time.advance(20)
    expect(only(client)).toMatchObject({ error: 0, batches: 5 })
  })

  test('gets no more than it asked for when the next batch is too large', () => {
    const { world, replica, connect } = big(7, 900_000)
    replica.cold = true
    const client = connect()
    sent(world, client)
    world.time.advance(20)
    expect(only(client)).toMatchObject({ error: 0, batches: 5 })
  })

  test.each(['an error', 'another leadership'])('gets the pieces before %s', (what) => {
    const { world, broker, replica, connect } = big(20, 300_000)
    replica.cold = true
    const client = connect()
    sent(world, client)
    if (what === 'an error') {
      // The first piece is being read, and the next one fails.
      replica.readErrors = 1
    } else replica.error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    world.time.advance(20)
    expect(only(client)).toMatchObject({ error: 0, batches: 3 })
    expect(broker.buffers.available).toBe(ALL)
  })

  test('gives its memory back when the client goes away between two pieces', () => {
    const { world, broker, replica, connect } = big(20, 300_000)
    replica.cold = true
    const client = connect()
    sent(world, client)
    world.time.advance(1)
    expect(broker.buffers.available).toBe(ALL - 2)
    client.end.hangUp()
    world.time.advance(20)
    expect(broker.buffers.available).toBe(ALL)
    expect(client.end.writes).toBe(0)
  })
})
