import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { decodeGroupRecord, encodeGroupRecord } from '../../src/records/codec.ts'
import { commitProblem } from '../../src/consumer/offset-claims.ts'
import { claim, GroupHarness } from './harness.ts'

/**
 * What Apache Kafka 4.3 wrote of a group: member a joins, b joins a moment later and is assigned with the next heartbeat, a gives up two of four partitions
 * and b gets them. Keys and values of the partition's log, in order.
 */
const KAFKA_LOG: readonly (readonly [key: string, value: string])[] = [
  ['0005000167000161', '000000000670726f62650b2f3132372e302e302e31020274010000ea600001000100'],
  ['0003000167', '000000000002010008f1de97c2bd8da200'],
  ['0007000167000161', '00000200cf2a2e8b654d0a8df146b480fd9bc605000000000000000100000002000000030000'],
  ['0006000167', '000000000002010008000001a208465197'],
  [
    '0008000167000161',
    '00000000000200000000000200cf2a2e8b654d0a8df146b480fd9bc6050000000000000001000000020000000301001105000000020000000200000002000000020100',
  ],
  ['0005000167000162', '000000000670726f62650b2f3132372e302e302e31020274010000ea600001000100'],
  ['0003000167', '000000000003010008f1de97c2bd8da200'],
  ['0008000167000162', '0000000000020000000000010100'],
  ['0007000167000161', '00000200cf2a2e8b654d0a8df146b480fd9bc60300000000000000010000'],
  ['0007000167000162', '00000200cf2a2e8b654d0a8df146b480fd9bc60300000002000000030000'],
  ['0006000167', '000000000003010008000001a2084656a0'],
  ['0008000167000162', '0000000000030000000202010100'],
  [
    '0008000167000161',
    '00000000000200000002010200cf2a2e8b654d0a8df146b480fd9bc60300000000000000010100090300000002000000020200cf2a2e8b654d0a8df146b480fd9bc603000000020000000301000903000000020000000200',
  ],
  [
    '0008000167000161',
    '00000000000300000002000200cf2a2e8b654d0a8df146b480fd9bc60300000000000000010100090300000002000000020100',
  ],
  [
    '0008000167000162',
    '00000000000300000003000200cf2a2e8b654d0a8df146b480fd9bc60300000002000000030100090300000003000000030100',
  ],
]

const TOPIC = 'AM8qLotlTQqN8Ua0gP2bxg'

describe('a group that Apache Kafka wrote down', () => {
  test('is read as it was, and its members go on with us', () => {
    const group = new GroupHarness()
    group.topics.set('t', 4, TOPIC)
    for (const [key, value] of KAFKA_LOG)
      group.log.push({ key: Buffer.from(key, 'hex'), value: Buffer.from(value, 'hex') })
    group.reload()
    expect(group.group.describe()).toMatchObject({
      state: 'Stable',
      epoch: 3,
      assignmentEpoch: 3,
      members: [
        { memberId: 'a', memberEpoch: 3, clientHost: '/127.0.0.1', topicNames: ['t'], topicRegex: '' },
        { memberId: 'b', memberEpoch: 3 },
      ],
    })
    expect(group.assignments()).toEqual({ a: 't:0,1', b: 't:2,3' })
    expect(commitProblem(group.group.durable, claim('a', 2), TOPIC, 1), 'a had it in epoch 2').toBe(ErrorCode.NONE)
    expect(commitProblem(group.group.durable, claim('b', 2), TOPIC, 2), 'b was given it in epoch 3').toBe(
      ErrorCode.STALE_MEMBER_EPOCH,
    )
    const answer = group.say({ memberId: 'a', memberEpoch: 3 })
    expect(answer.error).toBe(ErrorCode.NONE)
    group.say({ memberId: 'b', memberEpoch: 3 })
    expect(group.assignments(), 'our hash of the topics is another, which assigns anew and moves nothing').toEqual({
      a: 't:0,1',
      b: 't:2,3',
    })
    expect(group.group.state).toBe('Stable')
  })

  test('has the bytes that we write', () => {
    for (const [key, value] of KAFKA_LOG) {
      const record = decodeGroupRecord(Buffer.from(key, 'hex'), Buffer.from(value, 'hex'))
      // Kafka's hash is not ours, and Kafka writes a tag that says that a member has no classic metadata; we leave it out.
      if (record === null || record.name === 'consumerGroup') continue
      const bytes = encodeGroupRecord(record)
      expect(hex(bytes.key)).toBe(key)
      expect(hex(bytes.value)).toBe(record.name === 'consumerMember' ? value.replace(/01000100$/, '00') : value)
    }
  })

  test('and what we write in the same conversation are the same kinds of records in the same order', () => {
    const group = new GroupHarness({ assignmentIntervalMs: 1000 })
    const names: string[] = []
    const noted = (said: Parameters<GroupHarness['say']>[0]) => {
      const answer = group.say(said)
      names.push(...group.records.map(({ name }) => name))
      return answer
    }
    const join = { topicNames: ['t'], rebalanceTimeoutMs: 60_000, owned: [] }
    group.topics.set('t', 4)
    noted({ ...join, memberId: 'a' })
    noted({ ...join, memberId: 'b' })
    group.nowMs += 1200
    noted({ memberId: 'b', memberEpoch: 2 })
    const { assignment } = noted({ memberId: 'a', memberEpoch: 2 })
    noted({ memberId: 'a', memberEpoch: 2, owned: assignment })
    noted({ memberId: 'b', memberEpoch: 3 })
    const kafkas = KAFKA_LOG.map(([key, value]) =>
      decodeGroupRecord(Buffer.from(key, 'hex'), Buffer.from(value, 'hex')),
    )
    expect(names).toEqual(kafkas.map((record) => record?.name))
  })
})

function hex(bytes: Uint8Array | null): string {
  return Buffer.from(bytes ?? []).toString('hex')
}
