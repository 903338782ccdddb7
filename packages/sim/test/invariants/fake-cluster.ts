import type { Entry, HardState, PeerHandler, RaftStore, RaftWrite, World } from '@millrace/base'
import type { BrokerInspection, ReplicaInspection } from '@millrace/broker'
import { createImage, type FollowedImage, encodeBatch as encodeMetadata, type MetadataRecord } from '@millrace/metadata'
import type { RaftRole, RaftView } from '@millrace/raft'
import { encodeBatch, setBaseOffset, setLeaderEpoch } from '@millrace/records'
import { Hello, RaftFrame } from '@millrace/rpc'
import type { NodeView } from '@millrace/server'
import { createInvariants, type Invariants } from '../../src/invariants/invariants.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

export function directoryOf(node: number): string {
  return `AAAAAAAAAAAAAAAAAAAA${node}A`
}

function voterOf(node: number): { id: number; directoryId: string } {
  return { id: node, directoryId: directoryOf(node) }
}

const NOBODY: PeerHandler = { opened() {}, frame() {}, drained() {}, closed() {} }

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** A member whose every word is the test's. It writes to its store at once, and the store answers when it is told to. */
export class FakeMember {
  readonly view: Writable<RaftView>
  private readonly store: RaftStore
  private readonly world: World
  private waiting: (() => void)[] = []
  private tokens = 0

  constructor(node: number, world: (inner: World) => World, hardState: HardState | null, entries: readonly Entry[]) {
    const inner: RaftStore = {
      load: (done) =>
        done(null, {
          hardState,
          firstIndex: 1,
          lastIndex: entries.length,
          lastTerm: entries.at(-1)?.term ?? 0,
          damage: null,
        }),
      write: (_change, done) => void this.waiting.push(() => done(null)),
      read: (_from, _to, _bytes, done) => done(null, entries),
      close: (done) => done(null),
    }
    let handler: PeerHandler | null = null
    const peers = {
      open: (_to: unknown, _lane: unknown, _hello: unknown, given: PeerHandler) => {
        handler = given
        return { send: () => true, queuedBytes: 0, close: () => {} }
      },
    }
    const raftStore = { open: (_path: string, done: (error: null, store: RaftStore) => void) => done(null, inner) }
    this.world = world({ peers, raftStore } as unknown as World)
    let opened: RaftStore | null = null
    this.world.raftStore.open('store', (_error, store) => (opened = store))
    this.store = opened as unknown as RaftStore
    this.store.load(() => {})
    this.store.read(1, entries.length, 1000, () => {})
    this.hello = (to) => {
      const own = helloOf(node)
      const stream = this.world.peers.open({ host: 'x', port: 1 }, 'control', own, NOBODY)
      ;(handler as unknown as PeerHandler).opened(helloOf(to))
      return stream
    }
    this.view = {
      self: voterOf(node),
      role: 'follower',
      term: hardState?.term ?? 0,
      votedFor: null,
      leader: null,
      mayVote: true,
      commitIndex: 0,
      firstIndex: 1,
      lastIndex: entries.length,
      lastTerm: 0,
      durableIndex: entries.length,
      snapshotIndex: 0,
      snapshotTerm: 0,
      voters: [1, 2, 3].map(voterOf),
      votersIndex: 0,
      termAt: () => null,
    }
  }

  private readonly hello: (to: number) => { send(frame: Uint8Array): boolean }

  write(change: Omit<RaftWrite, 'token'>): void {
    this.store.write({ ...change, token: ++this.tokens }, () => {})
    const last = change.append?.at(-1)?.index
    if (last !== undefined) this.view.lastIndex = last
  }

  /** Everything written is on disk, and the machine knows. */
  sync(): void {
    const waiting = this.waiting
    this.waiting = []
    for (const answer of waiting) answer()
    this.view.durableIndex = this.view.lastIndex
  }

  send(to: number, frame: RaftFrame): void {
    this.hello(to).send(RaftFrame.encode(frame))
  }

  role(role: RaftRole, term: number): void {
    this.view.role = role
    this.view.term = term
    this.write({ hardState: { term, votedFor: role === 'leader' ? this.view.self : null } })
    this.sync()
  }
}

function helloOf(node: number): Uint8Array {
  return Hello.encode({
    purpose: 'raft',
    clusterId: 'c',
    nodeId: node,
    incarnationId: directoryOf(node),
    brokerEpoch: -1,
    version: 1,
    blank: false,
    voters: [],
    leaderId: null,
    term: 0,
  })
}

export function entry(index: number, term: number, payload: Uint8Array | string = `${index}`): Entry {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
  return { index, term, kind: typeof payload === 'string' ? 'noop' : 'data', payload: bytes }
}

/** One replica whose machine says what the test wants, over a log of real batches. */
export class FakeReplica {
  readonly topicId = TOPIC_ID
  readonly topic = 'events'
  readonly partition = 0
  readonly directory
  readonly machine: Writable<Omit<ReplicaInspection['machine'], 'inspection'>> & {
    readonly inspection: Writable<ReplicaInspection['machine']['inspection']>
  }
  readonly log: Writable<ReplicaInspection['log']> & {
    bytes: Uint8Array
    epochs: { epoch: number; startOffset: number }[]
  }
  readonly segment
  steps = 1

  constructor(node: number, from?: FakeReplica) {
    this.directory = { directoryId: directoryOf(node) }
    const bytes = from?.log.bytes ?? new Uint8Array(0)
    const epochs = from?.log.epochs.slice() ?? []
    this.segment = { baseOffset: 0, size: bytes.length, logPath: 'log' }
    this.log = {
      logStart: from?.log.logStart ?? 0,
      endOffset: from?.log.endOffset ?? 0,
      durableEnd: from?.log.endOffset ?? 0,
      generation: 0,
      quarantined: null,
      bytes,
      epochs,
      inspection: { segments: [this.segment], unwritten: [], epochs: { entries: epochs } },
    } as unknown as FakeReplica['log']
    this.machine = {
      role: 'follower',
      leaderEpoch: -1,
      highWatermark: from?.machine.highWatermark ?? 0,
      latestKnown: false,
      logStart: from?.log.logStart ?? 0,
      inspection: {
        confirmedIsr: [],
        maximalIsr: [],
        minInsyncReplicas: 2,
        promises: [],
        acknowledged: -1,
        quarantined: false,
      },
    } as unknown as FakeReplica['machine']
  }

  /** One batch of `count` records at the end; `text` is what they say. */
  append(epoch: number, count = 1, text = 'x'): void {
    const value = new TextEncoder().encode(text)
    const records = Array.from({ length: count }, () => ({ timestamp: 1, key: null, value }))
    const batch = encodeBatch(records)
    setBaseOffset(batch, 0, this.log.endOffset)
    setLeaderEpoch(batch, 0, epoch)
    if ((this.log.epochs.at(-1)?.epoch ?? -1) < epoch) this.log.epochs.push({ epoch, startOffset: this.log.endOffset })
    this.replace(joined(this.log.bytes, batch), this.log.endOffset + count)
  }

  /** The same batches as another replica has. */
  copy(other: FakeReplica): void {
    this.log.epochs.splice(0, this.log.epochs.length, ...other.log.epochs)
    this.replace(other.log.bytes, other.log.endOffset)
  }

  sync(): void {
    this.log.durableEnd = this.log.endOffset
    this.steps++
  }

  truncateTo(other: FakeReplica): void {
    this.log.generation++
    this.copy(other)
    this.log.durableEnd = Math.min(this.log.durableEnd, this.log.endOffset)
  }

  lead(epoch: number, isr: readonly number[] = [1, 2, 3]): void {
    this.machine.role = 'leader'
    this.machine.leaderEpoch = epoch
    this.machine.inspection.confirmedIsr = isr
    this.machine.inspection.maximalIsr = isr
    this.steps++
  }

  follow(epoch: number): void {
    this.machine.role = 'follower'
    this.machine.leaderEpoch = epoch
    this.steps++
  }

  /** As a follower, to its leader. */
  acknowledge(end: number): void {
    this.machine.inspection.acknowledged = end
    this.steps++
  }

  /** As a leader, what followers are taken to have acknowledged. */
  count(promises: ReplicaInspection['machine']['inspection']['promises']): void {
    this.machine.inspection.promises = promises
    this.steps++
  }

  watermark(offset: number): void {
    this.machine.highWatermark = offset
    this.steps++
  }

  private replace(bytes: Uint8Array, endOffset: number): void {
    this.log.bytes = bytes
    this.log.endOffset = endOffset
    this.segment.size = bytes.length
    this.steps++
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

interface FakeNode {
  member: FakeMember
  readonly image: Writable<FollowedImage>
  replica: FakeReplica
  readonly serving: FakeReplica[]
  readonly counters: { replicaSteps: number }
  /** Of its incarnation, as it knows it; -1 for the one that is registered. */
  readonly epoch: { now: number }
}

/** Three nodes that do what the test says, under the invariants. */
export class FakeCluster {
  readonly invariants: Invariants
  readonly nodes = new Map<number, FakeNode>()
  readonly damaged = new Set<number>()
  readonly wipes = new Map<number, number>()
  private index = 0
  private readonly entries: Entry[] = []
  private readonly registered = new Map<number, number>()
  private lives = 0
  private partitionEpoch = 0

  constructor(options: { fsync?: boolean; uncleanElection?: boolean } = {}) {
    this.invariants = createInvariants({
      peek: (node, _path, at, into) => {
        const bytes = this.node(node).replica.log.bytes.subarray(at, at + into.length)
        into.set(bytes)
        return bytes.length
      },
      damaged: (node) => this.damaged.has(node),
      wipes: (node) => this.wipes.get(node) ?? 0,
      ...options,
    })
    for (const node of [1, 2, 3]) this.spawn(node, null, [])
  }

  node(id: number): FakeNode {
    return this.nodes.get(id) as FakeNode
  }

  member(id: number): FakeMember {
    return this.node(id).member
  }

  replica(id: number): FakeReplica {
    return this.node(id).replica
  }

  spawn(id: number, hardState: HardState | null, entries: readonly Entry[], log = true): void {
    const old = this.nodes.get(id)
    const member = new FakeMember(
      id,
      (world) => this.invariants.nodeSpawned(id, `n${id}#${++this.lives}`, world),
      hardState,
      entries,
    )
    const replica = new FakeReplica(id, log ? old?.replica : undefined)
    const node: FakeNode = {
      member,
      image: createImage(),
      replica,
      serving: [],
      counters: { replicaSteps: 0 },
      epoch: { now: -1 },
    }
    this.nodes.set(id, node)
    const epochOf = (): number => (node.epoch.now === -1 ? this.brokerEpochOf(id) : node.epoch.now)
    const broker = {
      phase: 'running',
      get brokerEpoch() {
        return epochOf()
      },
      applied: true,
      image: node.image,
      counters: node.counters,
      replicas: () => node.serving,
    } as unknown as BrokerInspection
    const view: NodeView = { nodeId: id, raft: member.view, committed: null, broker }
    this.invariants.nodeStarted(id, view)
  }

  /** As the controller numbered its registration; 1 for a broker that needed none. */
  brokerEpochOf(id: number): number {
    return this.registered.get(id) ?? 1
  }

  ran(...ids: number[]): void {
    for (const id of ids) {
      this.node(id).counters.replicaSteps++
      this.invariants.nodeRan(id)
    }
  }

  /** Node 1 leads the quorum, and node 2 holds what it holds. */
  leadQuorum(term = 1): void {
    this.member(1).role('leader', term)
    this.member(2).role('follower', term)
    this.ran(1, 2)
  }

  /** Node 1 writes these records, a majority holds them, and it commits them. */
  commit(records: readonly MetadataRecord[]): number {
    const wrote = entry(++this.index, 1, encodeMetadata(records))
    for (const { name, value } of records)
      if (name === 'registerBroker') this.registered.set((value as { brokerId: number }).brokerId, this.index)
    this.entries.push(wrote)
    for (const id of [1, 2]) {
      this.member(id).write({ append: [wrote] })
      this.member(id).sync()
    }
    this.member(1).view.commitIndex = this.index
    this.ran(1)
    return this.index
  }

  /** The image of a node takes in what is committed. */
  apply(id: number): void {
    const { image } = this.node(id)
    for (const { index, payload } of this.entries) if (index > image.index) image.apply(index, payload)
    this.ran(id)
  }

  /** One partition on three brokers, led by broker 1 in epoch 0, all of them serving. */
  createPartition(config: readonly MetadataRecord[] = []): void {
    this.leadQuorum()
    this.commit([
      { name: 'topic', value: { topicId: TOPIC_ID, name: 'events' } },
      {
        name: 'partition',
        value: {
          topicId: TOPIC_ID,
          partition: 0,
          replicas: [1, 2, 3],
          directories: [1, 2, 3].map(directoryOf),
          isr: [1, 2, 3],
          leader: 1,
          leaderEpoch: 0,
          partitionEpoch: 0,
          leaderRecovery: 0,
          elr: [],
          lastKnownElr: [],
          addingReplicas: [],
          removingReplicas: [],
        },
      },
      ...config,
    ])
    for (const id of [1, 2, 3]) this.serve(id)
    this.replica(1).lead(0)
    this.replica(2).follow(0)
    this.replica(3).follow(0)
    this.ran(1, 2, 3)
  }

  serve(id: number): void {
    const { serving, replica } = this.node(id)
    if (!serving.includes(replica)) serving.push(replica)
    this.ran(id)
  }

  /** Out of service, as a broker does with a replica in doubt. */
  retire(id: number): void {
    this.node(id).serving.length = 0
    this.ran(id)
  }

  decide(change: {
    leader?: number
    leaderEpoch?: number
    isr?: number[]
    elr?: number[]
    leaderRecovery?: 0 | 1
  }): void {
    this.partitionEpoch++
    this.commit([
      {
        name: 'partitionChange',
        value: {
          topicId: TOPIC_ID,
          partition: 0,
          leader: change.leader ?? 1,
          leaderEpoch: change.leaderEpoch ?? 0,
          partitionEpoch: this.partitionEpoch,
          leaderRecovery: change.leaderRecovery ?? 0,
          isr: change.isr ?? null,
          elr: change.elr ?? null,
          lastKnownElr: null,
          directories: null,
          replicas: null,
          addingReplicas: null,
          removingReplicas: null,
        },
      },
    ])
  }

  /** A record of the leader is on the disks of these followers and its own. */
  produce(leader: number, epoch: number, followers: readonly number[], text = 'x'): void {
    this.replica(leader).append(epoch, 1, text)
    this.replica(leader).sync()
    this.ran(leader)
    for (const id of followers) {
      this.replica(id).copy(this.replica(leader))
      this.replica(id).sync()
      this.ran(id)
    }
  }

  /** The watermark of a replica goes to this offset. */
  raise(id: number, offset: number): void {
    this.replica(id).watermark(offset)
    this.ran(id)
  }
}
