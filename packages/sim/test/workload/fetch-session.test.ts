import { ErrorCode, type Uuid, ZERO_UUID } from '@millrace/base'
import type { FetchRequest, FetchResponse } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { ClientFetchSession } from '../../src/workload/fetch-session.ts'
import { answered } from './fetch-answers.ts'

const NAMES = 12
const IDS = 13
const ID = 'topicAAAAAAAAAAAAAAAAA'
const OTHER_ID = 'anewAAAAAAAAAAAAAAAAAA'

/** A request for partitions of one topic, each from an offset. */
function request(offsets: Readonly<Record<number, number>>, topicId: Uuid = ID, epoch = -1): FetchRequest {
  const partitions = Object.entries(offsets).map(([partition, fetchOffset]) => ({
    partition: Number(partition),
    currentLeaderEpoch: epoch,
    fetchOffset,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 1000,
    replicaDirectoryId: ZERO_UUID,
    highWatermark: 0,
  }))
  return {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1000,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [{ topic: 'topic', topicId, partitions }],
    forgottenTopicsData: [],
    rackId: '',
  }
}

/** An answer that tells watermarks of partitions of the topic, as versions that know names write it. */
function response(sessionId: number, watermarks: Readonly<Record<number, number>> = {}): FetchResponse {
  const partitions = Object.entries(watermarks).map(([partition, highWatermark]) => {
    const errorCode = highWatermark < 0 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.NONE
    return answered(Number(partition), { errorCode, highWatermark, lastStableOffset: highWatermark })
  })
  const responses = partitions.length === 0 ? [] : [{ topic: 'topic', topicId: ZERO_UUID, partitions }]
  return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, sessionId, responses, nodeEndpoints: [] }
}

function refusal(errorCode: ErrorCode): FetchResponse {
  return { ...response(0), errorCode }
}

/** What a request says of its session: its id and epoch, the partitions that it names, and those that it has forgotten. */
function said({ sessionId, sessionEpoch, topics, forgottenTopicsData }: FetchRequest): unknown[] {
  return [
    sessionId,
    sessionEpoch,
    topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)),
    forgottenTopicsData.flatMap(({ partitions }) => partitions),
  ]
}

/** One that is granted session 7 for some partitions. */
function granted(offsets: Readonly<Record<number, number>>, version = NAMES): ClientFetchSession {
  const session = new ClientFetchSession()
  session.narrow(request(offsets), version)
  expect(session.answered(response(7))).toBe('all')
  return session
}

describe('a simulated consumer with a fetch session', () => {
  it('names what changes, and what it no longer reads', () => {
    const session = new ClientFetchSession()
    expect(said(session.narrow(request({ 0: 5, 1: 5, 2: 5 }), NAMES))).toEqual([0, 0, [0, 1, 2], []])
    expect(session.answered(response(7))).toBe('all')
    expect(said(session.narrow(request({ 0: 5, 1: 6 }), NAMES))).toEqual([7, 1, [1], [2]])
    expect(session.answered(response(7))).toBe('news')
    expect(said(session.narrow(request({ 0: 5, 1: 6, 2: 5 }), NAMES))).toEqual([7, 2, [2], []])
    session.answered(response(7))
    expect(said(session.narrow(request({ 0: 5, 1: 6, 2: 5 }, ID, 4), NAMES))).toEqual([7, 3, [0, 1, 2], []])
  })

  it('asks for everything again as long as it is granted none, and once the broker has none any more', () => {
    const session = new ClientFetchSession()
    session.narrow(request({ 0: 5 }), NAMES)
    expect(session.answered(response(0))).toBe('all')
    expect(said(session.narrow(request({ 0: 5 }), NAMES))).toEqual([0, 0, [0], []])
    session.answered(response(7))
    session.narrow(request({ 0: 5 }), NAMES)
    expect(session.answered(response(0))).toBe('news')
    expect(said(session.narrow(request({ 0: 5 }), NAMES))).toEqual([0, 0, [0], []])
  })

  it('gives up a session of which a request was not answered, or was refused, with a request that names everything', () => {
    for (const lost of [
      null,
      refusal(ErrorCode.INVALID_FETCH_SESSION_EPOCH),
      refusal(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR),
    ]) {
      const session = granted({ 0: 5, 1: 5 })
      session.narrow(request({ 0: 6 }), NAMES)
      expect(session.answered(lost)).toBe('none')
      expect(said(session.narrow(request({ 0: 6 }), NAMES))).toEqual([7, 0, [0], []])
      expect(session.answered(response(8))).toBe('all')
      expect(said(session.narrow(request({ 0: 6 }), NAMES))).toEqual([8, 1, [], []])
    }
  })

  it('has none to give up when the broker does not know it', () => {
    const session = granted({ 0: 5 })
    session.narrow(request({ 0: 6 }), NAMES)
    expect(session.answered(refusal(ErrorCode.FETCH_SESSION_ID_NOT_FOUND))).toBe('none')
    expect(said(session.narrow(request({ 0: 6 }), NAMES))).toEqual([0, 0, [0], []])
  })

  it('forgets a topic that was made anew under its former id, where ids name it, and asks for it again', () => {
    const byId = granted({ 0: 5 }, IDS)
    const sent = byId.narrow(request({ 0: 5 }, OTHER_ID), IDS)
    expect(said(sent)).toEqual([7, 1, [0], [0]])
    expect([sent.topics[0]?.topicId, sent.forgottenTopicsData[0]?.topicId]).toEqual([OTHER_ID, ID])
    expect(said(granted({ 0: 5 }).narrow(request({ 0: 5 }, OTHER_ID), NAMES))).toEqual([7, 1, [], []])
  })

  it('knows the watermarks that this session told, until it tells an error', () => {
    const session = new ClientFetchSession()
    session.narrow(request({ 0: 5, 1: 5 }), NAMES)
    session.answered(response(7, { 0: 9, 1: 8 }))
    session.narrow(request({ 0: 9, 1: 5 }), NAMES)
    session.answered(response(7, { 1: -1 }))
    // An id that becomes known is no other topic where names name it.
    session.narrow(request({ 0: 9, 1: 5 }, OTHER_ID), NAMES)
    session.answered(response(7))
    expect([0, 1, 2].map((partition) => session.highWatermarkOf('topic', partition))).toEqual([9, -1, -1])
    session.narrow(request({ 0: 9 }), NAMES)
    session.answered(null)
    session.narrow(request({ 0: 9 }), NAMES)
    expect(session.highWatermarkOf('topic', 0)).toBe(-1)
  })

  it('finds what a version names by id', () => {
    const session = new ClientFetchSession()
    const named = (topicId: Uuid): FetchResponse => {
      const told = response(7, { 0: 9 })
      return { ...told, responses: told.responses.map((topic) => ({ ...topic, topic: '', topicId })) }
    }
    session.narrow(request({ 0: 5 }), IDS)
    session.answered(named(ID))
    expect(session.highWatermarkOf('topic', 0)).toBe(9)
    session.narrow(request({ 0: 5 }), IDS)
    expect(() => session.answered(named(OTHER_ID))).toThrow('who does not ask for it')
  })

  it('calls it a violation when what it had forgotten is answered, or another session', () => {
    const stranger = granted({ 0: 5, 1: 5 })
    stranger.narrow(request({ 0: 5 }), NAMES)
    expect(() => stranger.answered(response(7, { 1: 9 }))).toThrow('fetch-session')
    const other = granted({ 0: 5 })
    other.narrow(request({ 0: 5 }), NAMES)
    expect(() => other.answered(response(8))).toThrow('fetch-session')
  })

  it('has to be refused under an epoch that is not the next, be it an earlier or a later one', () => {
    for (const [step, epoch] of [
      ['repeats', 1],
      ['skips', 3],
    ] as const) {
      const session = granted({ 0: 5 })
      session.narrow(request({ 0: 5 }), NAMES)
      session.answered(response(7))
      expect(said(session.narrow(request({ 0: 6 }), NAMES, step))).toEqual([7, epoch, [0], []])
      expect(session.answered(refusal(ErrorCode.INVALID_FETCH_SESSION_EPOCH))).toBe('none')
      session.narrow(request({ 0: 6 }), NAMES)
      session.answered(response(9))
      session.narrow(request({ 0: 6 }), NAMES, step)
      expect(() => session.answered(response(9))).toThrow('fetch-session')
    }
  })

  it('ends with a request that names everything and is granted none', () => {
    const session = granted({ 0: 5, 1: 5 })
    expect(said(session.narrow(request({ 0: 5, 1: 5 }), NAMES, 'ends'))).toEqual([7, -1, [0, 1], []])
    expect(session.answered(response(0, { 0: 9, 1: 9 }))).toBe('all')
    expect(said(session.narrow(request({ 0: 5, 1: 5 }), NAMES))).toEqual([0, 0, [0, 1], []])
    session.answered(response(8))
    session.narrow(request({ 0: 5 }), NAMES, 'ends')
    expect(() => session.answered(response(8))).toThrow('fetch-session')
  })

  it('does as it should where there is no session yet', () => {
    for (const step of ['ends', 'repeats', 'skips'] as const) {
      const session = new ClientFetchSession()
      expect(said(session.narrow(request({ 0: 5 }), NAMES, step))).toEqual([0, 0, [0], []])
      expect(session.answered(response(7))).toBe('all')
    }
  })
})
