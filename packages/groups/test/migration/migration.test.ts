import { assert, ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { JoinGroupResponse, MigrationPolicy } from '../shapes.ts'
import { compacted, REBALANCE_MS, SESSION_MS, subscription } from '../shard-harness.ts'
import { groupsConfig } from '../consumer/harness.ts'
import { MigrationHarness } from './migration-harness.ts'

const { NONE, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID } = ErrorCode

function withTopic(policy: MigrationPolicy = 'bidirectional', maxSize = 100): MigrationHarness {
  const { consumer } = groupsConfig()
  const harness = new MigrationHarness({ consumer: { ...consumer, migrationPolicy: policy, maxSize } })
  harness.topics.set('t', 4)
  return harness
}

const ascending = (a: number, b: number): number => a - b

/** Topic t alone, in an assignment's bytes of any version. */
function partitionsIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getInt32(2) === 0) return []
  return Array.from({ length: view.getInt32(9) }, (_, at) => view.getInt32(13 + 4 * at)).sort(ascending)
}

/** A classic member comes to rest: it joins again, and asks for what it may have. */
function rejoin(harness: MigrationHarness, { memberId }: { memberId: string }, owned: readonly number[] = []) {
  const joined = harness.join({ memberId, protocols: [{ name: 'range', metadata: owning(owned) }] }).response
  assert(joined.error === NONE, `a member joins again: ${joined.error}`)
  const { error, assignment } = harness.sync(joined, {}, { protocolType: 'consumer', protocolName: 'range' }).response
  assert(error === NONE, `a member asks for its assignment: ${error}`)
  return { ...joined, partitions: partitionsIn(assignment) }
}

/** A subscription to t of a member that has these partitions of it. */
function owning(partitions: readonly number[]): Uint8Array {
  const bytes = [...subscription(['t'])]
  if (partitions.length === 0) return Uint8Array.from(bytes)
  const numbers = partitions.flatMap((one) => [0, 0, 0, one])
  return Uint8Array.from([...bytes.slice(0, -4), 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, partitions.length, ...numbers])
}

/** What all members have by now. */
function assigned(harness: MigrationHarness): number[] {
  const members = harness.describe().members
  return members.flatMap(({ assignment }) => assignment.flatMap(({ partitions }) => partitions)).sort(ascending)
}

function heartbeat(harness: MigrationHarness, { memberId, generation }: JoinGroupResponse): ErrorCode {
  return harness.heartbeat({ memberId, generation })
}

describe('a classic group that a member of the newer protocol joins', () => {
  test('becomes one of that protocol, and its members have what they had until they join again', () => {
    const harness = withTopic()
    const [a, b] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    const modern = harness.beat('m')
    expect(modern).toMatchObject({ error: NONE, memberEpoch: a.generation + 1 })
    expect(harness.records.slice(0, 3).map(({ name, value }) => [name, value === null])).toEqual([
      ['groupMetadata', true],
      ['consumerMember', false],
      ['consumerMember', false],
    ])
    expect(harness.type).toBe('consumer')
    const { members, epoch } = harness.describe()
    expect(epoch).toBe(a.generation + 1)
    expect(members.map(({ memberId, memberType, memberEpoch }) => [memberId, memberType, memberEpoch])).toEqual([
      [a.memberId, 0, a.generation],
      [b.memberId, 0, a.generation],
      ['m', 1, a.generation + 1],
    ])
    // What nobody had is the newcomer's at once.
    expect(members.map(({ assignment }) => assignment.flatMap(({ partitions }) => partitions).length)).toEqual([
      1, 1, 1,
    ])
    expect(harness.commit({ 't:0': 7 }, { memberId: a.memberId, generation: a.generation })).toEqual([NONE])
    expect(heartbeat(harness, a)).toBe(REBALANCE_IN_PROGRESS)
    const again = [rejoin(harness, a), rejoin(harness, b)]
    harness.beat('m', modern.memberEpoch)
    expect(assigned(harness)).toEqual([0, 1, 2, 3])
    expect(again.map(({ partitions }) => partitions.length).sort(ascending)).toEqual([1, 2])
    expect(harness.state).toBe('Stable')
    for (const member of again) expect(heartbeat(harness, member)).toBe(NONE)
  })

  test('tells those who wait for a rebalance to join again, by the ids that they have', () => {
    const harness = withTopic()
    const [a] = harness.stable(1) as [JoinGroupResponse]
    const waiting = harness.joinNew()
    expect(waiting.waits).toBe(true)
    harness.beat('m')
    expect(waiting.response).toMatchObject({ error: REBALANCE_IN_PROGRESS })
    const { memberId } = waiting.response
    expect(memberId).not.toBe('')
    expect([rejoin(harness, a), rejoin(harness, { memberId })].map(({ error }) => error)).toEqual([NONE, NONE])
    expect(harness.shard.group('g')?.members).toBe(3)
  })

  test('in its very first rebalance, when nobody has anything', () => {
    const harness = new MigrationHarness({ initialRebalanceDelayMs: 3000 })
    harness.topics.set('t', 4)
    const waiting = harness.joinNew()
    expect(harness.beat('m')).toMatchObject({ error: NONE, memberEpoch: 2 })
    expect(waiting.response.error).toBe(REBALANCE_IN_PROGRESS)
    expect(rejoin(harness, waiting.response).partitions).toHaveLength(2)
  })

  test.each<[string, MigrationPolicy]>([
    ['only downgrades', 'downgrade'],
    ['none at all', 'disabled'],
  ])('stays what it is where the settings allow %s', (_, policy) => {
    const harness = withTopic(policy)
    const [a] = harness.stable(1) as [JoinGroupResponse]
    const { error, message } = harness.beat('m')
    expect(error).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(message).toContain(`group.consumer.migration.policy is ${policy}`)
    expect([harness.type, heartbeat(harness, a)]).toEqual(['classic', NONE])
  })

  test('stays what it is when its members are no consumers, say what is not understood, or are too many', () => {
    const connect = withTopic()
    connect.stable(1, { protocolType: 'connect' })
    expect(connect.beat('m').message).toContain('no consumers')
    const garbled = withTopic()
    garbled.stable(1, { protocols: [{ name: 'range', metadata: Uint8Array.from([0, 1, 9]) }] })
    expect(garbled.beat('m').message).toContain('not understood')
    const full = withTopic('bidirectional', 2)
    const [a] = full.stable(2) as [JoinGroupResponse]
    expect(full.beat('m')).toMatchObject({ error: ErrorCode.GROUP_MAX_SIZE_REACHED })
    for (const harness of [connect, garbled, full]) expect(harness.type).toBe('classic')
    expect(full.beat(a.memberId)).toMatchObject({ error: NONE })
  })

  test('stays what it is when an assignor tells its members more than their partitions', () => {
    const harness = withTopic()
    const joined = harness.joinNew().response
    harness.sync(joined, { [joined.memberId]: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]) })
    expect(harness.beat('m')).toMatchObject({ error: ErrorCode.GROUP_ID_NOT_FOUND })
    expect(harness.type).toBe('classic')
  })

  test('stays what it is when the heartbeat is no good', () => {
    const harness = withTopic()
    harness.stable(1)
    expect(harness.beat('m', 3)).toMatchObject({ error: ErrorCode.GROUP_ID_NOT_FOUND })
    expect(harness.beat('m', 0, { serverAssignor: 'x' })).toMatchObject({ error: ErrorCode.UNSUPPORTED_ASSIGNOR })
    expect(harness.beat('m', 0, { topicRegex: '(' })).toMatchObject({ error: ErrorCode.INVALID_REGULAR_EXPRESSION })
    expect(harness.type).toBe('classic')
  })

  test('is the same to the coordinator that takes over, and to one that reads the compacted log', () => {
    const harness = withTopic()
    const [a] = harness.stable(2) as [JoinGroupResponse]
    harness.beat('m')
    const before = harness.describe()
    for (const log of [harness.log, compacted(harness.log)]) {
      harness.reload(log)
      expect(harness.describe()).toEqual(before)
    }
    expect(heartbeat(harness, a)).toBe(REBALANCE_IN_PROGRESS)
  })
})

describe('a classic member of a group of the newer protocol', () => {
  test('is told its id first, or joins at once by older versions, and leads nothing', () => {
    const harness = withTopic()
    harness.beat('m')
    const { error, memberId } = harness.join().response
    expect(error).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    expect(harness.join({ memberId }).response).toMatchObject({
      error: NONE,
      memberId,
      leader: '',
      members: [],
      protocolType: 'consumer',
      protocolName: 'range',
    })
    expect(harness.join({ requireKnownMemberId: false }).response.error).toBe(NONE)
    expect(harness.shard.group('g')?.members).toBe(3)
  })

  test('is recorded with its session timeout and its protocols, as Kafka does', () => {
    const harness = withTopic()
    harness.beat('m')
    harness.joinNew()
    const record = harness.records.find(({ name }) => name === 'consumerMember')
    expect(record?.value).toMatchObject({
      clientId: 'client',
      topicNames: ['t'],
      topicRegex: '',
      rebalanceTimeoutMs: REBALANCE_MS,
      serverAssignor: null,
      classic: { sessionTimeoutMs: SESSION_MS, protocols: [{ name: 'range', metadata: subscription(['t']) }] },
    })
  })

  test('gets partitions when others gave them up, and is told to join again then', () => {
    const harness = withTopic()
    const modern = harness.beat('m')
    const joined = harness.joinNew().response
    expect(partitionsIn(harness.sync(joined).response.assignment)).toEqual([])
    expect(heartbeat(harness, joined)).toBe(NONE)
    const told = harness.beat('m', modern.memberEpoch)
    expect(harness.beat('m', told.memberEpoch, { owned: told.assignment ?? [] }).error).toBe(NONE)
    expect(heartbeat(harness, joined)).toBe(REBALANCE_IN_PROGRESS)
    expect(rejoin(harness, joined).partitions).toHaveLength(2)
    expect(harness.state).toBe('Stable')
  })

  test('gives up what it is told to before it gets to the next epoch', () => {
    const harness = withTopic()
    const [a] = harness.stable(1) as [JoinGroupResponse]
    harness.beat('m')
    const mine = rejoin(harness, a, [0])
    expect(mine.partitions).toHaveLength(2)
    harness.beat('m', -1)
    const lone = harness.join({ memberId: a.memberId }).response
    harness.sync(lone, {
      [a.memberId]: Uint8Array.from([
        0, 0, 0, 0, 0, 1, 0, 1, 0x74, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 255, 255, 255, 255,
      ]),
    })
    const modern = harness.beat('n')
    const revoking = rejoin(harness, a, [0, 1, 2, 3])
    expect(revoking.partitions).toHaveLength(2)
    expect(revoking.generation).toBe(lone.generation)
    expect(heartbeat(harness, revoking)).toBe(REBALANCE_IN_PROGRESS)
    expect(harness.beat('n', modern.memberEpoch).assignment).toBeNull()
    const after = rejoin(harness, a, revoking.partitions)
    expect([after.partitions, after.generation]).toEqual([revoking.partitions, modern.memberEpoch])
    expect(harness.beat('n', modern.memberEpoch).assignment?.[0]?.partitions).toHaveLength(2)
    expect(harness.state).toBe('Stable')
  })

  test('proves who it is in every request', () => {
    const harness = withTopic()
    harness.beat('m')
    const joined = harness.joinNew().response
    const wrong = { ...joined, generation: joined.generation + 1 }
    expect(harness.heartbeat(wrong)).toBe(ILLEGAL_GENERATION)
    expect(harness.sync(wrong).response.error).toBe(ILLEGAL_GENERATION)
    expect(harness.heartbeat({ memberId: 'm', generation: joined.generation })).toBe(UNKNOWN_MEMBER_ID)
    expect(harness.heartbeat({ ...joined, groupInstanceId: 'i' })).toBe(UNKNOWN_MEMBER_ID)
    expect(harness.sync(joined, {}, { protocolName: 'sticky' }).response.error).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    )
    expect(harness.join({ memberId: 'x', protocols: [{ name: 'sticky', metadata: owning([]) }] }).response.error).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    )
    expect(harness.join({ memberId: 'x', protocolType: 'connect' }).response.error).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    )
    expect(
      harness.join({ memberId: 'x', protocols: [{ name: 'range', metadata: Uint8Array.from([0, 1, 7]) }] }).response
        .error,
    ).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(harness.shard.group('g')?.members).toBe(2)
  })

  test('commits and reads offsets by its generation, in whatever version', () => {
    const harness = withTopic()
    harness.beat('m')
    const { memberId, generation } = harness.joinNew().response
    const said = { memberId, generation, knowsMemberEpochs: false }
    expect(harness.commit({ 't:0': 5 }, said)).toEqual([NONE])
    expect(harness.commit({ 't:0': 5 }, { ...said, generation: generation + 1 })).toEqual([ILLEGAL_GENERATION])
    expect(harness.commit({ 't:0': 5 }, { ...said, generation: generation - 1 })).toEqual([ILLEGAL_GENERATION])
    expect(harness.commit({ 't:0': 5 }, { ...said, memberId: 'm' })).toEqual([ErrorCode.UNSUPPORTED_VERSION])
  })

  test.each([
    ['that is silent', SESSION_MS + 1, 'session-timeout', () => {}],
    [
      'that heartbeats and does not join again',
      REBALANCE_MS + SESSION_MS,
      'rebalance-timeout',
      (harness: MigrationHarness, member: JoinGroupResponse) => heartbeat(harness, member),
    ],
  ] as const)('%s is gone in time, and what it had is others', (_, ms, reason, live) => {
    const harness = withTopic()
    const [a] = harness.stable(1) as [JoinGroupResponse]
    let { memberEpoch } = harness.beat('m')
    for (let passed = 0; passed < ms; passed += 2000) {
      live(harness, a)
      memberEpoch = harness.beat('m', memberEpoch).memberEpoch
      harness.advance(2000)
    }
    expect(harness.describe().members.map(({ memberId }) => memberId)).toEqual(['m'])
    expect(assigned(harness)).toEqual([0, 1, 2, 3])
    expect(harness.rebalances.at(-1)?.causes.map((cause) => cause.reason)).toContain(reason)
  })

  test('that joined and never asked for its assignment is gone in time', () => {
    const harness = withTopic()
    let { memberEpoch } = harness.beat('m')
    const joined = harness.joinNew().response
    for (let passed = 0; passed <= REBALANCE_MS; passed += 2000) {
      expect(heartbeat(harness, joined)).toBeLessThanOrEqual(REBALANCE_IN_PROGRESS)
      memberEpoch = harness.beat('m', memberEpoch, { owned: [] }).memberEpoch
      harness.advance(2000)
    }
    expect(harness.shard.group('g')?.members).toBe(1)
  })

  test('is refused where the settings allow no migration', () => {
    const harness = withTopic('disabled')
    harness.beat('m')
    expect(harness.join({ requireKnownMemberId: false }).response.error).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    const upgrading = withTopic('upgrade')
    upgrading.beat('m')
    expect(upgrading.join({ requireKnownMemberId: false }).response.error).toBe(NONE)
  })

  test('comes back by the newer protocol under its own id, or its instance id', () => {
    const harness = withTopic()
    const [a] = harness.stable(1) as [JoinGroupResponse]
    const s = harness.join({ groupInstanceId: 'i' })
    harness.join({ memberId: a.memberId })
    harness.sync(s.response)
    expect(harness.beat(a.memberId).error).toBe(NONE)
    expect(harness.beat('fresh', 0, { instanceId: 'i' }).error).toBe(NONE)
    const types = new Map(harness.describe().members.map(({ memberId, memberType }) => [memberId, memberType]))
    expect(types).toEqual(
      new Map([
        [a.memberId, 1],
        ['fresh', 1],
      ]),
    )
    expect(harness.heartbeat({ ...s.response, groupInstanceId: 'i' })).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })
})

describe('a group that the last member of the newer protocol leaves', () => {
  function mixed(): { harness: MigrationHarness; a: JoinGroupResponse; b: JoinGroupResponse; epoch: number } {
    const harness = withTopic()
    const [a, b] = harness.stable(2) as [JoinGroupResponse, JoinGroupResponse]
    const { memberEpoch } = harness.beat('m')
    const again = [rejoin(harness, a), rejoin(harness, b)] as const
    harness.beat('m', memberEpoch)
    assert(harness.state === 'Stable', harness.state)
    return { harness, a: again[0], b: again[1], epoch: memberEpoch }
  }

  test('is a classic one whose members can still commit, and rebalance', () => {
    const { harness, a, b, epoch } = mixed()
    harness.beat('m', -1)
    expect(harness.records.map(({ name, value }) => (value === null ? `-${name}` : name))).toEqual([
      '-currentAssignment',
      '-targetMember',
      '-consumerMember',
      ...[1, 2].flatMap(() => ['-currentAssignment', '-targetMember', '-consumerMember']),
      '-targetMetadata',
      '-consumerGroup',
      'groupMetadata',
    ])
    expect(harness.records.at(-1)?.value).toMatchObject({
      generation: epoch,
      protocolType: 'consumer',
      protocol: 'range',
    })
    expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'PreparingRebalance', members: 2 })
    expect(harness.commit({ 't:0': 5 }, { memberId: a.memberId, generation: a.generation })).toEqual([NONE])
    expect([heartbeat(harness, a), heartbeat(harness, b)]).toEqual([REBALANCE_IN_PROGRESS, REBALANCE_IN_PROGRESS])
    const joins = [a, b].map(({ memberId }) => harness.join({ memberId }))
    const joined = joins.map(({ response }) => response)
    expect(joined.map(({ generation }) => generation)).toEqual([epoch + 1, epoch + 1])
    expect(joined.filter(({ members }) => members.length === 2)).toHaveLength(1)
    for (const member of joined.toReversed()) harness.sync(member)
    expect(harness.state).toBe('Stable')
    const last = harness.rebalances.at(-1)
    expect(last?.causes.map(({ reason, memberId }) => [reason, memberId])).toEqual([['left', 'm']])
    expect(harness.shard.group('g')?.rebalances.length).toBeGreaterThan(1)
  })

  test('rebalances under the coordinator that takes over in between, too', () => {
    for (const compact of [false, true]) {
      const { harness, a, b } = mixed()
      harness.beat('m', -1)
      harness.reload(compact ? compacted(harness.log) : harness.log)
      expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'PreparingRebalance', members: 2 })
      for (const { memberId } of [a, b]) harness.join({ memberId })
      expect(harness.state).toBe('CompletingRebalance')
      harness.reload()
      expect(harness.state).toBe('PreparingRebalance')
    }
  })

  test('by its silence is a classic one as well', () => {
    const { harness, a, b } = mixed()
    for (let passed = 0; passed <= 45_000; passed += 2000) {
      for (const member of [a, b]) heartbeat(harness, member)
      harness.advance(2000)
    }
    expect(harness.type).toBe('classic')
  })

  test.each<MigrationPolicy>(['upgrade', 'disabled'])(
    'stays of the newer protocol where the settings say %s',
    (policy) => {
      const harness = withTopic('bidirectional')
      harness.stable(1)
      harness.beat('m')
      ;(harness.config.consumer as { migrationPolicy: MigrationPolicy }).migrationPolicy = policy
      harness.beat('m', -1)
      expect(harness.shard.group('g')).toMatchObject({ type: 'consumer', members: 1 })
    },
  )

  test('with everybody else is empty, and no classic one', () => {
    const { harness, a, b } = mixed()
    harness.leave({ memberId: a.memberId }, { memberId: b.memberId }, { memberId: 'm' })
    expect(harness.shard.group('g')).toMatchObject({ type: 'consumer', state: 'Empty' })
  })

  test('for a static classic one in its place is classic without a rebalance', () => {
    const harness = withTopic()
    harness.beat('m', 0, { instanceId: 'i' })
    const other = harness.beat('n')
    harness.beat('n', -1)
    const { memberEpoch } = harness.beat('m', 0, { instanceId: 'i' })
    expect(other.error).toBe(NONE)
    const joined = harness.join({ groupInstanceId: 'i' }).response
    expect(joined).toMatchObject({ error: NONE, generation: memberEpoch })
    expect(harness.shard.group('g')).toMatchObject({ type: 'classic', state: 'Stable', members: 1 })
    const { assignment } = harness.sync({ ...joined, groupInstanceId: 'i' }).response
    expect(partitionsIn(assignment)).toEqual([0, 1, 2, 3])
    harness.reload()
    expect(harness.state).toBe('Stable')
  })
})
