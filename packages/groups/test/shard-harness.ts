import { assert, ErrorCode } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { createGroupShard, decodeGroupRecord } from '../src/index.ts'
import type {
  GroupLogRecord,
  GroupRecord,
  GroupRequest,
  GroupShard,
  GroupsConfig,
  HeartbeatResponse,
  JoinGroup,
  JoinGroupResponse,
  LeaveGroup,
  LeaveGroupResponse,
  OffsetCommit,
  OffsetCommitResponse,
  OffsetFetchResponse,
  Outcome,
  Rebalance,
  SyncGroupResponse,
} from './shapes.ts'
import { groupsConfig, Topics } from './consumer/harness.ts'
import { seeded } from './seeded.ts'

export const SESSION_MS = 10_000
export const REBALANCE_MS = 30_000

/** A question, and what was answered so far. */
export interface Asked<R> {
  readonly answers: R[]
  /** The one answer. */
  readonly response: R
  readonly waits: boolean
}

type Said<T> = Partial<Omit<T, 'kind' | 'reply'>>

/** One shard with its log and a clock that goes by hand. */
export class ShardHarness {
  readonly topics = new Topics()
  readonly config: GroupsConfig
  /** All records that were decided, in bytes. */
  readonly log: GroupLogRecord[] = []
  rebalances: Rebalance[] = []
  /** What the last call decided. */
  records: GroupRecord[] = []
  shard: GroupShard
  nowMs = 1_000_000
  /** Another one for each coordinator: none makes the ids of a former one again. */
  private seed: number

  constructor(config: Partial<GroupsConfig> = {}, seed = 1) {
    this.config = { ...groupsConfig(), ...config }
    this.seed = seed
    this.shard = createGroupShard(this.config, this.topics, seeded(seed))
    this.took(this.shard.loaded(this.nowMs))
  }

  ask<R>(request: (reply: (response: R) => void) => GroupRequest): Asked<R> {
    const answers: R[] = []
    this.took(
      this.shard.handle(
        request((response) => void answers.push(response)),
        this.nowMs,
      ),
    )
    return {
      answers,
      get response(): R {
        assert(answers.length === 1, `answered ${answers.length} times`)
        return answers[0] as R
      },
      get waits(): boolean {
        return answers.length === 0
      },
    }
  }

  took(outcome: Outcome): void {
    this.records = outcome.records.map(({ key, value }) => {
      const record = decodeGroupRecord(key, value)
      assert(record !== null, 'a record of a kind that is known')
      return record
    })
    this.log.push(...outcome.records)
    this.rebalances.push(...outcome.rebalances)
    for (const { reply, response } of outcome.answers) (reply as (response: unknown) => void)(response)
  }

  /** Time goes by, and what becomes due is done when it is due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (let turns = 0; this.shard.nextDueMs <= untilMs; turns++) {
      assert(turns < 10_000, 'time stands still')
      this.nowMs = Math.max(this.nowMs, this.shard.nextDueMs)
      this.took(this.shard.tick(this.nowMs))
    }
    this.nowMs = untilMs
  }

  /** Another coordinator takes over, which knows the log alone. */
  reload(log: readonly GroupLogRecord[] = this.log): void {
    this.shard = replayed(this.config, this.topics, log, ++this.seed)
    this.took(this.shard.loaded(this.nowMs))
  }

  join(said: Said<JoinGroup> & { readonly topics?: readonly string[] } = {}): Asked<JoinGroupResponse> {
    const { topics, ...rest } = said
    const protocols = [{ name: 'range', metadata: subscription(topics ?? ['t']) }]
    return this.ask((reply) => ({ ...JOIN, protocols, ...rest, kind: 'joinGroup', reply }))
  }

  /** A member joins as clients do: it asks for an id first. */
  joinNew(said: Said<JoinGroup> & { readonly topics?: readonly string[] } = {}): Asked<JoinGroupResponse> {
    if (said.groupInstanceId !== undefined) return this.join(said)
    const { memberId } = this.join(said).response
    return this.join({ ...said, memberId })
  }

  sync(
    member: { readonly memberId: string; readonly generation: number; readonly groupInstanceId?: string | null },
    assignments: Readonly<Record<string, Uint8Array>> = {},
    said: { readonly protocolType?: string | null; readonly protocolName?: string | null } = {},
  ): Asked<SyncGroupResponse> {
    const { memberId, generation, groupInstanceId = null } = member
    return this.ask((reply) => ({
      kind: 'syncGroup',
      groupId: 'g',
      memberId,
      generation,
      groupInstanceId,
      protocolType: null,
      protocolName: null,
      ...said,
      assignments: Object.entries(assignments).map(([id, assignment]) => ({ memberId: id, assignment })),
      reply,
    }))
  }

  heartbeat(member: {
    readonly memberId: string
    readonly generation: number
    readonly groupInstanceId?: string | null
    readonly groupId?: string
  }): ErrorCode {
    const claim = { groupId: 'g', groupInstanceId: null, ...member }
    return this.ask<HeartbeatResponse>((reply) => ({ kind: 'heartbeat', ...claim, reply })).response.error
  }

  leave(...members: readonly Partial<LeaveGroup['members'][number]>[]): LeaveGroupResponse {
    const full = members.map((member) => ({ memberId: '', groupInstanceId: null, reason: null, ...member }))
    return this.ask<LeaveGroupResponse>((reply) => ({ kind: 'leaveGroup', groupId: 'g', members: full, reply }))
      .response
  }

  /** Commits offsets by topic and partition; the codes in order. */
  commit(offsets: Readonly<Record<string, number>>, said: Said<OffsetCommit> = {}): ErrorCode[] {
    const topics = Object.entries(offsets).map(([at, offset]) => {
      const [name = '', partition] = at.split(':')
      const id: Uuid = this.topics.byName(name)?.id ?? NO_ID
      return { name, id, partitions: [{ partition: Number(partition), offset, leaderEpoch: 3, metadata: 'm' }] }
    })
    const asked = this.ask<OffsetCommitResponse>((reply) => ({
      ...COMMIT,
      topics,
      ...said,
      kind: 'offsetCommit',
      reply,
    }))
    return asked.response.topics.flatMap(({ partitions }) => partitions.map(({ error }) => error))
  }

  /** The offsets of a group, by topic and partition; -1 where there is none. */
  fetch(ats: readonly string[] | null = null, groupId = 'g'): Record<string, number> {
    const topics =
      ats === null ? null : ats.map((at) => ({ name: at.split(':')[0] ?? '', partitions: [Number(at.split(':')[1])] }))
    const asked = this.ask<OffsetFetchResponse>((reply) => ({
      kind: 'offsetFetch',
      groupId,
      memberId: null,
      memberEpoch: -1,
      topics,
      reply,
    }))
    assert(asked.response.error === ErrorCode.NONE, 'a fetch without an error')
    return Object.fromEntries(
      asked.response.topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partition, offset }) => [`${name}:${partition}`, offset]),
      ),
    )
  }

  /** A stable group of so many members, the leader first, each with the assignment that it was given. */
  stable(members: number, said: Said<JoinGroup> = {}): JoinGroupResponse[] {
    const joins = Array.from({ length: members }, () => this.joinNew(said))
    this.advance(this.config.initialRebalanceDelayMs * (members + 1))
    // Whoever was answered before the others came joins again.
    for (let round = 0; joins.some(({ waits }) => waits); round++) {
      assert(round < members + 2, 'members do not come together')
      for (const [at, asked] of joins.entries())
        if (!asked.waits) joins[at] = this.join({ ...said, memberId: asked.response.memberId })
    }
    const joined = joins.map(({ response }) => response)
    joined.sort((a, b) => Number(b.memberId === b.leader) - Number(a.memberId === a.leader))
    const all = Object.fromEntries(joined.map(({ memberId }, at) => [memberId, assignment({ t: [at] })]))
    for (const member of joined.toReversed()) this.sync(member, member.memberId === member.leader ? all : {})
    return joined
  }

  get state(): string {
    return this.shard.group('g')?.state ?? 'none'
  }
}

const NO_ID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'

const JOIN: Omit<JoinGroup, 'reply' | 'protocols'> = {
  kind: 'joinGroup',
  groupId: 'g',
  memberId: '',
  groupInstanceId: null,
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  protocolType: 'consumer',
  reason: null,
  requireKnownMemberId: true,
  supportsSkippingAssignment: true,
  clientId: 'client',
  clientHost: '/10.0.0.1',
}

const COMMIT: Omit<OffsetCommit, 'reply' | 'topics'> = {
  kind: 'offsetCommit',
  groupId: 'g',
  memberId: '',
  groupInstanceId: null,
  generation: -1,
  knowsMemberEpochs: true,
  retentionMs: -1,
}

export function replayed(
  config: GroupsConfig,
  topics: Topics,
  log: readonly GroupLogRecord[],
  seed: number,
): GroupShard {
  const shard = createGroupShard(config, topics, seeded(seed))
  for (const { key, value } of log) shard.replay(key, value)
  return shard
}

/** What is left of a log when it was compacted: the last record of each key, in the order in which they were written. */
export function compacted(log: readonly GroupLogRecord[]): GroupLogRecord[] {
  const last = new Map<string, GroupLogRecord>()
  for (const record of log) {
    const key = record.key.join()
    last.delete(key)
    last.set(key, record)
  }
  return [...last.values()]
}

/** A consumer's subscription, version 1, with what no coordinator reads. */
export function subscription(topics: readonly string[]): Uint8Array {
  return Uint8Array.from([0, 1, ...array(topics.map(text)), 0, 0, 0, 0, 0, 0, 0, 0])
}

/** A consumer's assignment, version 0. */
export function assignment(topics: Readonly<Record<string, readonly number[]>>): Uint8Array {
  const entries = Object.entries(topics).map(([topic, partitions]) => [...text(topic), ...array(partitions.map(int32))])
  return Uint8Array.from([0, 0, ...array(entries), 0xff, 0xff, 0xff, 0xff])
}

function text(value: string): number[] {
  return [value.length >> 8, value.length & 0xff, ...Array.from(value, (one) => one.charCodeAt(0))]
}

function int32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]
}

function array(items: readonly (readonly number[])[]): number[] {
  return [...int32(items.length), ...items.flat()]
}
