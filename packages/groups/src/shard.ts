import type { Random, Uuid } from '@millrace/base'
import { answerAdmin } from './admin.ts'
import { DueGroups } from './due-groups.ts'
import { Members } from './members.ts'
import { OffsetExpiry } from './offsets/expiry.ts'
import { commitOffsets, deleteOffsets, fetchOffsets } from './offsets/requests.ts'
import { OutcomeBuilder } from './outcome.ts'
import { decodeGroupRecord } from './records/codec.ts'
import { Registry } from './registry.ts'
import type { GroupRequest, GroupShard, GroupsConfig, GroupView, Outcome, TopicsView } from './seams.ts'
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
  private readonly topics: TopicsView
  private readonly registry: Registry
  private readonly members: Members
  private readonly due = new DueGroups()
  private readonly expiry: OffsetExpiry
  private topicsVersion: number
  /** Nothing is over before: those who are alive are heard first. */
  private graceUntilMs: number | null = null

  constructor(config: GroupsConfig, topics: TopicsView, random: Random) {
    this.topics = topics
    this.registry = new Registry({ config, topics, random })
    this.members = new Members(this.registry)
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
      this.note(group.groupId)
    }
    this.expiry.begin(nowMs)
    return out.done()
  }

  handle(request: GroupRequest, nowMs: number): Outcome {
    const out = this.outcome()
    const turn = { nowMs, out }
    this.dispatch(request, turn)
    if ('groupId' in request) this.settle(request.groupId, turn)
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
      this.settle(groupId, { nowMs, out })
    }
    this.expiry.tick(nowMs, out, (groupId) => this.note(groupId))
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
    for (const groupId of changed) this.note(groupId)
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

  /** After whatever may have changed a group, and its type by that. */
  private settle(groupId: string, turn: Turn): void {
    this.members.settle(groupId, turn)
    this.note(groupId)
  }

  /** Forgets a group of which nothing is left, and notes when another one is due. */
  private note(groupId: string): void {
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
      this.settle(group.groupId, { nowMs, out })
    }
  }

  // Requests.

  private dispatch(request: GroupRequest, turn: Turn): void {
    switch (request.kind) {
      case 'joinGroup':
        return this.members.join(request, turn)
      case 'syncGroup':
        return this.members.sync(request, turn)
      case 'heartbeat':
        return this.members.heartbeat(request, turn)
      case 'leaveGroup':
        return this.members.leave(request, turn)
      case 'offsetCommit':
        return commitOffsets(this.registry, request, turn.nowMs, turn.out)
      case 'offsetFetch':
        return fetchOffsets(this.registry, request, turn.out)
      case 'offsetDelete':
        return deleteOffsets(this.registry, request, turn.out)
      case 'consumerHeartbeat':
        return this.members.consumerHeartbeat(request, turn)
      default:
        return answerAdmin(this.registry, request, turn.out)
    }
  }
}
