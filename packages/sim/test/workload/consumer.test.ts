import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import type { FetchRequest, FetchResponse } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { Draw } from '../../src/run/draw.ts'
import type { Operation } from '../../src/seams.ts'
import type { SimClient } from '../../src/workload/client.ts'
import { Consumer, type ReadingStyle } from '../../src/workload/consumer.ts'
import { encodeValues } from '../../src/workload/produce-batch.ts'
import { Reading } from '../../src/workload/reading.ts'
import { answered, type Answered } from './fetch-answers.ts'

const STYLE: ReadingStyle = {
  final: true,
  maxBytes: 1_000,
  partitionMaxBytes: 1_000,
  minBytes: 1,
  maxWaitMs: 100,
  isolationLevel: 0,
  thinkUs: 1_000,
  fencedPercent: 0,
  sessions: true,
  topicIds: false,
}

/** A consumer of three partitions at one broker, whose requests the test answers; the time of the client does not pass by itself. */
class Reader {
  readonly consumer: Consumer
  readonly requests: FetchRequest[] = []
  readonly polls: Operation[] = []
  private answer: (response: FetchResponse | null) => void = () => undefined
  private readonly later: (() => void)[] = []

  constructor(style: Partial<ReadingStyle> = {}) {
    const connection = {
      version: () => 12,
      ask: (_api: unknown, _version: number, request: FetchRequest, answer: typeof this.answer) => {
        this.requests.push(request)
        this.answer = answer
      },
    }
    const client = {
      name: 'client',
      nowUs: 0,
      draw: new Draw(new SeededRandom('consumer')),
      view: { doubt: () => undefined },
      connectionTo: () => connection,
      crowd: { quiet: false, rates: { codecs: ['none'] }, ended: (operation: Operation) => this.polls.push(operation) },
      after: (_us: number, run: () => void) => this.later.push(run),
    }
    this.consumer = new Consumer(client as unknown as SimClient, { ...STYLE, ...style })
    for (const partition of [0, 1, 2]) {
      const reading = new Reading({ topic: 'topic', partition, leader: 1, epoch: -1 })
      reading.seek(0)
      this.consumer.readings.push(reading)
    }
    this.consumer.wake()
  }

  /** Answers the last request, lets all pauses end, and tells what the next request names. */
  next(response: {
    readonly sessionId?: number
    readonly errorCode?: ErrorCode
    readonly of?: readonly Answered[]
  }): number[] {
    const { sessionId = 7, errorCode = ErrorCode.NONE, of = [] } = response
    const responses = [{ topic: 'topic', topicId: ZERO_UUID, partitions: of }]
    const before = this.requests.length
    this.answer({ throttleTimeMs: 0, errorCode, sessionId, responses, nodeEndpoints: [] })
    for (const reading of this.consumer.readings) reading.notBeforeUs = 0
    for (const run of this.later.splice(0)) run()
    if (this.requests.length !== before + 1) throw new Error('it does not go on')
    return this.asked
  }

  get asked(): number[] {
    return this.requests.at(-1)?.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)) ?? []
  }

  get atEnd(): boolean[] {
    return this.consumer.readings.map(({ atEnd }) => atEnd)
  }
}

const ALL = [0, 1, 2].map((partition) => answered(partition))

describe('a simulated consumer', () => {
  it('begins each request with another partition, because what comes last may never be served', () => {
    const reader = new Reader({ sessions: false })
    const firsts = [reader.asked[0]]
    for (let poll = 0; poll < 3; poll++) firsts.push(reader.next({ of: ALL })[0])
    expect(firsts).toEqual([0, 1, 2, 0])
  })

  it('takes a partition that a later answer of its session leaves out for one without news', () => {
    const reader = new Reader()
    const batch = encodeValues(
      ['a', 'b'].map((name) => ({ name, padding: 0 })),
      { timestampMs: 0, codec: 'none' },
    )
    expect(
      reader.next({
        of: [answered(0, { highWatermark: 2, records: batch }), answered(1), answered(2, { highWatermark: 9 })],
      }),
    ).toEqual([0])
    expect(reader.polls.map(({ partition, from, values }) => [partition, from, values.length])).toEqual([[0, 0, 2]])
    expect(reader.atEnd).toEqual([false, true, false])
    expect(reader.next({})).toEqual([])
    // It is at the watermark that it was told before, and the last one is not.
    expect(reader.atEnd).toEqual([true, true, false])
    expect(reader.next({ of: [answered(1, { highWatermark: 3 })] })).toEqual([])
    expect(reader.atEnd).toEqual([true, false, false])
  })

  it('must be answered every partition where it is in no session, or begins one', () => {
    for (const sessions of [false, true]) {
      const reader = new Reader({ sessions })
      expect(() => reader.next({ of: ALL.slice(1) })).toThrow('was not answered')
    }
  })

  it('names everything again when its session is refused, and is where it was', () => {
    const reader = new Reader()
    reader.next({ of: ALL })
    for (const errorCode of [ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH]) {
      expect(reader.next({ errorCode, sessionId: 0 })).toHaveLength(3)
      expect(reader.requests.at(-1)?.sessionEpoch).toBe(0)
      expect(reader.consumer.readings.map(({ offset }) => offset)).toEqual([0, 0, 0])
      expect(reader.next({ of: ALL })).toEqual([])
    }
  })

  it('has no partition any more that is taken away from it, and so tells its session', () => {
    const reader = new Reader()
    reader.next({ of: ALL })
    reader.consumer.readings.splice(1, 1)
    reader.next({})
    expect(reader.requests.at(-1)?.forgottenTopicsData.flatMap(({ partitions }) => partitions)).toEqual([1])
    expect(() => reader.next({ of: [answered(1)] })).toThrow('fetch-session')
  })
})
