import { ErrorCode, OFFSETS_TOPIC } from '@millrace/base'
import type {
  GroupAnswer,
  GroupLogRecord,
  GroupRequest,
  GroupShard,
  GroupView,
  Outcome,
  Rebalance,
  Reply,
} from '@millrace/groups'
import type { PartitionImage } from '@millrace/metadata'
import { readRecords } from '@millrace/records'
import { GroupCoordinator, type GroupCoordinatorHost } from '../../src/groups/coordinator.ts'
import type { GroupMachines } from '../../src/groups/machines.ts'
import { CollectedChanges } from '../../src/image-changes.ts'
import type { CoordinatedReplica } from '../../src/groups/replica-view.ts'
import type { GroupQuestion } from '../../src/seams.ts'
import { FakeBroker, FakeReplica } from '../kafka/fake-broker.ts'
import { type VirtualWorld, virtualWorld } from '../kafka/virtual-world.ts'
import { commitByHand } from './questions.ts'

export const NODE = 1

/** A replica as a coordinator sees it; what the test sets is what its machine says. */
export class GroupReplica extends FakeReplica implements CoordinatedReplica {
  role: 'leader' | 'follower' | 'none' = 'leader'
  outOfService: ErrorCode = ErrorCode.NONE
  maxMessageBytes = 1024 * 1024
  readonly log: CoordinatedReplica['log'] = logOf(this)
  readonly machine: CoordinatedReplica['machine'] = machineOf(this)
  readonly settings = settingsOf(this)

  /** What is said before an append is tried; `appendError` is what one then fails with. */
  refusal: ErrorCode = ErrorCode.NONE

  appendRefusal(): ErrorCode {
    return this.error === ErrorCode.NONE ? this.refusal : this.error
  }
}

function logOf(replica: FakeReplica): CoordinatedReplica['log'] {
  return {
    get logStart() {
      return replica.logStart
    },
    get endOffset() {
      return replica.endOffset
    },
    read: (from, maxBytes, _below, done) => {
      const before = replica.highWatermark
      replica.highWatermark = replica.endOffset
      try {
        return replica.read(from, { maxBytes, currentLeaderEpoch: -1, isolation: 0 }, done)
      } finally {
        replica.highWatermark = before
      }
    },
  }
}

function machineOf(replica: GroupReplica): CoordinatedReplica['machine'] {
  return {
    get role() {
      return replica.role
    },
    get leaderEpoch() {
      return replica.leaderEpoch
    },
    get highWatermark() {
      return replica.highWatermark
    },
  }
}

function settingsOf(replica: GroupReplica): CoordinatedReplica['settings'] {
  return {
    config: {
      get maxMessageBytes() {
        return replica.maxMessageBytes
      },
    },
  }
}

const text = new TextEncoder()
const words = new TextDecoder()

export const logRecord = (key: string, value: string | null): GroupLogRecord => ({
  key: text.encode(key),
  value: value === null ? null : text.encode(value),
})

/** The records that the log holds, as `key=value`. */
export function written(replica: FakeReplica): string[] {
  return replica.batches.flatMap((batch) =>
    [...readRecords(batch, 0)].map(
      ({ key, value }) => `${words.decode(key ?? undefined)}=${value === null ? 'null' : words.decode(value)}`,
    ),
  )
}

/**
 * A shard that keeps offsets by group: a commit writes `group=offset`, a fetch answers what is known, a join is parked until the test answers it.
 */
export class FakeShard implements GroupShard {
  readonly replayed: string[] = []
  readonly offsets = new Map<string, string>()
  readonly asked: GroupRequest[] = []
  readonly ticks: number[] = []
  readonly deleted: string[] = []
  parked: GroupAnswer[] = []
  loadedAtMs = -1
  nextDueMs = Infinity
  /** What a tick decides. */
  due: Partial<Outcome> = {}
  /** What the next call decides besides. */
  more: Partial<Outcome> = {}
  fails: Error | null = null

  replay(key: Uint8Array, value: Uint8Array | null): void {
    if (this.fails !== null) throw this.fails
    const name = words.decode(key)
    if (value === null) this.offsets.delete(name)
    else this.offsets.set(name, words.decode(value))
    this.replayed.push(`${name}=${value === null ? 'null' : words.decode(value)}`)
  }

  loaded(nowMs: number): Outcome {
    this.loadedAtMs = nowMs
    return NOTHING
  }

  handle(request: GroupRequest, _nowMs: number): Outcome {
    this.asked.push(request)
    if (this.fails !== null) throw this.fails
    const more = this.more
    this.more = {}
    switch (request.kind) {
      case 'offsetCommit': {
        const offset = String(request.topics[0]?.partitions[0]?.offset ?? '')
        this.offsets.set(request.groupId, offset)
        const topics = request.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partition }) => ({ partition, error: ErrorCode.NONE })),
        }))
        const answers = [answerOf(request.groupId, request.reply, { topics })]
        return { ...NOTHING, records: [logRecord(request.groupId, offset)], answers, ...more }
      }
      case 'offsetFetch': {
        const offset = Number(this.offsets.get(request.groupId) ?? -1)
        const topics = (request.topics ?? []).map(({ name, partitions }) => ({
          name,
          partitions: partitions.map((partition) => ({
            partition,
            offset,
            leaderEpoch: -1,
            metadata: '',
            error: ErrorCode.NONE,
          })),
        }))
        return { ...NOTHING, answers: [answerOf(request.groupId, request.reply, { error: ErrorCode.NONE, topics })] }
      }
      case 'joinGroup': {
        const members = [
          { memberId: 'm1', groupInstanceId: null, metadata: request.protocols[0]?.metadata ?? new Uint8Array() },
        ]
        const response = { ...JOINED, members }
        this.parked.push(answerOf(request.groupId, request.reply, response))
        return { ...NOTHING, ...more }
      }
      case 'heartbeat':
        return { ...NOTHING, answers: [answerOf(request.groupId, request.reply, { error: ErrorCode.NONE })], ...more }
      case 'listGroups': {
        const groups = [...this.offsets.keys()].map((groupId) => ({
          groupId,
          protocolType: '',
          state: 'Empty',
          type: 'classic',
        }))
        return { ...NOTHING, answers: [answerOf('', request.reply, { groups })] }
      }
      default:
        return NOTHING
    }
  }

  tick(nowMs: number): Outcome {
    this.ticks.push(nowMs)
    this.nextDueMs = Infinity
    const { due } = this
    this.due = {}
    return { ...NOTHING, ...due }
  }

  topicsDeleted(topics: readonly { readonly name: string }[]): Outcome {
    this.deleted.push(...topics.map(({ name }) => name))
    return NOTHING
  }

  *groups(): Iterable<GroupView> {
    for (const groupId of this.offsets.keys()) yield viewOf(groupId)
  }

  group(groupId: string): GroupView | null {
    return this.offsets.has(groupId) ? viewOf(groupId) : null
  }
}

/** Every group of the fake has one offset, of the topic with its own name. */
function viewOf(groupId: string): GroupView {
  return {
    groupId,
    type: 'classic',
    state: 'Empty',
    protocolType: '',
    generation: 0,
    members: 0,
    offsets: () => [{ topic: groupId, partition: 0, offset: 0, leaderEpoch: -1, metadata: '', commitMs: 0 }],
    roster: () => [],
    rebalances: [],
  }
}

const JOINED = {
  error: ErrorCode.NONE,
  generation: 1,
  protocolType: 'consumer',
  protocolName: 'range',
  leader: 'm1',
  skipAssignment: false,
  memberId: 'm1',
}

export const NOTHING: Outcome = { records: [], answers: [], rebalances: [] }

export function answerOf<R>(groupId: string, reply: Reply<R>, response: R): GroupAnswer {
  const answer: GroupAnswer<R> = { groupId, reply, response }
  return answer as unknown as GroupAnswer
}

/** What a question came to: its answer, or an error as a number. */
export class Asked<R> {
  outcomes: (R | ErrorCode)[] = []
  drop: () => void = () => {}

  get outcome(): R | ErrorCode | null {
    if (this.outcomes.length > 1) throw new Error('answered twice')
    return this.outcomes[0] ?? null
  }
}

/** A coordinator with one partition of the offsets topic on its broker, in virtual time. */
export class GroupFixture implements GroupCoordinatorHost {
  readonly world: VirtualWorld = virtualWorld()
  readonly broker: FakeBroker
  readonly shards: FakeShard[] = []
  readonly coordinator: GroupCoordinator
  replica: GroupReplica
  awake = true
  readonly rebalances: Rebalance[] = []

  constructor() {
    this.broker = new FakeBroker(this.world)
    const topic = this.broker.image.addTopic(OFFSETS_TOPIC, [{}])
    this.replica = new GroupReplica(this.world, topic, 0)
    const machines: GroupMachines = {
      createShard: () => {
        const shard = new FakeShard()
        this.shards.push(shard)
        return shard
      },
      partitionOf: () => 0,
    }
    this.coordinator = new GroupCoordinator(this, machines)
  }

  get config(): FakeBroker['config'] {
    return this.broker.config
  }

  get image(): FakeBroker['image'] {
    return this.broker.image
  }

  get controller(): FakeBroker['controller'] {
    return this.broker.controller
  }

  serving(): boolean {
    return this.awake
  }

  rebalanced(rebalance: Rebalance): void {
    this.rebalances.push(rebalance)
  }

  get shard(): FakeShard {
    const shard = this.shards.at(-1)
    if (shard === undefined) throw new Error('no shard was made')
    return shard
  }

  /** The broker leads the partition and has read its log. */
  lead(): this {
    this.coordinator.replicaChanged(this.replica)
    this.world.time.advance(10)
    return this
  }

  ask<R>(question: Pick<GroupQuestion<R>, 'groupId' | 'request'>): Asked<R> {
    const asked = new Asked<R>()
    asked.drop = this.coordinator.ask<R>({
      ...question,
      answered: (response) => asked.outcomes.push(response),
      failed: (error) => asked.outcomes.push(error),
    })
    return asked
  }

  commit(groupId: string, offset: number): Asked<unknown> {
    const topicId = 'tAAAAAAAAAAAAAAAAAAAAA'
    return this.ask({ groupId, request: (reply) => commitByHand({ groupId, topicId, offset }, reply) })
  }

  heartbeat(groupId: string): Asked<{ readonly error: ErrorCode }> {
    return this.ask({
      groupId,
      request: (reply) => ({
        kind: 'heartbeat',
        groupId,
        memberId: 'm1',
        groupInstanceId: null,
        generation: 1,
        reply,
      }),
    })
  }

  join(groupId: string): Asked<unknown> {
    return this.ask({
      groupId,
      request: (reply) => ({
        kind: 'joinGroup',
        groupId,
        memberId: 'm1',
        groupInstanceId: null,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        protocolType: 'consumer',
        protocols: [],
        reason: null,
        requireKnownMemberId: false,
        supportsSkippingAssignment: false,
        clientId: 'c',
        clientHost: '/h',
        reply,
      }),
    })
  }

  changes(fill: (changes: CollectedChanges) => void): void {
    const changes = new CollectedChanges()
    fill(changes)
    this.coordinator.imageChanged(changes)
  }

  partition(change: Partial<PartitionImage>): void {
    const topic = this.image.topicByName(OFFSETS_TOPIC)
    if (topic === null) throw new Error('no topic')
    const partitions = topic.partitions.map((one) => ({ ...one, ...change }))
    this.image.topics.set(topic.id, { ...topic, partitions })
  }
}
