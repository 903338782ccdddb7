import { ErrorCode } from '@millrace/base'
import { baseOffset, crcMatches, isLogAppendTime, leaderEpoch, maxTimestamp, nextOffset } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { Answers } from '../src/answers.ts'
import { ProduceQueue } from '../src/produce-queue.ts'
import { batchOf } from './cluster.ts'

type Answered = readonly [name: string, error: ErrorCode, baseOffset: number, logStart: number, time: number]

function queue() {
  let scheduled = 0
  const answers = new Answers(() => scheduled++)
  const answered: Answered[] = []
  const answer =
    (name: string) =>
    (error: ErrorCode, base: number, logStart: number, time: number): void =>
      void answered.push([name, error, base, logStart, time])
  return { answers, answered, answer, queue: new ProduceQueue(answers), scheduled: () => scheduled }
}

const STAMP = { baseOffset: 100, leaderEpoch: 7, logAppendTimeMs: -1 }

describe('the produces of a partition', () => {
  it('get offsets and the epoch in place without breaking their CRC', () => {
    const { queue: produces, answer } = queue()
    const [one, two] = [batchOf(['a', 'b', 'c']), batchOf(['d'])]
    produces.stage(one, 1, answer('one'))
    produces.stage(two, 1, answer('two'))
    const stamped = produces.stamp(STAMP)
    expect(stamped.batches).toEqual([one, two])
    expect([baseOffset(one, 0), nextOffset(one, 0), baseOffset(two, 0), stamped.endOffset]).toEqual([
      100, 103, 103, 104,
    ])
    expect([leaderEpoch(one, 0), leaderEpoch(two, 0)]).toEqual([7, 7])
    expect([crcMatches(one, 0), crcMatches(two, 0)]).toEqual([true, true])
    expect(stamped.bytes).toBe(one.length + two.length)
  })

  it('must outlive the process once written where one is answered before it is durable', () => {
    const { queue: produces, answer } = queue()
    produces.stage(batchOf(['a']), -1, answer('all'))
    produces.stage(batchOf(['b']), 0, answer('none'))
    expect(produces.stamp(STAMP).atOnce).toBe(false)
    produces.stage(batchOf(['c']), 1, answer('leader'))
    expect(produces.stamp(STAMP).atOnce).toBe(true)
  })

  it('must outlive the process, too, where only a repetition asks for an early answer', () => {
    const { queue: produces, answer } = queue()
    const batch = (): Uint8Array => batchOf(['a'], undefined, { producerId: 7, producerEpoch: 0, baseSequence: 0 })
    produces.stage(batch(), -1, answer('first'))
    produces.repeat(batch(), 1, answer('again'))
    expect(produces.stamp(STAMP).atOnce).toBe(true)
  })

  it('carry the append time of a topic that wants it, with a right CRC', () => {
    const { queue: produces, answer } = queue()
    const batch = batchOf(['a'])
    produces.stage(batch, 1, answer('one'))
    produces.stamp({ ...STAMP, logAppendTimeMs: 1_800_000_000_000 })
    expect(isLogAppendTime(batch, 0)).toBe(true)
    expect(maxTimestamp(batch, 0)).toBe(1_800_000_000_000)
    expect(crcMatches(batch, 0)).toBe(true)
  })

  it('are answered after the write for acks 1, never for acks 0, and at the watermark for acks -1', () => {
    const { queue: produces, answers, answered, answer } = queue()
    produces.stage(batchOf(['a']), 0, answer('none'))
    produces.stage(batchOf(['b']), 1, answer('leader'))
    produces.stage(batchOf(['c']), -1, answer('all'))
    produces.stamp(STAMP)
    produces.written(STAMP, 5)
    answers.give()
    expect(answered).toEqual([['leader', 0, 101, 5, -1]])
    produces.passed(102, true, 6)
    answers.give()
    expect(answered.length).toBe(1)
    produces.passed(103, true, 6)
    answers.give()
    expect(answered[1]).toEqual(['all', 0, 102, 6, -1])
    expect(produces.parkedCount).toBe(0)
  })

  it('are answered NOT_ENOUGH_REPLICAS_AFTER_APPEND when the watermark passes them without enough replicas', () => {
    const { queue: produces, answers, answered, answer } = queue()
    produces.stage(batchOf(['a']), -1, answer('all'))
    produces.stamp(STAMP)
    produces.written(STAMP, 0)
    produces.passed(101, false, 0)
    answers.give()
    expect(answered).toEqual([['all', ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, -1, -1, -1]])
  })

  it('that are staged or parked all fail together, in their order', () => {
    const { queue: produces, answers, answered, answer } = queue()
    produces.stage(batchOf(['a']), -1, answer('parked'))
    produces.stamp(STAMP)
    produces.written(STAMP, 0)
    produces.stage(batchOf(['b']), 0, answer('staged'))
    produces.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    answers.give()
    expect(new Map(answered.map(([name, error]) => [name, error]))).toEqual(
      new Map([
        ['parked', 6],
        ['staged', 6],
      ]),
    )
    expect([produces.parkedCount, produces.stagedCount]).toEqual([0, 0])
  })

  it('are answered in order over many thousands, in one pass', () => {
    const { queue: produces, answers, answered, answer } = queue()
    for (let at = 0; at < 5000; at++) {
      produces.stage(batchOf(['x']), -1, answer(String(at)))
      const stamp = { ...STAMP, baseOffset: at }
      produces.stamp(stamp)
      produces.written(stamp, 0)
    }
    for (let watermark = 0; watermark <= 5000; watermark += 7) produces.passed(watermark, true, 0)
    produces.passed(5000, true, 0)
    answers.give()
    expect(answered.map(([name]) => Number(name))).toEqual(Array.from({ length: 5000 }, (_, at) => at))
  })
})

describe('answers', () => {
  it('that cause further answers do not get them in the same round', () => {
    const answers = new Answers(() => {})
    const order: string[] = []
    answers.fail(() => {
      order.push('first')
      answers.fail(() => order.push('second'), ErrorCode.NOT_LEADER_OR_FOLLOWER)
    }, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    answers.give()
    expect(order).toEqual(['first'])
    answers.give()
    expect(order).toEqual(['first', 'second'])
  })

  it('that come again while they are staged are answered with the first, however each asked', () => {
    const { queue: produces, answers, answered, answer } = queue()
    const batch = (seq: number): Uint8Array =>
      batchOf(['a'], undefined, { producerId: 7, producerEpoch: 0, baseSequence: seq })
    produces.stage(batch(0), -1, answer('first'))
    produces.stage(batch(1), 1, answer('second'))
    produces.repeat(batch(0), 1, answer('first by leader'))
    produces.repeat(batch(1), -1, answer('second by all'))
    produces.repeat(batch(1), 0, answer('second without'))
    expect(produces.stamp(STAMP).batches).toHaveLength(2)
    produces.written(STAMP, 5)
    produces.passed(102, true, 5)
    answers.give()
    expect(answered).toEqual([
      ['first by leader', 0, 100, 5, -1],
      ['second', 0, 101, 5, -1],
      ['first', 0, 100, 5, -1],
      ['second by all', 0, 101, 5, -1],
    ])
    produces.stage(batch(2), -1, answer('third'))
    produces.repeat(batch(2), 1, answer('third again'))
    produces.failStaged(ErrorCode.KAFKA_STORAGE_ERROR)
    answers.give()
    expect(answered.slice(4).map(([name, error]) => [name, error])).toEqual([
      ['third', ErrorCode.KAFKA_STORAGE_ERROR],
      ['third again', ErrorCode.KAFKA_STORAGE_ERROR],
    ])
  })

  it('of earlier wait for the watermark in the order of their offsets', () => {
    const { queue: produces, answers, answered, answer } = queue()
    produces.stage(batchOf(['a']), -1, answer('one'))
    produces.stage(batchOf(['b']), -1, answer('two'))
    produces.stamp(STAMP)
    produces.written(STAMP, 0)
    produces.park({ answer: answer('one again'), baseOffset: 100, endOffset: 101, logAppendTimeMs: -1 })
    produces.park({ answer: answer('earlier'), baseOffset: 90, endOffset: 95, logAppendTimeMs: -1 })
    for (const watermark of [95, 101, 102]) produces.passed(watermark, true, 0)
    answers.give()
    expect(answered.map(([name]) => name)).toEqual(['earlier', 'one', 'one again', 'two'])
  })
})
