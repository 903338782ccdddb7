import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { Consumer, GroupHarness, HEARTBEAT_MS, REBALANCE_MS, SESSION_MS } from './harness.ts'

function withTopic(partitions = 4): GroupHarness {
  const group = new GroupHarness()
  group.topics.set('t', partitions)
  return group
}

describe('a heartbeat is refused', () => {
  const join = { memberEpoch: 0, rebalanceTimeoutMs: 1000, topicNames: ['t'], owned: [] }
  test.each([
    ['without a group id', { ...join, groupId: '' }],
    ['with an empty instance id', { ...join, instanceId: '' }],
    ['with an empty rack', { ...join, rackId: '' }],
    ['that joins without a rebalance timeout', { ...join, rebalanceTimeoutMs: -1 }],
    ['that joins and owns partitions', { ...join, owned: [{ topicId: 'x', partitions: [0] }] }],
    ['that joins and does not say what it owns', { ...join, owned: null }],
    ['that joins without names and regular expression', { ...join, topicNames: null }],
    ['without a member id after the first', { memberEpoch: 5, memberId: '' }],
    ['that leaves for a while without an instance', { memberEpoch: -2 }],
    ['in an epoch that nobody can be in', { memberEpoch: -3 }],
    ['with a member id that no record could hold', { ...join, memberId: 'm'.repeat(40_000) }],
    ['with a group id that no record could hold', { ...join, groupId: 'g'.repeat(40_000) }],
    ['with an instance id that no record could hold', { ...join, instanceId: 'i'.repeat(40_000) }],
    [
      'with more names than a record could hold',
      { ...join, topicNames: Array.from({ length: 2000 }, () => 't'.repeat(249)) },
    ],
  ])('%s: INVALID_REQUEST', (_, said) => {
    const group = withTopic()
    expect(group.say(said)).toMatchObject({ error: ErrorCode.INVALID_REQUEST, message: expect.stringMatching(/./) })
    expect([group.group.exists, group.log]).toEqual([false, []])
  })

  test('with an assignor that is not known: UNSUPPORTED_ASSIGNOR', () => {
    const group = withTopic()
    expect(group.join('a', ['t'], { serverAssignor: 'sticky' }).error).toBe(ErrorCode.UNSUPPORTED_ASSIGNOR)
  })

  test('in an epoch of a group that is not there: GROUP_ID_NOT_FOUND', () => {
    expect(withTopic().say({ memberEpoch: 3 }).error).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(withTopic().say({ memberEpoch: -1 }).error).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
  })

  test('of a member that is not known: UNKNOWN_MEMBER_ID', () => {
    const group = withTopic()
    group.join('a', ['t'])
    expect(group.say({ memberId: 'b', memberEpoch: 2 }).error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(group.say({ memberId: 'b', memberEpoch: -1 }).error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('that joins a full group: GROUP_MAX_SIZE_REACHED, and who is in it stays welcome', () => {
    const group = new GroupHarness({ maxSize: 1 })
    group.join('a', ['t'])
    expect(group.join('b', ['t']).error).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED)
    expect(group.join('a', ['t']).error).toBe(ErrorCode.NONE)
  })

  test('in a later epoch than the member is in: FENCED_MEMBER_EPOCH', () => {
    const group = withTopic()
    const { memberEpoch } = group.join('a', ['t'])
    const response = group.say({ memberEpoch: memberEpoch + 1 })
    expect(response).toMatchObject({
      error: ErrorCode.FENCED_MEMBER_EPOCH,
      message: expect.stringContaining('join again'),
    })
  })
})

describe('a member', () => {
  test('joins a new group in its second epoch and gets all partitions at once', () => {
    const group = withTopic()
    const id = group.topics.byName('t')?.id
    expect(group.join('a', ['t'])).toEqual({
      error: ErrorCode.NONE,
      message: null,
      memberId: 'a',
      memberEpoch: 2,
      heartbeatIntervalMs: HEARTBEAT_MS,
      assignment: [{ topicId: id, partitions: [0, 1, 2, 3] }],
    })
    expect(group.group.state).toBe('Stable')
    expect(group.records.map(({ name }) => name)).toEqual([
      'consumerMember',
      'consumerGroup',
      'targetMember',
      'targetMetadata',
      'currentAssignment',
    ])
  })

  test('without an id is given one', () => {
    const group = withTopic()
    const { memberId } = group.join('', ['t'])
    expect(memberId).toMatch(/^[\w-]{22}$/)
    expect(group.say({ memberId: memberId as string, memberEpoch: 2 }).error).toBe(ErrorCode.NONE)
  })

  test('is told nothing, and nothing is written, while nothing changes', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    a.beat()
    expect(a.shortBeat()).toMatchObject({ memberEpoch: 2, assignment: null })
    expect(group.records).toEqual([])
    expect(a.beat().assignment, 'after a full request').toEqual(a.owned)
    expect(group.records).toEqual([])
  })

  test('may subscribe to topics that are not there, and to nothing', () => {
    const group = withTopic()
    expect(group.join('a', ['missing'])).toMatchObject({ error: ErrorCode.NONE, assignment: [] })
    expect(group.join('b', [])).toMatchObject({ error: ErrorCode.NONE, assignment: [] })
    group.topics.set('missing', 1)
    expect(group.say({ memberId: 'a', memberEpoch: 2 }).assignment).toHaveLength(1)
  })

  test('joins again whatever its epoch was, because it owns nothing then', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    a.beat()
    b.beat()
    a.beat()
    b.beat()
    const before = group.assignments()
    expect(group.join('a', ['t'])).toMatchObject({ error: ErrorCode.NONE, memberEpoch: 3 })
    expect(group.assignments()).toEqual(before)
  })

  test('that joins again while it is to give partitions up has given them up', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    for (const one of [a, b]) one.beat()
    const told = a.beat().assignment
    expect(group.join('a', ['t'])).toMatchObject({ error: ErrorCode.NONE, memberEpoch: 3, assignment: told })
    expect(b.shortBeat().assignment?.[0]?.partitions).toHaveLength(2)
    expect(group.say({ memberId: 'a', memberEpoch: 2, owned: told }), 'the answer to it is lost').toMatchObject({
      error: ErrorCode.NONE,
      memberEpoch: 3,
    })
  })

  test('that missed an answer comes in the previous epoch and is told again', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    a.beat()
    group.topics.set('t', 6)
    const lost = group.say({ memberId: 'a', memberEpoch: 2, owned: a.owned })
    expect(lost).toMatchObject({ memberEpoch: 3 })
    const told = group.say({ memberId: 'a', memberEpoch: 2, owned: a.owned })
    expect(told).toEqual(lost)
    const foreign = [{ topicId: 'other', partitions: [1] }]
    expect(group.say({ memberId: 'a', memberEpoch: 2, owned: foreign }).error).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
    expect(group.say({ memberId: 'a', memberEpoch: 2 }).error, 'that does not say what it owns').toBe(
      ErrorCode.FENCED_MEMBER_EPOCH,
    )
    expect(group.say({ memberId: 'a', memberEpoch: 1, owned: [] }).error).toBe(ErrorCode.FENCED_MEMBER_EPOCH)
  })

  test('that leaves frees its partitions at once', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    for (const one of [a, b, a, b]) one.beat()
    expect(group.say({ memberId: 'a', memberEpoch: -1 })).toMatchObject({ error: 0, memberId: 'a', memberEpoch: -1 })
    expect(b.shortBeat().assignment?.[0]?.partitions).toEqual([0, 1, 2, 3])
    group.say({ memberId: 'b', memberEpoch: -1 })
    expect([group.group.state, group.group.members]).toEqual(['Empty', 0])
  })

  test('that is silent for the session timeout is removed, and who is heard of is not', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    for (const one of [a, b, a, b]) one.beat()
    group.tick(SESSION_MS - 1)
    expect(group.group.members).toBe(2)
    b.shortBeat()
    group.tick(1)
    expect(Object.keys(group.assignments())).toEqual(['b'])
    expect(group.group.dueMs).toBe(group.nowMs - 1 + SESSION_MS)
    expect(a.shortBeat().error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('is not judged by its silence when topics changed', () => {
    const group = withTopic()
    group.join('a', ['t'])
    group.nowMs += SESSION_MS + 1
    group.topics.set('t', 5)
    group.lookAtTopics()
    expect([group.group.members, group.group.generation]).toEqual([1, 3])
    expect(group.say({ memberId: 'a', memberEpoch: 2 }).assignment?.[0]?.partitions).toHaveLength(5)
  })

  test('changes its subscription and keeps what is still subscribed', () => {
    const group = withTopic()
    group.topics.set('u', 2)
    const a = new Consumer(group, 'a', ['t'])
    a.beat()
    const both = group.say({ memberId: 'a', memberEpoch: 2, topicNames: ['u', 't', 'u'] })
    expect(both).toMatchObject({ memberEpoch: 3 })
    expect(both.assignment?.map(({ partitions }) => partitions.length)).toEqual([4, 2])
    const again = group.say({ memberId: 'a', memberEpoch: 3, topicNames: ['t', 'u'] })
    expect([again.memberEpoch, group.records]).toEqual([3, []])
  })
})

describe('partitions move', () => {
  test('only when who has them said that it gave them up', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    a.beat()
    const joined = b.beat()
    expect(joined).toMatchObject({ memberEpoch: 3, assignment: [] })
    expect(joined.heartbeatIntervalMs, 'a member that waits asks soon again').toBeLessThan(HEARTBEAT_MS)
    expect(group.group.state).toBe('Reconciling')
    const told = group.say({ memberId: 'a', memberEpoch: 2 })
    expect(told.memberEpoch).toBe(2)
    expect(told.assignment?.[0]?.partitions).toHaveLength(2)
    expect(b.shortBeat().assignment, 'nothing is free yet').toBeNull()
    expect(group.say({ memberId: 'a', memberEpoch: 2 }).memberEpoch, 'that says nothing of what it owns').toBe(2)
    expect(group.say({ memberId: 'a', memberEpoch: 2, owned: a.owned }).memberEpoch, 'that still owns all').toBe(2)
    expect(group.say({ memberId: 'a', memberEpoch: 2, owned: told.assignment }).memberEpoch).toBe(3)
    expect(b.shortBeat().assignment?.[0]?.partitions).toHaveLength(2)
    expect(group.group.state).toBe('Stable')
    expect(Object.values(group.assignments()).sort()).toEqual(['t:0,2', 't:1,3'])
  })

  test('away from a member that does not give them up in its rebalance timeout', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    a.beat()
    b.beat()
    a.beat()
    for (let passedMs = 0; passedMs < REBALANCE_MS - 20_000; passedMs += 20_000) {
      group.tick(20_000)
      group.say({ memberId: 'a', memberEpoch: 2 })
      b.shortBeat()
    }
    group.tick(19_999)
    expect(group.group.members).toBe(2)
    expect(group.group.dueMs).toBe(group.nowMs + 1)
    group.tick(1)
    expect(Object.keys(group.assignments())).toEqual(['b'])
    expect(b.shortBeat().assignment?.[0]?.partitions).toEqual([0, 1, 2, 3])
    expect(group.rebalances.at(-1)?.causes.map(({ reason }) => reason)).toContain('rebalance-timeout')
  })

  test('and other members go on in their epochs meanwhile', () => {
    const group = withTopic(6)
    const [a, b, c] = ['a', 'b', 'c'].map((id) => new Consumer(group, id, ['t'])) as [Consumer, Consumer, Consumer]
    a.beat()
    b.beat()
    a.beat()
    c.beat()
    b.beat()
    expect(b.partitions).toBe(0)
    a.beat()
    for (let round = 0; round < 3; round++) for (const one of [a, b, c]) one.beat()
    expect([a, b, c].map(({ partitions }) => partitions)).toEqual([2, 2, 2])
    expect(group.group.state).toBe('Stable')
  })
})

describe('assignments of a group', () => {
  test('are at least the interval apart, and one is for all that came until then', () => {
    const group = new GroupHarness({ assignmentIntervalMs: 1000 })
    group.topics.set('t', 4)
    const consumers = ['a', 'b', 'c', 'd'].map((id) => new Consumer(group, id, ['t']))
    expect(consumers[0]?.beat().assignment?.[0]?.partitions).toHaveLength(4)
    for (const one of consumers.slice(1)) {
      group.nowMs += 100
      const response = one.beat()
      expect(response).toMatchObject({ memberEpoch: 2, assignment: [] })
      expect(response.heartbeatIntervalMs).toBeLessThan(HEARTBEAT_MS)
    }
    expect([group.group.state, group.group.dueMs]).toEqual(['Assigning', group.nowMs + 700])
    group.tick(700)
    expect(group.records.map(({ name }) => name).sort()).toEqual([
      'targetMember',
      'targetMember',
      'targetMember',
      'targetMember',
      'targetMetadata',
    ])
    for (const one of [...consumers, ...consumers, ...consumers]) one.beat()
    expect(group.group.state).toBe('Stable')
    expect(consumers.map(({ partitions }) => partitions)).toEqual([1, 1, 1, 1])
    expect(consumers.map(({ epoch }) => epoch)).toEqual([5, 5, 5, 5])
  })

  test('are by the assignor that most members ask for', () => {
    const group = withTopic()
    group.topics.set('u', 4)
    const a = new Consumer(group, 'a', ['t', 'u'], { serverAssignor: 'range' })
    const b = new Consumer(group, 'b', ['t', 'u'])
    for (let round = 0; round < 3; round++) for (const one of [a, b]) one.beat()
    expect(group.assignments()).toEqual({ a: 't:0,1 u:0,1', b: 't:2,3 u:2,3' })
    expect(group.group.describe().assignor).toBe('range')
    const c = new Consumer(group, 'c', ['t', 'u'], { serverAssignor: 'uniform' })
    const d = new Consumer(group, 'd', ['t', 'u'], { serverAssignor: 'uniform' })
    for (let round = 0; round < 4; round++) for (const one of [a, b, c, d]) one.beat()
    expect(group.group.describe().assignor).toBe('uniform')
    expect(group.rebalances.flatMap(({ causes }) => causes.map(({ reason }) => reason))).not.toContain(
      'assignor-changed',
    )
    const epoch = group.group.generation
    group.say({ memberId: 'c', memberEpoch: c.epoch, serverAssignor: 'range' })
    expect([group.group.generation, group.group.describe().assignor]).toEqual([epoch + 1, 'range'])
  })

  test('follow topics: partitions are added, topics made and deleted', () => {
    const group = withTopic()
    const a = new Consumer(group, 'a', ['t', 'later'])
    a.beat()
    group.topics.set('t', 6)
    group.tick()
    expect(a.shortBeat().assignment?.[0]?.partitions).toEqual([0, 1, 2, 3, 4, 5])
    group.topics.set('later', 1)
    expect(a.shortBeat().assignment).toHaveLength(2)
    group.topics.delete('t')
    expect(a.beat().assignment?.map(({ partitions }) => partitions)).toEqual([[0]])
    a.beat()
    expect(group.rebalances.map(({ causes }) => causes.map(({ reason, detail }) => `${reason} ${detail}`))).toEqual([
      ['joined '],
      ['partitions-changed t has 6 partitions instead of 4'],
      ['partitions-changed later is there with 1 partitions'],
      ['partitions-changed t is gone'],
    ])
    group.topics.set('unrelated', 3)
    a.shortBeat()
    expect(group.records).toEqual([])
  })
})
