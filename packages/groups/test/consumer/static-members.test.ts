import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { Consumer, GroupHarness, SESSION_MS } from './harness.ts'

function twoMembers(): { readonly group: GroupHarness; readonly a: Consumer; readonly b: Consumer } {
  const group = new GroupHarness()
  group.topics.set('t', 4)
  const a = new Consumer(group, 'a', ['t'], { instanceId: 'one' })
  const b = new Consumer(group, 'b', ['t'])
  for (let round = 0; round < 3; round++) for (const one of [a, b]) one.beat()
  return { group, a, b }
}

describe('a static member', () => {
  test('that leaves for a while and comes back by another id has what it had, without a rebalance', () => {
    const { group, a } = twoMembers()
    const epoch = group.group.generation
    const had = a.owned
    expect(group.say({ memberId: 'a', memberEpoch: -2, instanceId: 'one' })).toMatchObject({
      error: ErrorCode.NONE,
      memberId: 'a',
      memberEpoch: -2,
    })
    const rebalances = group.rebalances.length
    const back = group.join('z', ['t'], { instanceId: 'one' })
    expect(back).toMatchObject({ error: ErrorCode.NONE, memberEpoch: epoch, assignment: had })
    expect([group.group.generation, group.group.state, group.rebalances.length]).toEqual([epoch, 'Stable', rebalances])
    group.reload()
    expect(Object.keys(group.assignments()).sort()).toEqual(['b', 'z'])
  })

  test('is fenced when its instance has another member by then', () => {
    const { group } = twoMembers()
    group.say({ memberId: 'a', memberEpoch: -2, instanceId: 'one' })
    group.join('z', ['t'], { instanceId: 'one' })
    expect(group.say({ memberId: 'a', memberEpoch: 3, instanceId: 'one' }).error).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(group.say({ memberId: 'a', memberEpoch: -1, instanceId: 'one' }).error).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(group.say({ memberId: 'a', memberEpoch: 3 }).error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  test('can not be replaced while it is there: UNRELEASED_INSTANCE_ID', () => {
    const { group } = twoMembers()
    expect(group.join('z', ['t'], { instanceId: 'one' })).toMatchObject({
      error: ErrorCode.UNRELEASED_INSTANCE_ID,
      message: expect.stringContaining('"one"'),
    })
  })

  test('whose answer to the join was lost joins again', () => {
    const { group } = twoMembers()
    expect(group.join('a', ['t'], { instanceId: 'one' }).error).toBe(ErrorCode.NONE)
  })

  test('that does not come back in the session timeout loses its place', () => {
    const { group, b } = twoMembers()
    group.say({ memberId: 'a', memberEpoch: -2, instanceId: 'one' })
    group.tick(SESSION_MS - 1)
    b.shortBeat()
    expect(group.group.members).toBe(2)
    group.tick(1)
    expect(b.shortBeat().assignment?.[0]?.partitions).toEqual([0, 1, 2, 3])
    expect(group.join('z', ['t'], { instanceId: 'one' }).error).toBe(ErrorCode.NONE)
  })

  test('that leaves for a while does not hold what it was told to give up', () => {
    const group = new GroupHarness()
    group.topics.set('t', 4)
    group.join('a', ['t'], { instanceId: 'one' })
    const b = new Consumer(group, 'b', ['t'])
    b.beat()
    group.say({ memberId: 'a', memberEpoch: 2, instanceId: 'one' })
    expect(b.shortBeat().assignment).toBeNull()
    group.say({ memberId: 'a', memberEpoch: -2, instanceId: 'one' })
    expect(b.shortBeat().assignment?.[0]?.partitions).toHaveLength(2)
    expect(group.join('z', ['t'], { instanceId: 'one' }).assignment?.[0]?.partitions).toHaveLength(2)
    expect(group.group.state).toBe('Stable')
  })

  test('leaves for good as others do', () => {
    const { group, b } = twoMembers()
    expect(group.say({ memberId: 'a', memberEpoch: -1, instanceId: 'one' }).error).toBe(ErrorCode.NONE)
    expect(b.shortBeat().assignment?.[0]?.partitions).toEqual([0, 1, 2, 3])
  })

  test('of an instance that is not known can not leave', () => {
    const { group } = twoMembers()
    expect(group.say({ memberId: 'b', memberEpoch: -2, instanceId: 'two' }).error).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})
