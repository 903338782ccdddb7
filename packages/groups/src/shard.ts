import { ErrorCode } from '@millrace/base'
import type { Random, Uuid } from '@millrace/base'
import { areBounded } from './bounds.ts'
import { describeClassic, NO_GROUP } from './classic/description.ts'
import type { ClassicGroup } from './classic/group.ts'
import { joinGroup } from './classic/join.ts'
import { heartbeat, leaveGroup, leftNothing, syncGroup } from './classic/membership.ts'
import { joinFailed, syncFailed } from './classic/responses.ts'
import { DueGroups } from './due-groups.ts'
import { OffsetExpiry } from './offsets/expiry.ts'
import { commitOffsets, deleteOffsets, fetchOffsets } from './offsets/requests.ts'
import { OutcomeBuilder } from './outcome.ts'
import { decodeGroupRecord } from './records/codec.ts'
import { protocolTypeOf, Registry } from './registry.ts'
import type { Group } from './registry.ts'
import type {
  ConsumerHeartbeat,
  DeleteGroup,
  DescribeConsumerGroup,
  DescribeGroup,
  GroupRequest,
  GroupShard,
  GroupsConfig,
  GroupView,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  Outcome,
  SyncGroup,
  TopicsView,
} from './seams.ts'
import type { Turn } from './turn.ts'

/** A tick that comes this late tells of a process that stood still, or was not allowed to decide. */
const LATE_MS = 1000
/** What members have said meanwhile is read within this time. */
const MAX_GRACE_MS = 5000

/**
 * Makes the machine of one partition of `__consumer_offsets`. `topics` may change between calls, when its version says so; `random` makes ids
 * of members.
 */
export function createGroupShard(config: GroupsConfig, topics: TopicsView, random: Random): GroupShard {
  return new Shard(config, topics, random)
}

class Shard implements GroupShard {
  private readonly config: GroupsConfig
  private readonly topics: TopicsView
  private readonly random: Random
  private readonly registry: Registry
  private readonly due = new DueGroups()
  private readonly expiry: OffsetExpiry
  private topicsVersion: number
  /** Nothing is over before: those who are alive are heard first. */
  private graceUntilMs: number | null = null

  constructor(config: GroupsConfig, topics: TopicsView, random: Random) {
    this.config = config
    this.topics = topics
    this.random = random
    this.registry = new Registry({ config, topics, random })
    this.expiry = new OffsetExpiry(this.registry)
    this.topicsVersion = topics.version
  }

  get nextDueMs(): number {
    if (this.topics.version !== this.topicsVersion) return 0
    return Math.max(Math.min(this.due.earliestMs, this.expiry.dueMs), this.graceUntilMs ?? 0)
  }

  replay(key: Uint8Array, value: Uint8Array | null): void {
    const record = decodeGroupRecord(key, value)
    if (record !== null) this.registry.apply(record)
  }

  loaded(nowMs: number): Outcome {
    const out = this.outcome()
    this.topicsVersion = this.topics.version
    for (const group of this.registry) {
      if (group.type === 'classic') group.loaded({ nowMs, out })
      else group.loaded(nowMs)
      this.settle(group.groupId)
    }
    this.expiry.begin(nowMs)
    return out.done()
  }

  handle(request: GroupRequest, nowMs: number): Outcome {
    const out = this.outcome()
    this.dispatch(request, { nowMs, out })
    if ('groupId' in request) this.settle(request.groupId)
    return out.done()
  }

  tick(nowMs: number): Outcome {
    const out = this.outcome()
    if (this.topics.version !== this.topicsVersion) this.lookAtTopics(nowMs, out)
    if (this.mustWait(nowMs)) return out.done()
    const due: string[] = []
    for (let groupId = this.due.take(nowMs); groupId !== null; groupId = this.due.take(nowMs)) due.push(groupId)
    for (const groupId of due) {
      this.registry.get(groupId)?.tick(nowMs, out)
      this.settle(groupId)
    }
    this.expiry.tick(nowMs, out, (groupId) => this.settle(groupId))
    return out.done()
  }

  topicsDeleted(topics: readonly { readonly name: string; readonly id: Uuid }[], _nowMs: number): Outcome {
    const out = this.outcome()
    const changed = new Set<string>()
    for (const [groupId, offsets] of this.registry.allOffsets())
      for (const { name } of topics)
        for (const partition of offsets.ofTopic(name)?.keys() ?? []) {
          out.record({ name: 'offsetCommit', key: { groupId, topic: name, partition }, value: null })
          changed.add(groupId)
        }
    for (const groupId of changed) this.settle(groupId)
    return out.done()
  }

  *groups(): Iterable<GroupView> {
    for (const groupId of this.registry.ids()) yield this.registry.view(groupId) as GroupView
  }

  group(groupId: string): GroupView | null {
    return this.registry.view(groupId)
  }

  private outcome(): OutcomeBuilder {
    return new OutcomeBuilder((record) => this.registry.apply(record))
  }

  /** After whatever may have changed a group. */
  private settle(groupId: string): void {
    const group = this.registry.prune(groupId) ? this.registry.get(groupId) : null
    if (group === null) this.due.forget(groupId)
    else this.due.note(groupId, group.dueMs)
  }

  // Time.

  /**
   * After a time in which nobody could be heard everybody would be taken for dead at once. The first tick after it decides nothing, so that
   * what was said meanwhile is heard; the second one counts, however late it is.
   */
  private mustWait(nowMs: number): boolean {
    if (this.graceUntilMs !== null) {
      if (nowMs < this.graceUntilMs) return true
      this.graceUntilMs = null
      return false
    }
    const lateMs = nowMs - this.due.earliestMs
    if (lateMs <= LATE_MS) return false
    this.graceUntilMs = nowMs + Math.min(lateMs, MAX_GRACE_MS)
    return true
  }

  private lookAtTopics(nowMs: number, out: OutcomeBuilder): void {
    this.topicsVersion = this.topics.version
    for (const group of this.registry) {
      if (group.type !== 'consumer') continue
      group.topicsChanged(nowMs, out)
      this.settle(group.groupId)
    }
  }

  // Requests.

  private dispatch(request: GroupRequest, turn: Turn): void {
    switch (request.kind) {
      case 'joinGroup':
        return this.join(request, turn)
      case 'syncGroup':
        return this.sync(request, turn)
      case 'heartbeat':
        return this.heartbeat(request, turn)
      case 'leaveGroup':
        return this.leave(request, turn)
      case 'offsetCommit':
        return commitOffsets(this.registry, request, turn.nowMs, turn.out)
      case 'offsetFetch':
        return fetchOffsets(this.registry, request, turn.out)
      case 'offsetDelete':
        return deleteOffsets(this.registry, request, turn.out)
      case 'consumerHeartbeat':
        return this.consumerHeartbeat(request, turn)
      default:
        return this.dispatchAdmin(request, turn.out)
    }
  }

  private dispatchAdmin(
    request: DescribeGroup | ListGroups | DeleteGroup | DescribeConsumerGroup,
    out: OutcomeBuilder,
  ): void {
    switch (request.kind) {
      case 'describeGroup':
        return this.describe(request, out)
      case 'listGroups':
        return this.list(request, out)
      case 'deleteGroup':
        return this.delete(request, out)
      default:
        return this.describeConsumer(request, out)
    }
  }

  private join(request: JoinGroup, turn: Turn): void {
    const error = this.joinProblem(request)
    if (error === ErrorCode.NONE) joinGroup(this.classicToJoin(request.groupId, turn), request, turn, this.random)
    else turn.out.answer(request.groupId, request.reply, joinFailed(request.memberId, error))
  }

  private joinProblem(request: JoinGroup): ErrorCode {
    const { groupId, memberId, sessionTimeoutMs, protocolType, protocols } = request
    if (groupId === '' || !areBounded(groupId)) return ErrorCode.INVALID_GROUP_ID
    if (!areBounded(request.groupInstanceId, protocolType, ...protocols.map(({ name }) => name)))
      return ErrorCode.INVALID_REQUEST
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.config
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs)
      return ErrorCode.INVALID_SESSION_TIMEOUT
    const group = this.registry.get(groupId)
    if (group?.type === 'classic') return ErrorCode.NONE
    if (group !== null && group.members > 0) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if (memberId !== '') return ErrorCode.UNKNOWN_MEMBER_ID
    // Nothing is given up for a member that can not join.
    return protocolType === '' || protocols.length === 0 ? ErrorCode.INCONSISTENT_GROUP_PROTOCOL : ErrorCode.NONE
  }

  /** The classic group, made if there is none; an empty one of the newer protocol becomes one. */
  private classicToJoin(groupId: string, { out }: Turn): ClassicGroup {
    const group = this.registry.get(groupId)
    if (group?.type === 'classic') return group
    group?.tombstones(out)
    const made = this.registry.newClassic(groupId)
    this.registry.put(made)
    return made
  }

  private sync(request: SyncGroup, turn: Turn): void {
    const group = this.classic(request.groupId)
    if (group !== null) syncGroup(group, request, turn)
    else turn.out.answer(request.groupId, request.reply, syncFailed(noMember(request.groupId)))
  }

  private heartbeat(request: Heartbeat, turn: Turn): void {
    const group = this.classic(request.groupId)
    if (group !== null) heartbeat(group, request, turn)
    else turn.out.answer(request.groupId, request.reply, { error: noMember(request.groupId) })
  }

  private leave(request: LeaveGroup, turn: Turn): void {
    const group = this.classic(request.groupId)
    if (group !== null) leaveGroup(group, request, turn)
    else turn.out.answer(request.groupId, request.reply, leftNothing(noMember(request.groupId)))
  }

  private classic(groupId: string): ClassicGroup | null {
    const group = this.registry.get(groupId)
    return group?.type === 'classic' ? group : null
  }

  /** The first member of the newer protocol makes an empty classic group one of that; one that has members stays what it is. */
  private consumerHeartbeat(request: ConsumerHeartbeat, { nowMs, out }: Turn): void {
    const { groupId } = request
    const group = this.registry.get(groupId)
    if (group?.type === 'consumer') return group.heartbeat(request, nowMs, out)
    if (group !== null && group.state !== 'Empty')
      return refuse(request, out, ErrorCode.GROUP_ID_NOT_FOUND, `${groupId} is a group of the classic protocol`)
    const made = this.registry.newConsumer(groupId)
    this.registry.put(made)
    made.heartbeat(request, nowMs, out)
    if (group === null) return
    if (made.exists) group.erase(out)
    else this.registry.put(group)
  }

  private describe({ groupId, reply }: DescribeGroup, out: OutcomeBuilder): void {
    const group = this.classic(groupId)
    out.answer(groupId, reply, group === null ? NO_GROUP : describeClassic(group))
  }

  private describeConsumer({ groupId, reply }: DescribeConsumerGroup, out: OutcomeBuilder): void {
    const group = this.registry.get(groupId)
    if (group?.type === 'consumer') return out.answer(groupId, reply, group.describe())
    const message = group === null ? `there is no group ${groupId}` : `${groupId} is a group of the classic protocol`
    out.answer(groupId, reply, { ...NO_CONSUMER_GROUP, message })
  }

  private list({ states, types, reply }: ListGroups, out: OutcomeBuilder): void {
    const asked = (filter: readonly string[], value: string): boolean =>
      filter.length === 0 || filter.some((one) => one.toLowerCase() === value.toLowerCase())
    const listed = (group: Group): boolean => asked(states, group.state) && asked(types, group.type)
    const groups = [...this.registry].filter(listed).map((group) => ({
      groupId: group.groupId,
      protocolType: protocolTypeOf(group),
      state: group.state,
      type: group.type,
    }))
    out.answer('', reply, { groups })
  }

  private delete({ groupId, reply }: DeleteGroup, out: OutcomeBuilder): void {
    const group = this.registry.get(groupId)
    if (group === null) return out.answer(groupId, reply, { error: ErrorCode.GROUP_ID_NOT_FOUND })
    if (group.state !== 'Empty') return out.answer(groupId, reply, { error: ErrorCode.NON_EMPTY_GROUP })
    for (const { topic, partition } of this.registry.offsetsOf(groupId)?.all() ?? [])
      out.record({ name: 'offsetCommit', key: { groupId, topic, partition }, value: null })
    if (group.type === 'consumer') group.tombstones(out)
    else {
      group.pending.clear()
      group.erase(out)
    }
    out.answer(groupId, reply, { error: ErrorCode.NONE })
  }
}

const NO_CONSUMER_GROUP = {
  error: ErrorCode.GROUP_ID_NOT_FOUND,
  state: '',
  epoch: 0,
  assignmentEpoch: 0,
  assignor: '',
  members: [],
}

/** Where there is no such group there is no such member; a group without a name can not be. */
function noMember(groupId: string): ErrorCode {
  return groupId === '' ? ErrorCode.INVALID_GROUP_ID : ErrorCode.UNKNOWN_MEMBER_ID
}

function refuse({ groupId, reply }: ConsumerHeartbeat, out: OutcomeBuilder, error: ErrorCode, message: string): void {
  out.answer(groupId, reply, {
    error,
    message,
    memberId: null,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
    assignment: null,
  })
}
