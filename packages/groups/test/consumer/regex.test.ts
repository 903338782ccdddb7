import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { GroupHarness } from './harness.ts'

function withTopics(): GroupHarness {
  const group = new GroupHarness()
  for (const name of ['orders.eu', 'orders.us', 'returns', '__consumer_offsets']) group.topics.set(name, 1)
  return group
}

function topicsOf(group: GroupHarness, memberId = 'a'): string {
  return group.assignments()[memberId] ?? 'nobody'
}

function joinBy(group: GroupHarness, topicRegex: string, topicNames: readonly string[] | null = null, memberId = 'a') {
  return group.say({ memberId, topicNames, topicRegex, rebalanceTimeoutMs: 1000, owned: [] })
}

describe('a subscription by regular expression', () => {
  test('gets the topics whose whole name matches', () => {
    const group = withTopics()
    expect(joinBy(group, 'orders\\..*').error).toBe(ErrorCode.NONE)
    expect(topicsOf(group)).toBe('orders.eu:0 orders.us:0')
    expect(group.group.isSubscribed('orders.eu')).toBe(true)
    expect(group.group.isSubscribed('returns')).toBe(false)
    const part = withTopics()
    joinBy(part, 'order')
    expect(topicsOf(part)).toBe('')
  })

  test('that is sent again with all the rest is answered with all that the member has', () => {
    const group = withTopics()
    const { memberEpoch, assignment } = joinBy(group, 'orders.*')
    const whole = { memberEpoch, topicRegex: 'orders.*', rebalanceTimeoutMs: 1000, owned: [] }
    expect(group.say(whole).assignment).toEqual(assignment)
    expect(group.say({ memberEpoch }).assignment).toBeNull()
  })

  test('never gets internal topics', () => {
    const group = withTopics()
    joinBy(group, '.*')
    expect(topicsOf(group)).toBe('orders.eu:0 orders.us:0 returns:0')
  })

  test('goes beside names', () => {
    const group = withTopics()
    joinBy(group, 'orders.eu', ['returns'])
    expect(topicsOf(group)).toBe('orders.eu:0 returns:0')
  })

  test('gets topics that are made later and loses those that are deleted', () => {
    const group = withTopics()
    const { memberEpoch } = joinBy(group, 'orders.*')
    group.topics.set('orders.asia', 1)
    const next = group.say({ memberEpoch })
    expect(next.assignment).toHaveLength(3)
    group.topics.delete('orders.eu')
    group.say({ memberEpoch: next.memberEpoch, owned: [] })
    expect(topicsOf(group)).toBe('orders.us:0 orders.asia:0')
    group.topics.set('orders.eu', 2)
    group.say({ memberEpoch: next.memberEpoch + 1 })
    expect(topicsOf(group)).toContain('orders.eu:0,1')
  })

  test('is taken back by an empty one', () => {
    const group = withTopics()
    const { memberEpoch } = joinBy(group, 'orders.*', ['returns'])
    group.say({ memberEpoch, topicRegex: '', owned: [] })
    expect(topicsOf(group)).toBe('returns:0')
    expect(group.records).toContainEqual({
      name: 'regularExpression',
      key: { groupId: 'g', regex: 'orders.*' },
      value: null,
    })
  })

  test('is found out once for all who have it, written down, and forgotten with the last of them', () => {
    const group = withTopics()
    joinBy(group, 'orders.*')
    expect(group.records.filter(({ name }) => name === 'regularExpression')).toMatchObject([
      {
        key: { groupId: 'g', regex: 'orders.*' },
        value: { topics: ['orders.eu', 'orders.us'], resolvedMs: group.nowMs },
      },
    ])
    joinBy(group, 'orders.*', null, 'b')
    expect(group.records.map(({ name }) => name)).not.toContain('regularExpression')
    group.say({ memberId: 'a', memberEpoch: -1 })
    expect(group.records.map(({ name }) => name)).not.toContain('regularExpression')
    group.say({ memberId: 'b', memberEpoch: -1 })
    expect(group.records).toContainEqual({
      name: 'regularExpression',
      key: { groupId: 'g', regex: 'orders.*' },
      value: null,
    })
  })

  test.each([
    '(a)\\1',
    'a(?=b)',
    '(?<!a)b',
    '[',
    'a{2,1}',
    '(a{1000}){1000}',
    '('.repeat(2000) + ')'.repeat(2000),
    'x'.repeat(5000),
  ])('is refused when RE2 would refuse it, or when it is too long: %s', (regex) => {
    const group = withTopics()
    expect(joinBy(group, regex)).toMatchObject({
      error: ErrorCode.INVALID_REGULAR_EXPRESSION,
      message: expect.stringContaining('regular expression'),
    })
    expect(group.group.exists).toBe(false)
  })

  test('that backtracking would take for ever on is matched like others', () => {
    const group = new GroupHarness()
    const name = 'a'.repeat(249)
    group.topics.set(name, 1)
    group.topics.set('b', 1)
    joinBy(group, '((a|aa)+)+b')
    expect(topicsOf(group)).toBe('b:0'.slice(0, 0))
    joinBy(group, '((a|aa)*)*b?', null, 'b')
    expect(topicsOf(group, 'b')).toContain(`${name}:0`)
  })

  test('with very many names is found out in several turns, and nothing is lost while it is', () => {
    const group = new GroupHarness()
    const suffix = 'a'.repeat(230)
    for (let at = 0; at < 300; at++) group.topics.set(`${suffix}-${at}`, 1)
    const heavy = '((a?){30}){10}-.*'
    joinBy(group, heavy)
    expect(topicsOf(group)).toBe('')
    expect(group.group.dueMs).toBe(group.nowMs)
    let turns = 0
    while (group.group.dueMs <= group.nowMs && turns < 100) {
      group.tick()
      turns++
    }
    expect(turns).toBeGreaterThan(1)
    const epoch = group.group.describe().members[0]?.memberEpoch ?? 0
    expect(group.say({ memberEpoch: epoch }).assignment).toHaveLength(300)
    group.reload()
    group.tick()
    expect(topicsOf(group).split(' ')).toHaveLength(300)
    expect(group.group.isSubscribed(`${suffix}-7`)).toBe(true)
  })

  test('of other software that is no pattern here stands for no topic', () => {
    const group = withTopics()
    joinBy(group, 'orders.*')
    group.group.replay({
      name: 'consumerMember',
      key: { groupId: 'g', memberId: 'x' },
      value: {
        instanceId: null,
        rackId: null,
        clientId: '',
        clientHost: '',
        topicNames: [],
        topicRegex: '(?=x)',
        rebalanceTimeoutMs: 1,
        serverAssignor: null,
        classic: null,
      },
    })
    group.topics.set('x', 1)
    group.tick()
    expect(group.group.isSubscribed('x')).toBe(false)
  })
})
