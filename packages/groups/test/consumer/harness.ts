import { ErrorCode, ZERO_UUID } from '@millrace/base'
import type { Random, Uuid } from '@millrace/base'
import { ConsumerGroup } from '../../src/consumer/group.ts'
import { isConsumerRecord } from '../../src/consumer/group-state.ts'
import { OutcomeBuilder } from '../../src/outcome.ts'
import { decodeGroupRecord } from '../../src/records/codec.ts'
import type { GroupRecord } from '../../src/records/kinds.ts'
import { TopicNames } from '../../src/regex/topic-names.ts'
import type {
  ConsumerHeartbeat,
  ConsumerHeartbeatResponse,
  GroupLogRecord,
  GroupsConfig,
  Outcome,
  Rebalance,
  TopicFacts,
  TopicsView,
} from '../../src/seams.ts'

export const SESSION_MS = 45_000
export const REBALANCE_MS = 60_000
export const HEARTBEAT_MS = 3000

/** The topics of a cluster, as far as a coordinator sees them. */
export class Topics implements TopicsView {
  version = 1
  private readonly all = new Map<string, TopicFacts>()
  private made = 0

  /** Makes a topic, or gives one that is there this many partitions. */
  set(name: string, partitions: number, newId?: Uuid): Uuid {
    const id = this.all.get(name)?.id ?? newId ?? topicId(++this.made)
    this.all.set(name, { id, name, partitions, racksOf: () => [] })
    this.version++
    return id
  }

  delete(name: string): void {
    this.all.delete(name)
    this.version++
  }

  byName(name: string): TopicFacts | null {
    return this.all.get(name) ?? null
  }

  byId(id: Uuid): TopicFacts | null {
    return [...this.all.values()].find((topic) => topic.id === id) ?? null
  }

  names(): Iterable<string> {
    return this.all.keys()
  }
}

function topicId(number: number): Uuid {
  return `t${String(number).padStart(4, '0')}${ZERO_UUID.slice(5)}`
}

export function groupsConfig(consumer: Partial<GroupsConfig['consumer']> = {}): GroupsConfig {
  return {
    minSessionTimeoutMs: 6000,
    maxSessionTimeoutMs: 1_800_000,
    initialRebalanceDelayMs: 0,
    maxSize: 1000,
    maxMetadataBytes: 4096,
    offsetsRetentionMs: 604_800_000,
    offsetsCheckMs: 600_000,
    consumer: {
      sessionTimeoutMs: SESSION_MS,
      heartbeatIntervalMs: HEARTBEAT_MS,
      maxSize: 100,
      assignmentIntervalMs: 0,
      assignors: ['uniform', 'range'],
      migrationPolicy: 'bidirectional',
      ...consumer,
    },
  }
}

function counting(): Random {
  let next = 0
  const random: Random = {
    uint32: () => ++next,
    below: (n) => ++next % n,
    fill: (into) => into.fill(++next & 0xff),
    fork: () => random,
  }
  return random
}

/** What a request says; what is left out says that nothing changed. */
export type Said = Partial<Omit<ConsumerHeartbeat, 'kind' | 'reply'>>

/** What a member commits with. */
export function claim(memberId: string, generation: number) {
  return { memberId, generation, knowsMemberEpochs: true }
}

/** A group with its log: what it decides is written down in bytes, and read back when it is loaded again. */
export class GroupHarness {
  readonly topics = new Topics()
  readonly config: GroupsConfig
  readonly log: GroupLogRecord[] = []
  /** What the last call decided. */
  records: GroupRecord[] = []
  rebalances: Rebalance[] = []
  group: ConsumerGroup
  nowMs = 1_000_000

  constructor(consumer: Partial<GroupsConfig['consumer']> = {}) {
    this.config = groupsConfig(consumer)
    this.group = this.fresh()
  }

  private fresh(): ConsumerGroup {
    const { config, topics } = this
    return new ConsumerGroup({ config, topics, random: counting(), names: new TopicNames(topics) }, 'g')
  }

  private turn(act: (out: OutcomeBuilder) => void): Outcome {
    this.records = []
    const out = new OutcomeBuilder((record) => {
      this.records.push(record)
      if (isConsumerRecord(record)) this.group.replay(record)
    })
    act(out)
    const outcome = out.done()
    this.log.push(...outcome.records)
    this.rebalances.push(...outcome.rebalances)
    return outcome
  }

  say(said: Said): ConsumerHeartbeatResponse {
    const answers: ConsumerHeartbeatResponse[] = []
    const request: ConsumerHeartbeat = {
      kind: 'consumerHeartbeat',
      groupId: 'g',
      memberId: 'a',
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      topicNames: null,
      topicRegex: null,
      serverAssignor: null,
      owned: null,
      clientId: 'client',
      clientHost: '/127.0.0.1',
      ...said,
      reply: (response) => answers.push(response),
    }
    const outcome = this.turn((out) => this.group.heartbeat(request, this.nowMs, out))
    for (const { groupId, reply, response } of outcome.answers) {
      if (groupId !== 'g') throw new Error(`an answer of the group ${groupId}`)
      reply(response)
    }
    if (answers.length !== 1) throw new Error(`a heartbeat is answered ${answers.length} times`)
    return answers[0] as ConsumerHeartbeatResponse
  }

  join(memberId: string, topicNames: readonly string[], more: Said = {}): ConsumerHeartbeatResponse {
    return this.say({ memberId, topicNames, rebalanceTimeoutMs: REBALANCE_MS, owned: [], ...more })
  }

  tick(afterMs = 0): void {
    this.nowMs += afterMs
    this.turn((out) => this.group.tick(this.nowMs, out))
  }

  lookAtTopics(): void {
    this.turn((out) => this.group.topicsChanged(this.nowMs, out))
  }

  /** The group is deleted. */
  remove(): void {
    this.turn((out) => this.group.tombstones(out))
  }

  /** The coordinator moves: what is not in the log is lost. */
  reload(): void {
    this.group = this.fresh()
    for (const { key, value } of this.log) {
      const record = decodeGroupRecord(key, value)
      if (record === null || !isConsumerRecord(record)) throw new Error('a record that no such group has')
      this.group.replay(record)
    }
    this.group.loaded(this.nowMs)
  }

  /** What each member has and is to have, by topic names. */
  assignments(): Record<string, string> {
    return Object.fromEntries(
      this.group
        .describe()
        .members.map(({ memberId, assignment }) => [
          memberId,
          assignment.map(({ topic, partitions }) => `${topic}:${partitions.join()}`).join(' '),
        ]),
    )
  }
}

/** A consumer that does what it is told: gives up what it must before it says so. */
export class Consumer {
  readonly memberId: string
  private readonly harness: GroupHarness
  private readonly facts: Said
  epoch = 0
  owned: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[] = []
  last: ConsumerHeartbeatResponse | null = null

  constructor(harness: GroupHarness, memberId: string, topicNames: readonly string[], more: Said = {}) {
    this.harness = harness
    this.memberId = memberId
    this.facts = { topicNames, rebalanceTimeoutMs: REBALANCE_MS, ...more }
  }

  /** One heartbeat with all that there is to say; a fenced member gives up everything. */
  beat(): ConsumerHeartbeatResponse {
    const { memberId, owned } = this
    const response = this.harness.say({ ...this.facts, memberId, memberEpoch: this.epoch, owned })
    this.take(response)
    return response
  }

  /** The same without what did not change, as a client does it between changes. */
  shortBeat(): ConsumerHeartbeatResponse {
    const { memberId, epoch } = this
    const instanceId = this.facts.instanceId ?? null
    const response = this.harness.say({ memberId, memberEpoch: epoch, instanceId })
    this.take(response)
    return response
  }

  take(response: ConsumerHeartbeatResponse): void {
    this.last = response
    if (response.error === ErrorCode.NONE) {
      this.epoch = response.memberEpoch
      if (response.assignment !== null) this.owned = response.assignment
    } else if (
      response.error === ErrorCode.FENCED_MEMBER_EPOCH ||
      response.error === ErrorCode.UNKNOWN_MEMBER_ID ||
      response.error === ErrorCode.GROUP_ID_NOT_FOUND
    ) {
      this.epoch = 0
      this.owned = []
    }
  }

  get partitions(): number {
    return this.owned.reduce((sum, { partitions }) => sum + partitions.length, 0)
  }
}
