import { ErrorCode, OFFSETS_TOPIC } from '@millrace/base'
import type { ConsumerHeartbeatResponse, JoinGroupResponse, OffsetFetchResponse } from '@millrace/groups'
import { describe, expect, it } from 'vitest'
import type { GroupQuestion } from '../../src/seams.ts'
import { Cluster, eventually, sleep, type TestBroker } from '../cluster.ts'
import { ask as askGroup, commit, type Outcome } from './questions.ts'

const GROUP = 'g'

function ask<R>(broker: TestBroker, request: GroupQuestion<R>['request']): Promise<Outcome<R>> {
  return askGroup<R>(broker, { groupId: GROUP, request })
}

/** The committed offset; throws while the coordinator does not know. */
async function committed(broker: TestBroker): Promise<number> {
  const outcome = await ask<OffsetFetchResponse>(broker, (reply) => ({
    kind: 'offsetFetch',
    groupId: GROUP,
    memberId: null,
    memberEpoch: -1,
    topics: [{ name: 't', partitions: [0] }],
    reply,
  }))
  if (typeof outcome === 'number') throw new Error(`no answer: ${outcome}`)
  expect(outcome.error).toBe(ErrorCode.NONE)
  return outcome.topics[0]?.partitions[0]?.offset ?? -2
}

function join(broker: TestBroker, memberId: string): Promise<Outcome<JoinGroupResponse>> {
  return ask<JoinGroupResponse>(broker, (reply) => ({
    kind: 'joinGroup',
    groupId: GROUP,
    memberId,
    groupInstanceId: null,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: new Uint8Array(1) }],
    reason: null,
    requireKnownMemberId: false,
    supportsSkippingAssignment: true,
    clientId: 'c',
    clientHost: '/h',
    reply,
  }))
}

function beat(broker: TestBroker, memberEpoch: number): Promise<Outcome<ConsumerHeartbeatResponse>> {
  return ask<ConsumerHeartbeatResponse>(broker, (reply) => ({
    kind: 'consumerHeartbeat',
    groupId: GROUP,
    memberId: 'm',
    memberEpoch,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 10_000,
    topicNames: ['t'],
    topicRegex: null,
    serverAssignor: null,
    owned: [],
    clientId: 'c',
    clientHost: '/h',
    reply,
  }))
}

async function started(seed: string): Promise<Cluster> {
  const cluster = await Cluster.started(seed, 3)
  await cluster.topic(OFFSETS_TOPIC, [1, 2, 3], { 'min.insync.replicas': '2', 'cleanup.policy': 'compact' })
  await cluster.topic('t', [1])
  await eventually(async () => expect(await committed(cluster.broker(1))).toBe(-1))
  return cluster
}

describe('groups of brokers that come and go', () => {
  it('have the offsets that were acknowledged when another broker leads', async () => {
    await using cluster = await started('groups-kill')
    for (let offset = 1; offset <= 20; offset++) expect(await commit(cluster.broker(1), offset)).toBe(ErrorCode.NONE)
    cluster.broker(1).kill()
    cluster.controller.fence(1)
    await eventually(async () => expect(await committed(cluster.leader(OFFSETS_TOPIC))).toBe(20))
    expect(cluster.leader(OFFSETS_TOPIC).id).not.toBe(1)
    await cluster.broker(1).start()
    expect(await commit(cluster.broker(1), 99)).toBe(ErrorCode.NOT_COORDINATOR)
  })

  it('do not acknowledge a commit that no follower has, and answer NOT_COORDINATOR when the leadership ends', async () => {
    await using cluster = await started('groups-cut')
    expect(await commit(cluster.broker(1), 1)).toBe(ErrorCode.NONE)
    cluster.network.cut('b1', 'b2', 'silent')
    cluster.network.cut('b1', 'b3', 'silent')
    let outcome: ErrorCode | null = null
    const pending = commit(cluster.broker(1), 2).then((error) => (outcome = error))
    const fetching = committed(cluster.broker(1)).catch((error: Error) => error.message)
    await sleep(100)
    expect(outcome).toBe(null)
    cluster.controller.force(OFFSETS_TOPIC, { leader: 2 })
    expect(await pending).toBe(ErrorCode.NOT_COORDINATOR)
    expect(await fetching).toBe(`no answer: ${ErrorCode.NOT_COORDINATOR}`)
    await eventually(async () => expect(await committed(cluster.broker(2))).toBe(1))
    cluster.network.heal('b1', 'b2')
    cluster.network.heal('b1', 'b3')
    await eventually(async () => expect(await commit(cluster.broker(2), 3)).toBe(ErrorCode.NONE))
    await cluster.isr(OFFSETS_TOPIC, [1, 2, 3])
    cluster.controller.force(OFFSETS_TOPIC, { leader: 1 })
    await eventually(async () => expect(await committed(cluster.broker(1))).toBe(3))
  })

  it('keep those who wait for members no longer than the leadership, and forget no member that has an assignment', async () => {
    await using cluster = await started('groups-parked')
    const joined = await join(cluster.broker(1), '')
    if (typeof joined === 'number') throw new Error(`join: ${joined}`)
    expect(joined).toMatchObject({ error: ErrorCode.NONE, generation: 1 })
    const parked = join(cluster.broker(1), '')
    cluster.controller.force(OFFSETS_TOPIC, { leader: 3 })
    expect(await parked).toBe(ErrorCode.NOT_COORDINATOR)
  })

  it('of the newer protocol go on where they were', async () => {
    await using cluster = await started('groups-848')
    const first = await beat(cluster.broker(1), 0)
    if (typeof first === 'number') throw new Error(`heartbeat: ${first}`)
    expect(first.assignment?.[0]?.partitions).toEqual([0])
    cluster.broker(1).kill()
    cluster.controller.fence(1)
    const next = await eventually(async () => {
      const answer = await beat(cluster.leader(OFFSETS_TOPIC), first.memberEpoch)
      if (typeof answer === 'number') throw new Error(`heartbeat: ${answer}`)
      return answer
    })
    expect(next).toMatchObject({ error: ErrorCode.NONE, memberId: 'm' })
  })

  it('are refused, and not forgotten, while too few replicas are in sync', async () => {
    await using cluster = await started('groups-isr')
    expect(await commit(cluster.broker(1), 1)).toBe(ErrorCode.NONE)
    for (const id of [2, 3]) {
      cluster.broker(id).kill()
      cluster.controller.fence(id)
    }
    await cluster.isr(OFFSETS_TOPIC, [1])
    const sees = (): number | undefined =>
      cluster.broker(1).running.context.image.topicByName(OFFSETS_TOPIC)?.partitions[0]?.isr.length
    await eventually(() => expect(sees()).toBe(1))
    expect(await commit(cluster.broker(1), 2)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(await committed(cluster.broker(1))).toBe(1)
    await Promise.all([2, 3].map((id) => cluster.broker(id).start()))
    await eventually(async () => expect(await commit(cluster.broker(1), 3)).toBe(ErrorCode.NONE))
    expect(await committed(cluster.broker(1))).toBe(3)
  })

  it('end with their topic, and begin anew with another of its name', async () => {
    await using cluster = await started('groups-deleted')
    expect(await commit(cluster.broker(1), 1)).toBe(ErrorCode.NONE)
    cluster.controller.deleteTopic(OFFSETS_TOPIC)
    await eventually(async () => expect(await commit(cluster.broker(1), 2)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE))
    await cluster.topic(OFFSETS_TOPIC, [1, 2, 3], { 'cleanup.policy': 'compact' })
    await eventually(async () => expect(await committed(cluster.broker(1))).toBe(-1))
  })
})
