import { LONG_MAX, LONG_MIN } from '@millrace/base'
import { DecodeError } from '@millrace/schema'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GroupRequest } from './shapes.ts'
import { replayed, ShardHarness, subscription } from './shard-harness.ts'

const IDS = ['AAAAAAAAAAAAAAAAAAAAAA', 'BsD_1InGRROTbF225xCBeA']
const LONGEST = 'x'.repeat(32_767)
const EMOJI = '\u{1F600}'.repeat(8191)

/** Few values, so that requests meet; and the worst that the wire can bring. */
const name = fc.constantFrom('', 'a', 'b', 'a-1', LONGEST, EMOJI, '\u0000', '__consumer_offsets', '.*', '(((')
const groupId = fc.oneof({ weight: 8, arbitrary: fc.constantFrom('a', 'b') }, { weight: 1, arbitrary: name })
const nullableName = fc.option(name)
const int32 = fc.constantFrom(-2_147_483_648, -2, -1, 0, 1, 2, 6000, 10_000, 2_147_483_647)
const int64 = fc.constantFrom(LONG_MIN, -2, -1, 0, 1, 9_007_199_254_740_991, LONG_MAX)
const bytes = fc.constantFrom(
  new Uint8Array(0),
  new Uint8Array([0xff, 0xff, 0xff]),
  new Uint8Array([0, 0, 0x7f, 0xff, 0xff, 0xff]),
  subscription(['a', 'b']),
)
const few = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { maxLength: 3 })
const epoch = fc.constantFrom(-2, -1, 0, 1, 2, 2_147_483_647)
const partitions = few(fc.record({ partition: int32, offset: int64, leaderEpoch: int32, metadata: name }))
const partitionsOf = few(fc.record({ name, partitions: few(int32) }))
const idPartitions = fc.option(few(fc.record({ topicId: fc.constantFrom(...IDS), partitions: few(int32) })))
const protocol = fc.record({ name: fc.oneof(fc.constant('range'), name), metadata: bytes })
const protocols = few(protocol)
const client = { groupId, clientId: name, clientHost: fc.constantFrom('', '/10.0.0.1', LONGEST) }
const claim = { groupId, memberId: name, groupInstanceId: nullableName, generation: epoch }
const kind = <const K extends string>(value: K): { kind: fc.Arbitrary<K> } => ({ kind: fc.constant(value) })

const requests = [
  fc.record({
    ...kind('joinGroup'),
    ...client,
    memberId: fc.oneof(fc.constant(''), name),
    groupInstanceId: nullableName,
    sessionTimeoutMs: fc.oneof({ weight: 3, arbitrary: fc.constant(10_000) }, int32),
    rebalanceTimeoutMs: int32,
    protocolType: fc.constantFrom('consumer', 'consumer', 'consumer', '', LONGEST),
    protocols,
    reason: nullableName,
    requireKnownMemberId: fc.boolean(),
    supportsSkippingAssignment: fc.boolean(),
  }),
  fc.record({
    ...kind('syncGroup'),
    ...claim,
    protocolType: nullableName,
    protocolName: nullableName,
    assignments: few(fc.record({ memberId: name, assignment: bytes })),
  }),
  fc.record({ ...kind('heartbeat'), ...claim }),
  fc.record({
    ...kind('leaveGroup'),
    groupId,
    members: few(fc.record({ memberId: name, groupInstanceId: nullableName, reason: nullableName })),
  }),
  fc.record({
    ...kind('offsetCommit'),
    ...claim,
    knowsMemberEpochs: fc.boolean(),
    retentionMs: int64,
    topics: few(fc.record({ name, id: fc.constantFrom(...IDS), partitions })),
  }),
  fc.record({
    ...kind('offsetFetch'),
    groupId,
    memberId: nullableName,
    memberEpoch: epoch,
    topics: fc.option(partitionsOf),
  }),
  fc.record({ ...kind('offsetDelete'), groupId, topics: partitionsOf }),
  fc.record({ ...kind('describeGroup'), groupId }),
  fc.record({ ...kind('describeConsumerGroup'), groupId }),
  fc.record({ ...kind('deleteGroup'), groupId }),
  fc.record({ ...kind('listGroups'), states: few(name), types: few(name) }),
  fc.record({
    ...kind('consumerHeartbeat'),
    ...client,
    memberId: name,
    memberEpoch: epoch,
    instanceId: nullableName,
    rackId: nullableName,
    rebalanceTimeoutMs: int32,
    topicNames: fc.option(few(name)),
    topicRegex: nullableName,
    serverAssignor: fc.option(fc.constantFrom('', 'uniform', 'range', LONGEST)),
    owned: idPartitions,
  }),
]

const step = fc.record({ request: fc.oneof(...requests), afterMs: fc.constantFrom(0, 0, 0, 10, 10_000, 3_600_000) })

test('whatever a request says, it is answered once or waits, and what is written of it can be read', () => {
  let written = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 120, size: 'max' }), (all) => {
      const harness = new ShardHarness({ initialRebalanceDelayMs: 10, maxSize: 2 })
      for (const topic of ['a', 'b']) harness.topics.set(topic, 3)
      const asked = all.map(({ request, afterMs }) => {
        harness.advance(afterMs)
        return harness.ask<unknown>((reply): GroupRequest => ({ ...request, reply }))
      })
      harness.advance(24 * 60 * 60_000)
      expect(asked.every(({ answers }) => answers.length <= 1)).toBe(true)
      replayed(harness.config, harness.topics, harness.log, 1).loaded(harness.nowMs)
      written += harness.log.length
    }),
    { numRuns: 300 },
  )
  expect(written).toBeGreaterThan(1000)
})

test('whatever bytes are in the log, they are read or refused as bytes that are no record', () => {
  const harness = new ShardHarness()
  harness.commit({ 't:0': 1 })
  harness.stable(2)
  const [first] = harness.log
  const key = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(...harness.log.map((record) => record.key)),
    fc.nat(24).map((type) => Uint8Array.from([0, type, 0, 1, 0x67])),
  )
  const value = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant(first?.value ?? null))
  fc.assert(
    fc.property(key, value, (someKey, someValue) => {
      let problem: unknown = null
      try {
        harness.shard.replay(someKey, someValue)
      } catch (error) {
        problem = error instanceof DecodeError ? null : error
      }
      expect(problem).toBeNull()
    }),
    { numRuns: 2000 },
  )
})
