import { assert, ErrorCode, LONG_MAX } from '@millrace/base'
import type {
  ConsumerHeartbeatResponse,
  DescribeConsumerGroupResponse,
  DescribeGroupResponse,
  GroupLogRecord,
  GroupShard,
  HeartbeatResponse,
  JoinGroupResponse,
  OffsetCommitResponse,
  Reply,
  SyncGroupResponse,
} from './shapes.ts'
import type { GroupRequest } from './shapes.ts'
import { assignment, compacted, replayed, ShardHarness, subscription } from './shard-harness.ts'

export const GROUPS = ['g', 'h'] as const
const PARTITIONS = 7

export interface Step {
  readonly kind:
    | 'join'
    | 'sync'
    | 'heartbeat'
    | 'leave'
    | 'restart'
    | 'commit'
    | 'commitByHand'
    | 'beat'
    | 'delete'
    | 'advance'
    | 'stall'
    | 'reload'
    | 'lostAppend'
  readonly client: number
  readonly amount: number
}

/** A consumer as clients are: it forgets its id when it is told that nobody has it. */
class Client {
  readonly groupId: string
  readonly groupInstanceId: string | null
  readonly name: string
  memberId = ''
  memberEpoch = 0
  joined: JoinGroupResponse | null = null
  topics = ['t']

  constructor(at: number) {
    this.name = `client-${at}`
    this.groupId = GROUPS[at % GROUPS.length] as string
    this.groupInstanceId = at % 3 === 2 ? `static-${at}` : null
  }
}

/** Clients of a shard that do anything at any time, and what must be true whatever they do. */
export class RandomWorld {
  readonly harness = new ShardHarness({ initialRebalanceDelayMs: 500, maxSize: 3, offsetsRetentionMs: LONG_MAX })
  private readonly clients = Array.from({ length: 8 }, (_, at) => new Client(at))
  /** What must be found again, by group and partition. */
  private readonly committed = new Map<string, number>()
  /** Questions that wait for an answer of this shard. */
  private waiting = new Set<{ readonly what: string }>()
  /** How many coordinators there were: a generation that none wrote may come again. */
  private coordinators = 0
  /** By group: how often it began from nothing, and what it was at the last look. */
  private readonly lives = new Map<string, { life: number; coordinator: number; generation: number; type: string }>()
  /** Who was told that it has which partition, by life, generation and partition. */
  private readonly owners = new Map<string, string>()
  /** Who was told that it leads, by coordinator, life and generation. */
  private readonly leaders = new Map<string, string>()
  /** A write fails: what the next call decides is lost, and nobody is answered. */
  private losing = false
  answered = 0

  constructor() {
    this.harness.topics.set('t', PARTITIONS)
    this.harness.topics.set('u', 1)
  }

  do(step: Step): void {
    const client = this.clients[step.client % this.clients.length] as Client
    this.act(step, client)
    this.losing = step.kind === 'lostAppend'
    this.check()
  }

  private act({ kind, amount }: Step, client: Client): void {
    switch (kind) {
      case 'join':
        return this.join(client, amount)
      case 'sync':
        return this.sync(client)
      case 'heartbeat':
        return this.heartbeat(client)
      case 'leave':
        return this.leave(client)
      case 'restart':
        return forget(client)
      case 'commit':
        return this.commit(client, amount, client.memberId, client.joined?.generation ?? -1)
      case 'commitByHand':
        return this.commit(client, amount, '', -1)
      case 'beat':
        return this.beat(client, amount)
      case 'delete':
        return amount % 4 === 0 ? this.delete(client.groupId) : undefined
      case 'advance':
        return this.harness.advance(amount * 97)
      case 'stall':
        this.harness.nowMs += amount * 311
        return this.harness.took(this.harness.shard.tick(this.harness.nowMs))
      case 'reload':
        return this.reload(amount % 2 === 0 ? this.harness.log : compacted(this.harness.log))
      default:
    }
  }

  /** Each question is answered at most once, and by the shard that it was put to. */
  private ask<R>(what: string, request: (reply: Reply<R>) => GroupRequest, answered: (response: R) => void): void {
    const { harness } = this
    const question = { what }
    const of = this.waiting
    let answers = 0
    of.add(question)
    const outcome = harness.shard.handle(
      request((response) => {
        assert(++answers === 1, `${what} is answered twice`)
        of.delete(question)
        this.answered++
        answered(response)
      }),
      harness.nowMs,
    )
    if (this.losing && outcome.records.length > 0) this.reload(harness.log)
    else harness.took(outcome)
  }

  private join(client: Client, amount: number): void {
    const { groupId, groupInstanceId, memberId } = client
    client.topics = amount % 5 === 0 ? ['t', 'u'] : ['t']
    const request = (reply: Reply<JoinGroupResponse>): GroupRequest => ({
      kind: 'joinGroup',
      groupId,
      memberId,
      groupInstanceId,
      sessionTimeoutMs: 6000 + amount * 100,
      rebalanceTimeoutMs: 5000 + amount * 100,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription(client.topics) }],
      reason: null,
      requireKnownMemberId: amount % 3 !== 0,
      supportsSkippingAssignment: amount % 2 === 0,
      clientId: client.name,
      clientHost: '/h',
      reply,
    })
    const isLost = amount % 7 === 6
    this.ask<JoinGroupResponse>('a JoinGroup', request, (response) => {
      if (!isLost) this.joined(client, response)
    })
  }

  private joined(client: Client, response: JoinGroupResponse): void {
    const { error, memberId, generation, leader, members } = response
    if (error === ErrorCode.NONE) {
      client.memberId = memberId
      client.joined = response
      assert(members.length === 0 || leader === memberId, 'the leader alone is told the members')
      assert(members.length === 0 || members.some((one) => one.memberId === leader), 'the leader is a member')
      // A static member that takes its own place leads under a new id, and is told so.
      const key = `${client.groupId} ${this.coordinators} ${this.lifeOf(client.groupId)} ${generation}`
      const before = this.leaders.get(key)
      assert(before === undefined || before === leader || client.groupInstanceId !== null || isStatic(leader), key)
      this.leaders.set(key, leader)
    } else if (error === ErrorCode.MEMBER_ID_REQUIRED) client.memberId = memberId
    else this.failed(client, error)
  }

  private failed(client: Client, error: ErrorCode): void {
    if (error === ErrorCode.UNKNOWN_MEMBER_ID || error === ErrorCode.FENCED_INSTANCE_ID) forget(client)
    else if (error === ErrorCode.ILLEGAL_GENERATION) client.joined = null
  }

  private sync(client: Client): void {
    const { joined, groupId, groupInstanceId } = client
    if (joined === null) return
    const { memberId, generation, members } = joined
    const assignments = members.map((member, at) => ({
      memberId: member.memberId,
      assignment: assignment({ t: partitionsOf(at, members.length) }),
    }))
    const request = (reply: Reply<SyncGroupResponse>): GroupRequest => ({
      kind: 'syncGroup',
      groupId,
      memberId,
      generation,
      groupInstanceId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments,
      reply,
    })
    this.ask<SyncGroupResponse>('a SyncGroup', request, (response) => {
      if (response.error === ErrorCode.NONE) this.owns(client, generation, response.assignment)
      else this.failed(client, response.error)
    })
  }

  /** In one generation a partition is one member's; who comes back as the same static member is the same. */
  private owns(client: Client, generation: number, bytes: Uint8Array): void {
    for (let at = 0; at < PARTITIONS; at++) {
      if (!holds(bytes, at)) continue
      const key = `${client.groupId} ${this.lifeOf(client.groupId)} ${generation} ${at}`
      const owner = this.owners.get(key) ?? client.name
      assert(owner === client.name, `${key} is ${owner}'s and ${client.name}'s`)
      this.owners.set(key, owner)
    }
  }

  private heartbeat(client: Client): void {
    const { joined, groupId, groupInstanceId } = client
    if (joined === null) return
    const { memberId, generation } = joined
    const request = (reply: Reply<HeartbeatResponse>): GroupRequest => ({
      kind: 'heartbeat',
      groupId,
      memberId,
      generation,
      groupInstanceId,
      reply,
    })
    this.ask<HeartbeatResponse>('a Heartbeat', request, ({ error }) => this.failed(client, error))
  }

  private leave(client: Client): void {
    const { groupId, memberId, groupInstanceId } = client
    const members = [{ memberId, groupInstanceId, reason: null }]
    this.ask(
      'a LeaveGroup',
      (reply) => ({ kind: 'leaveGroup', groupId, members, reply }),
      () => {},
    )
    client.memberId = ''
    client.joined = null
  }

  private commit(
    { groupId, groupInstanceId, name }: Client,
    amount: number,
    memberId: string,
    generation: number,
  ): void {
    const partition = amount % PARTITIONS
    const topic = this.harness.topics.byName('t')
    const topics = [
      { name: 't', id: topic?.id ?? '', partitions: [{ partition, offset: amount, leaderEpoch: 1, metadata: name }] },
    ]
    const request = (reply: Reply<OffsetCommitResponse>): GroupRequest => ({
      kind: 'offsetCommit',
      groupId,
      memberId,
      groupInstanceId: memberId === '' ? null : groupInstanceId,
      generation,
      knowsMemberEpochs: true,
      retentionMs: -1,
      topics,
      reply,
    })
    this.ask<OffsetCommitResponse>('an OffsetCommit', request, (response) => {
      const error = response.topics[0]?.partitions[0]?.error
      if (error !== ErrorCode.NONE) return
      this.committed.set(`${groupId} t:${partition}`, amount)
      const { type, generation: current = 0 } = this.harness.shard.group(groupId) ?? {}
      // In a group of the newer protocol members go from epoch to epoch at their own pace.
      const isCurrent = type === 'consumer' ? generation <= current : generation === current
      assert(generation < 0 || isCurrent, `a commit of generation ${generation} in ${current}`)
    })
  }

  /** The same client in the newer protocol: it joins, goes on, or leaves. */
  private beat(client: Client, amount: number): void {
    const { groupId, name } = client
    const memberEpoch = amount % 4 === 0 ? -1 : amount % 4 === 1 ? 0 : client.memberEpoch
    const request = (reply: Reply<ConsumerHeartbeatResponse>): GroupRequest => ({
      kind: 'consumerHeartbeat',
      groupId,
      memberId: name,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: 5000,
      topicNames: ['t'],
      topicRegex: null,
      serverAssignor: null,
      owned: memberEpoch === 0 ? [] : null,
      clientId: name,
      clientHost: '/h',
      reply,
    })
    this.ask<ConsumerHeartbeatResponse>('a ConsumerGroupHeartbeat', request, (response) => {
      client.memberEpoch = response.error === ErrorCode.NONE ? Math.max(response.memberEpoch, 0) : 0
    })
  }

  private delete(groupId: string): void {
    this.ask<HeartbeatResponse>(
      'a DeleteGroups',
      (reply) => ({ kind: 'deleteGroup', groupId, reply }),
      ({ error }) => {
        if (error !== ErrorCode.NONE) return
        for (const key of this.committed.keys()) if (key.startsWith(`${groupId} `)) this.committed.delete(key)
      },
    )
  }

  /** Whoever waits is told by the host to come again. */
  private reload(log: readonly GroupLogRecord[]): void {
    this.waiting = new Set()
    this.coordinators++
    this.harness.reload(log)
  }

  private lifeOf(groupId: string): number {
    return this.lives.get(groupId)?.life ?? 0
  }

  // What must be true.

  private check(): void {
    const { shard } = this.harness
    assert(this.waiting.size === 0 || shard.nextDueMs < Number.POSITIVE_INFINITY, 'who waits is answered at some time')
    for (const groupId of GROUPS) {
      this.checkGenerations(groupId)
      const expected = [...this.committed].filter(([key]) => key.startsWith(`${groupId} `))
      assert(same(offsetsOf(shard, groupId), new Map(expected)), `offsets of ${groupId}`)
    }
    this.checkDurable()
  }

  private checkGenerations(groupId: string): void {
    const view = this.harness.shard.group(groupId)
    const before = this.lives.get(groupId)
    const type = view?.type ?? 'none'
    const generation = view?.generation ?? 0
    const life = (before?.life ?? 0) + (before?.type === type ? 0 : 1)
    const goesOn = before?.life === life && before.coordinator === this.coordinators
    assert(!goesOn || generation >= before.generation, `the generation of ${groupId} falls to ${generation}`)
    this.lives.set(groupId, { life, coordinator: this.coordinators, generation, type })
  }

  /** The log tells the same as the shard, compacted or not. */
  private checkDurable(): void {
    const { config, topics, log, shard, nowMs } = this.harness
    const [whole, short] = [log, compacted(log)].map((records) => {
      // Static members that are away do not count when others come: such a group would begin to rebalance when it is loaded.
      const read = replayed({ ...config, maxSize: 1000 }, topics, records, 1)
      read.loaded(nowMs)
      return durableOf(read, nowMs)
    })
    assert(same(whole, short), `compacted: ${JSON.stringify([whole, short])}`)
    const live = durableOf(shard, nowMs)
    for (const [groupId, told] of live) {
      if (told === 'under way') continue
      assert(same(told, whole?.get(groupId)), `log of ${groupId}: ${JSON.stringify([told, whole?.get(groupId)])}`)
    }
    for (const groupId of whole?.keys() ?? []) assert(live.has(groupId), `${groupId} is in the log alone`)
  }

  /** Nobody says anything any more. */
  end(): void {
    this.losing = false
    this.harness.advance(40 * 60_000)
    assert(this.waiting.size === 0, `never answered: ${[...this.waiting].map(({ what }) => what).join(', ')}`)
    for (const view of this.harness.shard.groups()) assert(view.state === 'Empty', `${view.groupId} is ${view.state}`)
    this.check()
  }
}

/** The process of a client starts anew, or it is told that it is nobody. */
function forget(client: Client): void {
  client.memberId = ''
  client.joined = null
}

function isStatic(memberId: string): boolean {
  return memberId.startsWith('static-')
}

function partitionsOf(at: number, members: number): number[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => partition).filter((one) => one % members === at)
}

function holds(bytes: Uint8Array, partition: number): boolean {
  return partitionsIn(bytes).includes(partition)
}

/** Of an assignment of topic `t` alone, as the leaders here make them. */
function partitionsIn(bytes: Uint8Array): number[] {
  if (bytes.length === 0) return []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getInt32(2) === 0) return []
  return Array.from({ length: view.getInt32(9) }, (_, at) => view.getInt32(13 + 4 * at))
}

function offsetsOf(shard: GroupShard, groupId: string): Map<string, number> {
  const offsets = [...(shard.group(groupId)?.offsets() ?? [])]
  return new Map(offsets.map(({ topic, partition, offset }) => [`${groupId} ${topic}:${partition}`, offset]))
}

type Durable = 'under way' | { readonly view: unknown; readonly members: unknown; readonly offsets: unknown }

/** What the log must tell of each group; nothing while a rebalance is under way that was not written yet. */
function durableOf(shard: GroupShard, nowMs: number): Map<string, Durable> {
  const groups = new Map<string, Durable>()
  for (const view of shard.groups()) {
    const { groupId, type, state, generation, protocolType, members } = view
    const offsets = offsetsOf(shard, groupId)
    const told = type === 'classic' ? describedClassic(shard, groupId, nowMs) : describedConsumer(shard, groupId, nowMs)
    const isBlank = type === 'classic' && generation === 0 && offsets.size === 0
    const isUnderWay = isBlank || state === 'PreparingRebalance' || state === 'CompletingRebalance'
    const seen = { groupId, type, state, generation, protocolType, members }
    groups.set(groupId, isUnderWay ? 'under way' : { view: seen, members: told, offsets })
  }
  return groups
}

function describedClassic(shard: GroupShard, groupId: string, nowMs: number): unknown {
  return answerOf<DescribeGroupResponse>(shard, (reply) => ({ kind: 'describeGroup', groupId, reply }), nowMs)
}

function describedConsumer(shard: GroupShard, groupId: string, nowMs: number): unknown {
  const request = (reply: Reply<DescribeConsumerGroupResponse>): GroupRequest => ({
    kind: 'describeConsumerGroup',
    groupId,
    reply,
  })
  return answerOf(shard, request, nowMs)
}

function answerOf<R>(shard: GroupShard, request: (reply: Reply<R>) => GroupRequest, nowMs: number): unknown {
  const { answers } = shard.handle(
    request(() => {}),
    nowMs,
  )
  return answers[0]?.response
}

function same(a: unknown, b: unknown): boolean {
  return text(a) === text(b)
}

/** Members and offsets in any order say the same. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Map) return [...inner].map(([key, one]) => `${String(key)}=${text(one)}`).sort()
    if (inner instanceof Uint8Array) return inner.join()
    return Array.isArray(inner) ? inner.map(text).sort() : inner
  })
}
