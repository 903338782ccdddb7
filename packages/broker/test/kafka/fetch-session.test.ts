import { ErrorCode } from '@millrace/base'
import { FetchApi } from '@millrace/protocol'
import type { FetchResponse } from '@millrace/protocol'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { idOf } from './fake-broker.ts'
import type { FakeReplica } from './fake-broker.ts'
import { batch, fetchRequest, harness } from './harness.ts'
import type { FetchChange, FetchPlace, Harness, TestClient } from './harness.ts'

const MINUTE_MS = 60_000

type Told = [place: string, error: number, highWatermark: number, bytes: number]

/** What an answer tells, in its order. */
function told({ responses }: FetchResponse): Told[] {
  return responses.flatMap(({ topic, topicId, partitions }) =>
    partitions.map((one): Told => {
      const name = topic === '' ? topicId : topic
      return [`${name}/${one.partitionIndex}`, one.errorCode, one.highWatermark, one.records?.length ?? 0]
    }),
  )
}

/** A client that follows its session. */
class SessionClient {
  id = 0
  epoch = 0
  readonly client: TestClient
  readonly version: number

  constructor(client: TestClient, version: number) {
    this.client = client
    this.version = version
  }

  ask(places: readonly FetchPlace[], change: FetchChange = {}): FetchResponse {
    const request = fetchRequest(places, {
      maxWaitMs: 0,
      sessionId: this.id,
      sessionEpoch: this.epoch,
      ...change,
    })
    const answer = this.client.ask(FetchApi, this.version, request, 5000)
    if (answer.errorCode === ErrorCode.NONE) {
      this.id = answer.sessionId
      this.epoch = answer.sessionId === 0 ? 0 : this.epoch + 1
    }
    return answer
  }
}

function session({ connect }: Harness, version = 12): SessionClient {
  return new SessionClient(connect(), version)
}

function append(replica: FakeReplica, bytes = 10): void {
  replica.append(batch(['v'.repeat(bytes)]), 1, () => {})
}

function rig(properties: Readonly<Record<string, string>> = {}) {
  const made = harness({ properties })
  const replicas = made.broker.topic('t', 3)
  const add = (index: number, bytes = 10): void => {
    append(replicas[index] as FakeReplica, bytes)
    made.world.time.turn()
  }
  return { ...made, replicas, add, size: batch(['v'.repeat(10)]).length }
}

const ALL: readonly FetchPlace[] = [0, 1, 2].map((partition) => ({ topic: 't', partition }))

describe('a fetch session', () => {
  test.each([7, 11, 12, 13, 17, 18])('in version %i tells everything once, then what changed', (version) => {
    const made = rig()
    const reader = session(made, version)
    const name = version >= 13 ? idOf('t') : 't'
    expect(told(reader.ask(ALL))).toEqual([0, 1, 2].map((index) => [`${name}/${index}`, 0, 0, 0]))
    expect(reader.id).toBeGreaterThan(0)
    expect(told(reader.ask([]))).toEqual([])
    made.add(1)
    expect(told(reader.ask([]))).toEqual([[`${name}/1`, 0, 1, made.size]])
    expect(told(reader.ask([{ topic: 't', partition: 1, offset: 1 }]))).toEqual([])
  })

  test('tells of a watermark or a log start that moved without records to read', () => {
    const made = rig()
    const reader = session(made)
    made.add(0)
    const [replica] = made.replicas as [FakeReplica]
    reader.ask([{ topic: 't', offset: 1 }])
    replica.logStart = 1
    expect(reader.ask([]).responses[0]?.partitions[0]).toMatchObject({ logStartOffset: 1, highWatermark: 1 })
    expect(told(reader.ask([]))).toEqual([])
  })

  test('repeats an error, and tells of its end although the watermark is the same', () => {
    const made = rig()
    const reader = session(made)
    const [replica] = made.replicas as [FakeReplica]
    reader.ask(ALL)
    replica.error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    for (let i = 0; i < 2; i++) expect(told(reader.ask([]))).toEqual([['t/0', ErrorCode.NOT_LEADER_OR_FOLLOWER, -1, 0]])
    replica.error = ErrorCode.NONE
    expect(told(reader.ask([]))).toEqual([['t/0', 0, 0, 0]])
    expect(told(reader.ask([]))).toEqual([])
  })

  test('tells of a divergence each time, and of its end', () => {
    const made = rig()
    const reader = session(made)
    const [replica] = made.replicas as [FakeReplica]
    reader.ask(ALL)
    replica.diverging = { epoch: 3, endOffset: 9 }
    for (let i = 0; i < 2; i++)
      expect(reader.ask([]).responses[0]?.partitions[0]?.divergingEpoch).toEqual({ epoch: 3, endOffset: 9 })
    replica.diverging = null
    expect(told(reader.ask([]))).toEqual([['t/0', 0, 0, 0]])
  })

  test('forgets partitions, takes new ones, and ends when it has none', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL.slice(0, 2))
    for (const index of [0, 1, 2]) made.add(index)
    expect(told(reader.ask([{ topic: 't', partition: 2 }], { forgotten: [{ topic: 't', partition: 0 }] }))).toEqual([
      ['t/1', 0, 1, made.size],
      ['t/2', 0, 1, made.size],
    ])
    const forgotten = [...ALL, { topic: 'never' }]
    expect(reader.ask([], { forgotten })).toMatchObject({ errorCode: 0, sessionId: 0, responses: [] })
    expect(made.broker.fetchSessions.size).toBe(0)
    expect(made.broker.fetchSessions.partitions).toBe(0)
  })

  test('reads whoever had records last the next time, so that one busy partition starves nobody', () => {
    const made = rig()
    const reader = session(made)
    for (const index of [0, 1, 2]) for (let i = 0; i < 3; i++) made.add(index)
    reader.ask([])
    const first = reader.ask(ALL, { maxBytes: 1 })
    expect(told(first).map(([, , , bytes]) => bytes > 0)).toEqual([true, false, false])
    const served = [1, 2, 3].map(() => told(reader.ask([], { maxBytes: 1 }))[0]?.[0])
    expect(served).toEqual(['t/0', 't/1', 't/2'])
  })

  test('is refused under another epoch (71), when it is unknown (70), and when names and ids mix (106)', () => {
    const made = rig()
    const reader = session(made, 13)
    reader.ask(ALL)
    const { id } = reader
    const error = (version: number, sessionId: number, sessionEpoch: number): unknown[] => {
      const answer = made.connect().ask(FetchApi, version, fetchRequest([], { sessionId, sessionEpoch, maxWaitMs: 0 }))
      return [answer.errorCode, answer.sessionId, answer.responses.length]
    }
    expect(error(13, id, 2)).toEqual([ErrorCode.INVALID_FETCH_SESSION_EPOCH, 0, 0])
    expect(error(13, id + 1, 1)).toEqual([ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0, 0])
    expect(error(12, id, 1)).toEqual([ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR, 0, 0])
    expect(told(reader.ask([]))).toEqual([])
    const named = session(made, 12)
    named.ask(ALL)
    expect(error(13, named.id, 1)[0]).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
  })

  test('goes on at epoch 1 after the last epoch', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL)
    const kept = made.broker.fetchSessions.get(reader.id)
    if (kept !== null) kept.epoch = 0x7fff_ffff
    reader.epoch = 0x7fff_ffff
    reader.ask([])
    expect(kept?.epoch).toBe(1)
  })

  test('ends with a request that names everything, whether it wants another one or not', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL)
    const first = reader.id
    reader.epoch = 0
    reader.ask(ALL)
    expect(made.broker.fetchSessions.get(first)).toBeNull()
    expect(made.broker.fetchSessions.size).toBe(1)
    expect(reader.ask(ALL, { sessionEpoch: -1 }).sessionId).toBe(0)
    expect(made.broker.fetchSessions.size).toBe(0)
  })

  test('that waits is answered by the change, with the changed partition alone, and holds one watch per partition', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL)
    for (let round = 1; round <= 3; round++) {
      const { client } = reader
      const places = round === 1 ? [] : [{ topic: 't', partition: 2, offset: round - 1 }]
      client.send(FetchApi, 12, fetchRequest(places, { sessionId: reader.id, sessionEpoch: round, maxWaitMs: 9000 }))
      made.world.time.turn()
      made.add(2)
      const [answer] = client.receive()
      expect(told(answer?.value as FetchResponse)).toEqual([['t/2', 0, round, made.size]])
    }
    for (const { watches } of made.replicas) expect(watches).toBe(1)
  })

  test('whose client comes back while an older request waits answers that one with 71 and goes on with the newer one', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL)
    const waiting = reader.client
    waiting.send(FetchApi, 12, fetchRequest([], { sessionId: reader.id, sessionEpoch: 1, maxWaitMs: 9000 }))
    made.world.time.turn()
    const other = made.connect()
    other.send(FetchApi, 12, fetchRequest([], { sessionId: reader.id, sessionEpoch: 2, maxWaitMs: 9000 }))
    made.world.time.turn()
    const [old] = waiting.receive()
    expect(old?.value).toMatchObject({ errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, responses: [] })
    made.add(0)
    const [answer] = other.receive()
    expect(told(answer?.value as FetchResponse)).toEqual([['t/0', 0, 1, made.size]])
  })

  test('outlives a client that went away in the midst of a cold read, whose late bytes are nobody’s', () => {
    const made = rig()
    const reader = session(made)
    reader.ask(ALL)
    const [replica] = made.replicas as [FakeReplica]
    made.add(0)
    replica.cold = true
    reader.client.send(FetchApi, 12, fetchRequest([], { sessionId: reader.id, sessionEpoch: 1, maxWaitMs: 9000 }))
    made.world.time.turn()
    reader.client.end.hangUp()
    made.world.time.turn()
    replica.cold = false
    const again = session(made)
    again.id = reader.id
    again.epoch = 2
    expect(told(again.ask([]))).toEqual([['t/0', 0, 1, made.size]])
    made.world.time.advance(100)
    expect(told(again.ask([{ topic: 't', offset: 1 }]))).toEqual([])
  })

  test('of a partition that is not there, or not here, gives its error; an unknown id is 100, one that was made anew 103', () => {
    const made = rig()
    const reader = session(made, 13)
    const strange = [...ALL, { topic: 't', partition: 9 }, { topic: 'later' }]
    expect(told(reader.ask(strange)).slice(3)).toEqual([
      [`${idOf('t')}/9`, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, 0],
      [`${idOf('later')}/0`, ErrorCode.UNKNOWN_TOPIC_ID, -1, 0],
    ])
    const topic = made.broker.image.topics.get(idOf('t'))
    made.broker.image.topics.delete(idOf('t'))
    expect(new Set(told(reader.ask([])).map(([, error]) => error))).toEqual(new Set([ErrorCode.UNKNOWN_TOPIC_ID]))
    if (topic !== undefined)
      made.broker.image.topics.set('anewAAAAAAAAAAAAAAAAAA', { ...topic, id: 'anewAAAAAAAAAAAAAAAAAA' })
    const errors = told(reader.ask([])).map(([, error]) => error)
    expect(errors.filter((error) => error === ErrorCode.INCONSISTENT_TOPIC_ID)).toHaveLength(4)
    // Who knows nothing of the name is told that the id is unknown.
    expect(told(session(made, 13).ask(ALL))[0]?.[1]).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })
})

describe('the sessions of a broker', () => {
  test('are at most as many as the setting says; who gets none is answered in full each time', () => {
    const made = rig({ 'max.incremental.fetch.session.cache.slots': '2' })
    const readers = [1, 2, 3].map(() => session(made))
    expect(readers.map((reader) => reader.ask(ALL).sessionId > 0)).toEqual([true, true, false])
    expect(told(readers[2]?.ask(ALL) as FetchResponse)).toHaveLength(3)
    const none = rig({ 'max.incremental.fetch.session.cache.slots': '0' })
    expect(session(none).ask(ALL).sessionId).toBe(0)
  })

  test('give way when they were not used for two minutes, the least recently used first', () => {
    const made = rig({ 'max.incremental.fetch.session.cache.slots': '2' })
    const [a, b, c] = [1, 2, 3].map(() => session(made)) as [SessionClient, SessionClient, SessionClient]
    a.ask(ALL)
    b.ask(ALL)
    made.world.time.advance(1.5 * MINUTE_MS)
    a.ask([])
    made.world.time.advance(0.6 * MINUTE_MS)
    expect(c.ask(ALL).sessionId).toBeGreaterThan(0)
    expect(b.ask([]).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(a.ask([]).errorCode).toBe(0)
  })

  test('give way to a larger one once they are two minutes old, the smallest first', () => {
    const made = rig({ 'max.incremental.fetch.session.cache.slots': '2' })
    const [small, middle, large] = [1, 2, 3].map(() => session(made)) as [SessionClient, SessionClient, SessionClient]
    middle.ask(ALL.slice(0, 2))
    small.ask(ALL.slice(0, 1))
    expect(large.ask(ALL).sessionId).toBe(0)
    for (let i = 0; i < 3; i++) {
      made.world.time.advance(0.7 * MINUTE_MS)
      small.ask([])
      middle.ask([])
    }
    expect(session(made).ask(ALL.slice(0, 1)).sessionId).toBe(0)
    expect(large.ask(ALL).sessionId).toBeGreaterThan(0)
    expect(small.ask([]).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(middle.ask([]).errorCode).toBe(0)
  })
})

test('the view of a session is always what full fetches see', () => {
  const step = fc.record({
    kind: fc.constantFrom('append', 'fail', 'heal', 'trim', 'take', 'forget', 'seek', 'none'),
    at: fc.nat(5),
    bytes: fc.integer({ min: 1, max: 40 }),
    maxBytes: fc.constantFrom(1, 200, 1_000_000),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.constantFrom(12, 17), (steps, version) => {
      const { world, broker, connect } = harness()
      const replicas = broker.topic('t', 6)
      const positions = new Map<number, number>([[0, 0]])
      const view = new Map<string, { error: number; highWatermark: number; logStart: number }>()
      const reader = session({ world, broker, connect } as Harness, version)
      const plain = connect()
      let changed: FetchPlace[] = [{ topic: 't', partition: 0 }]
      for (const { kind, at, bytes, maxBytes } of steps) {
        const replica = replicas[at] as FakeReplica
        const forgotten: FetchPlace[] = []
        const offset = positions.get(at)
        if (kind === 'append') append(replica, bytes)
        else if (kind === 'fail') replica.error = ErrorCode.KAFKA_STORAGE_ERROR
        else if (kind === 'heal') replica.error = ErrorCode.NONE
        else if (kind === 'trim') replica.logStart = Math.max(replica.logStart, Math.min(replica.highWatermark, bytes))
        else if (kind === 'seek' && offset !== undefined) positions.set(at, Math.max(0, offset - bytes))
        else if (kind === 'take' && offset === undefined) positions.set(at, 0)
        else if (kind === 'forget' && offset !== undefined && positions.size > 1) {
          positions.delete(at)
          view.delete(`${at}`)
          forgotten.push({ topic: 't', partition: at })
          changed = changed.filter(({ partition }) => partition !== at)
        }
        if ((kind === 'seek' || kind === 'take') && positions.has(at))
          changed = [...changed.filter(({ partition }) => partition !== at), place(positions, at)]
        world.time.turn()
        const answer = reader.ask(
          reader.epoch === 0 ? [...positions.keys()].map((one) => place(positions, one)) : changed,
          {
            forgotten,
            maxBytes,
          },
        )
        expect(answer.errorCode).toBe(0)
        changed = []
        for (const one of answer.responses.flatMap(({ partitions }) => partitions)) {
          const { partitionIndex: index, errorCode: error, highWatermark, logStartOffset: logStart, records } = one
          view.set(`${index}`, { error, highWatermark, logStart })
          const sent = Buffer.from(records ?? [])
          const log = Buffer.concat((replicas[index] as FakeReplica).batches.slice(positions.get(index)))
          expect(log.subarray(0, sent.length).equals(sent)).toBe(true)
          if (sent.length === 0) continue
          const count = countOf(replicas[index] as FakeReplica, positions.get(index) ?? 0, sent.length)
          positions.set(index, (positions.get(index) ?? 0) + count)
          changed.push(place(positions, index))
        }
        const full = plain.ask(
          FetchApi,
          12,
          fetchRequest(
            [...positions.keys()].map((one) => place(positions, one)),
            { maxWaitMs: 0 },
          ),
        )
        for (const one of full.responses.flatMap(({ partitions }) => partitions)) {
          const seen = view.get(`${one.partitionIndex}`)
          expect(seen, `partition ${one.partitionIndex}`).toEqual({
            error: one.errorCode,
            highWatermark: one.highWatermark,
            logStart: one.logStartOffset,
          })
        }
      }
    }),
    { numRuns: 150 },
  )
})

function place(positions: ReadonlyMap<number, number>, partition: number): FetchPlace {
  return { topic: 't', partition, offset: positions.get(partition) ?? 0 }
}

/** How many batches, one record each, the bytes from a position on are. */
function countOf(replica: FakeReplica, from: number, bytes: number): number {
  let count = 0
  for (let left = bytes; left > 0; count++) left -= (replica.batches[from + count] as Uint8Array).length
  return count
}
