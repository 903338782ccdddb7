import type { OutcomeBuilder } from '../outcome.ts'
import type {
  ConsumerHeartbeat,
  DescribeConsumerGroupResponse,
  GroupMemberView,
  GroupState,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  Rebalance,
  SyncGroup,
} from '../seams.ts'
import type { Turn } from '../turn.ts'
import { heartbeatClassic, joinClassic, leaveClassic, syncClassic } from './classic-members.ts'
import { Course } from './course.ts'
import type { ConsumerContext } from './course.ts'
import { consumerRoster, describeGroup } from './description.ts'
import { groupTombstones } from './group-records.ts'
import type { ConsumerGroupState, ConsumerRecord } from './group-state.ts'
import { respond } from './heartbeats.ts'

/**
 * A group of the newer protocol (KIP-848). A heartbeat brings what a member has and wants; in answer it is told what it may have. What that comes to for
 * the group is an epoch: it rises with every change of members, subscriptions or topics, then the assignor gives each member
 * a target as of that epoch, and each member gets there with its own heartbeats (see `reconcile`).
 *
 * Members of the classic protocol are in it beside the others while clients are upgraded one by one (see `classic-members.ts`).
 *
 * Durable state changes through `replay` alone. Timers and the story of the rebalance are lost with the coordinator.
 */
export class ConsumerGroup {
  readonly type = 'consumer'
  readonly groupId: string
  readonly course: Course

  constructor(context: ConsumerContext, groupId: string) {
    this.groupId = groupId
    this.course = new Course(context, groupId)
  }

  get durable(): ConsumerGroupState {
    return this.course.durable
  }

  /** False when nothing of the group is in the log (any more): it can be forgotten. */
  get exists(): boolean {
    return this.durable.exists
  }

  get state(): GroupState {
    return this.durable.state()
  }

  get generation(): number {
    return this.durable.epoch
  }

  get members(): number {
    return this.durable.members.size
  }

  /** The last rebalances that ended, oldest first; at most 20. */
  get rebalances(): readonly Rebalance[] {
    return this.course.story.last
  }

  roster(): GroupMemberView[] {
    return consumerRoster(this.durable, this.course.context.topics)
  }

  /** When `tick` has something to do at the earliest; it may turn out to be nothing. */
  get dueMs(): number {
    return this.course.dueMs
  }

  replay(record: ConsumerRecord): void {
    this.durable.replay(record)
  }

  /** The log was replayed: members have their whole time from now on, and topics may have changed meanwhile. */
  loaded(nowMs: number): void {
    this.course.loaded(nowMs)
  }

  describe(): DescribeConsumerGroupResponse {
    return describeGroup(this.durable, this.course.context.topics, this.course.assignor)
  }

  /** Whether a member subscribes to the topic, by its name or a regular expression. */
  isSubscribed(topic: string): boolean {
    return this.course.subscriptions.isSubscribed(topic)
  }

  /** Removes all that the log holds of the group itself; its offsets are another's. */
  tombstones(out: OutcomeBuilder): void {
    for (const record of groupTombstones(this.groupId, this.durable)) out.record(record)
  }

  heartbeat(request: ConsumerHeartbeat, nowMs: number, out: OutcomeBuilder): void {
    out.answer(this.groupId, request.reply, respond(this.course, request, { nowMs, out }))
  }

  // Members of the classic protocol.

  joinClassic(request: JoinGroup, turn: Turn): void {
    joinClassic(this.course, request, turn)
  }

  syncClassic(request: SyncGroup, turn: Turn): void {
    syncClassic(this.course, request, turn)
  }

  heartbeatClassic(request: Heartbeat, turn: Turn): void {
    heartbeatClassic(this.course, request, turn)
  }

  leaveClassic(request: LeaveGroup, turn: Turn): void {
    leaveClassic(this.course, request, turn)
  }

  tick(nowMs: number, out: OutcomeBuilder): void {
    this.course.tick({ nowMs, out })
  }

  topicsChanged(nowMs: number, out: OutcomeBuilder): void {
    this.course.topicsChanged({ nowMs, out })
  }
}
