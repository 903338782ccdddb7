import {
  isUuid,
  randomUuid,
  type Accepted,
  type Done,
  type IoError,
  type Lane,
  type MillraceError,
  type PeerStream,
  type RaftWrite,
  type Refusal,
  type Timer,
  type Uuid,
  type VoterId,
  type World,
} from '@millrace/base'
import { sameVoter, type LogPosition, type RaftMessage, type RaftView } from '@millrace/raft'
import { Hello, type RaftFrame } from '@millrace/rpc'
import { FIRST_STORE, type Formation, type Identity } from './identity.ts'
import { MemberStore } from './member-store.ts'
import { NOT_OPEN_YET, PeerLink } from './peer-link.ts'
import { RaftDriver } from './raft-driver.ts'
import { ReplicaTimes } from './replica-times.ts'
import { SnapshotFetch } from './snapshot-fetch.ts'
import { SnapshotFiles } from './snapshot-files.ts'
import { SnapshotServe } from './snapshot-serve.ts'
import type { Quorum, QuorumConfig, QuorumListener, QuorumStatus } from './types.ts'
import { formationEntry } from './voters-codec.ts'

const VERSION = 1
/** Frames kept while the first write of a new member is under way; what is more is lost and sent again. */
const MAX_EARLY_FRAMES = 1000
const WAITING_LOG_US = 10_000_000
const STRANGER_LOG_US = 10_000_000
/** After a start, and once a majority is there, a member asks for votes within this time. */
const FIRST_ELECTION_US = 100_000

/** Makes the quorum member of this node; nothing happens before `start`. */
export function createQuorum(world: World, config: QuorumConfig, listener: QuorumListener): Quorum {
  return new QuorumNode(world, config, listener)
}

/**
 * One member of the metadata quorum, from its first start on:
 *
 *   loading ──▶ waiting ──▶ beginning ──▶ running
 *      │   blank    │ founds, or meets a cluster    ▲
 *      └────────────┴───────────────────────────────┘ knows who it is
 *
 * While it waits it has no Raft machine. A cluster forms when every configured voter is connected and waits as well: then
 * the one with the lowest id writes the first entry, which fixes the cluster's id and every voter's (id, directory id), and
 * tells it to the others. Each writes the same entry before it says anything else, so the formation survives the loss of a
 * minority from then on, its author included. See `planStart` for who may vote afterwards.
 */
class QuorumNode implements Quorum {
  readonly #world: World
  readonly #config: QuorumConfig
  readonly #listener: QuorumListener
  readonly #links = new Map<number, PeerLink>()
  readonly #files: SnapshotFiles
  readonly #store: MemberStore
  readonly #fetch: SnapshotFetch
  readonly #times: ReplicaTimes
  #phase: 'created' | 'loading' | 'waiting' | 'beginning' | 'running' | 'stopping' | 'stopped' = 'created'
  #identity: Identity | null = null
  #driver: RaftDriver | null = null
  #early: { readonly from: VoterId; readonly frame: RaftFrame }[] = []
  #waitingLog: Timer | null = null
  #leaderlessLog: Timer | null = null
  #strangerToldUs = -STRANGER_LOG_US
  #hurried = false

  constructor(world: World, config: QuorumConfig, listener: QuorumListener) {
    this.#world = world
    this.#config = config
    this.#listener = listener
    this.#times = new ReplicaTimes(world.clock)
    this.#files = new SnapshotFiles(world.disk, config.directory, world.log)
    this.#store = new MemberStore(world, config, this.#files)
    this.#fetch = new SnapshotFetch(world, this.#files, {
      addressOf: (id) => config.voters.find((voter) => voter.id === id)?.address ?? null,
      hello: () => Hello.encode({ ...this.#hello(), purpose: 'snapshot' }),
      arrived: (snapshot) => this.#driver?.install(snapshot),
    })
    for (const voter of config.voters) if (voter.id !== config.nodeId) this.#links.set(voter.id, this.#linkTo(voter))
  }

  get clusterId(): Uuid | null {
    return this.#identity?.clusterId ?? this.#config.clusterId
  }

  get status(): QuorumStatus {
    return this.#times.status(this.#driver?.status ?? null, this.#self)
  }

  get raft(): RaftView | null {
    return this.#driver?.view ?? null
  }

  start(): void {
    if (this.#phase !== 'created') return
    this.#phase = 'loading'
    this.#store.open((error, identity) => {
      if (this.#phase !== 'loading') return
      if (error !== null) return this.#die(error)
      if (identity === null) this.#wait()
      else this.#run(identity)
    })
  }

  propose(payload: Uint8Array): LogPosition | null {
    return this.#phase === 'running' ? (this.#driver?.propose(payload) ?? null) : null
  }

  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    if (this.#phase === 'created' || this.#phase === 'loading') return { refused: NOT_OPEN_YET }
    if (this.#phase === 'stopped' || this.#phase === 'stopping') return { refused: 'the quorum is closed' }
    const link = this.#links.get(hello.nodeId)
    if (link === undefined) return { refused: this.#notConfigured(hello) }
    return hello.purpose === 'snapshot' ? this.#serveSnapshot(hello, lane, stream) : link.accept(hello, stream)
  }

  stop(done: Done<void>): void {
    if (this.#phase === 'stopped' || this.#phase === 'stopping') return this.#world.timers.endOfTurn(() => done(null))
    if (this.#driver === null || !this.#driver.leads || this.#links.size === 0) return this.#close(done)
    this.#phase = 'stopping'
    this.#driver.step({ kind: 'transferLeadership', to: null })
    this.#closeWhenHandedOver(this.#world.clock.monotonicUs() + this.#config.electionTimeoutMs * 1000, done)
  }

  /** Waits for another leader, but no longer than an election would take. */
  #closeWhenHandedOver(deadlineUs: number, done: Done<void>): void {
    const status = this.#driver?.status
    const over = status === undefined || (status.role !== 'leader' && status.leader !== null)
    const hopeless = status?.role === 'leader' && status.transferringTo === null
    if (over || hopeless || this.#world.clock.monotonicUs() >= deadlineUs) return this.#close(done)
    this.#world.timers.after(5000, () => this.#closeWhenHandedOver(deadlineUs, done))
  }

  #close(done: Done<void>): void {
    this.#end()
    this.#store.close((error) => done(error as IoError | null))
  }

  /** A broken store or a foreign one: the node cannot go on. */
  #die(error: IoError | MillraceError): void {
    if (this.#phase === 'stopped') return
    this.#end()
    this.#world.fatal('store-failed', error)
  }

  #end(): void {
    this.#phase = 'stopped'
    this.#waitingLog?.cancel()
    this.#leaderlessLog?.cancel()
    this.#fetch.stop()
    this.#driver?.stop()
    for (const link of this.#links.values()) link.stop()
  }

  get #self(): VoterId {
    return { id: this.#config.nodeId, directoryId: this.#identity?.directoryId ?? this.#config.directoryId }
  }

  #hello(): Hello {
    const status = this.#driver?.status
    return {
      purpose: 'raft',
      clusterId: this.clusterId ?? '',
      nodeId: this.#config.nodeId,
      incarnationId: this.#self.directoryId,
      brokerEpoch: -1,
      version: VERSION,
      blank: this.#driver === null,
      voters: status?.voters ?? [],
      leaderId: status?.leader?.id ?? null,
      term: status?.term ?? 0,
    }
  }

  // Who is talked to.

  #linkTo(voter: QuorumConfig['voters'][number]): PeerLink {
    return new PeerLink(this.#world, this.#config.nodeId, voter, {
      hello: () => this.#hello(),
      objection: (hello) => this.#objection(hello, voter.id),
      up: (link) => this.#up(link),
      frame: (link, frame) => this.#frame(link.peer as VoterId, frame),
      down: (peer) => this.#down(peer),
    })
  }

  #objection(hello: Hello, id: number): string | null {
    if (hello.nodeId !== id) return `node ${hello.nodeId} answers at the address of node ${id}`
    if (hello.purpose !== 'raft') return `a ${hello.purpose} stream is no quorum stream`
    if (!isUuid(hello.incarnationId)) return 'its directory id is none'
    return this.#otherCluster(hello)
  }

  #otherCluster(hello: Hello): string | null {
    const { clusterId } = this
    if (clusterId === null || hello.clusterId === '' || hello.clusterId === clusterId) return null
    return `node ${hello.nodeId} belongs to cluster ${hello.clusterId}, node ${this.#config.nodeId} to ${clusterId}`
  }

  #notConfigured(hello: Hello): string {
    const nowUs = this.#world.clock.monotonicUs()
    if (nowUs - this.#strangerToldUs >= STRANGER_LOG_US) {
      this.#strangerToldUs = nowUs
      this.#world.log.warn({ peer: hello.nodeId }, 'a node that controller.quorum.voters does not name asks to join')
    }
    return `node ${hello.nodeId} is not among controller.quorum.voters of node ${this.#config.nodeId}`
  }

  #serveSnapshot(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    if (lane !== 'bulk') return { refused: 'snapshots travel on the bulk lane' }
    const other = this.#otherCluster(hello)
    if (other !== null) return { refused: other }
    const handler = new SnapshotServe(this.#world.disk, this.#files, stream, this.#world.log)
    return { hello: Hello.encode({ ...this.#hello(), purpose: 'snapshot' }), handler }
  }

  // The formation.

  #wait(): void {
    this.#phase = 'waiting'
    for (const link of this.#links.values()) link.start()
    this.#tellWaiting()
    this.#foundIfAllWait()
  }

  #tellWaiting(): void {
    this.#waitingLog = this.#world.timers.after(WAITING_LOG_US, () => {
      if (this.#phase !== 'waiting') return
      const missing = [...this.#links.values()].filter((link) => link.hello === null).map((link) => link.id)
      this.#world.log.info({ missing }, 'the cluster forms once all configured voters are there and blank')
      this.#tellWaiting()
    })
  }

  #foundIfAllWait(): void {
    if (this.#phase !== 'waiting' || !this.#isFirst()) return
    const links = [...this.#links.values()]
    if (links.some(({ hello }) => hello === null || !hello.blank || hello.clusterId !== '')) return
    const voters = [this.#self, ...links.map((link) => link.peer as VoterId)]
    const clusterId = randomUuid(this.#world.random)
    this.#world.log.info({ clusterId, voters }, 'all configured voters are blank: a new cluster begins')
    this.#beginAsVoter({ clusterId, voters }, true)
  }

  #isFirst(): boolean {
    return [...this.#links.keys()].every((id) => id > this.#config.nodeId)
  }

  /** Somebody tells how the cluster began. A node that waits belongs to it from here on. */
  #meet(formation: Formation): void {
    if (this.#phase !== 'waiting' || !isUuid(formation.clusterId)) return
    const founding = formation.voters.some((voter) => sameVoter(voter, this.#self))
    this.#world.log.info({ clusterId: formation.clusterId, founding }, 'an already formed cluster is met')
    if (founding) this.#beginAsVoter(formation, false)
    // The first write of a node that only joins promises nothing, it just shows that the store was in use.
    else this.#begin(formation, { hardState: { term: 0, votedFor: null } }, false)
  }

  #beginAsVoter(formation: Formation, asFirst: boolean): void {
    const change = { hardState: { term: 1, votedFor: null }, append: [formationEntry(formation)] }
    this.#begin(formation, change, asFirst)
  }

  #begin({ clusterId, voters }: Formation, change: Omit<RaftWrite, 'token'>, asFirst: boolean): void {
    this.#phase = 'beginning'
    this.#waitingLog?.cancel()
    const formation = voters.length > 0 ? { clusterId, voters } : null
    const identity = { directoryId: this.#self.directoryId, clusterId, formation, store: FIRST_STORE }
    this.#store.begin(change, identity, (error) => {
      if (this.#phase !== 'beginning') return
      if (error !== null) return this.#die(error)
      this.#run(identity)
      for (const link of this.#links.values()) this.#tellFormation(link)
      if (asFirst) this.#driver?.step({ kind: 'campaign' })
    })
  }

  #tellFormation(link: PeerLink): void {
    const { clusterId, formation } = this.#identity as Identity
    link.send({ kind: 'formation', clusterId, voters: formation?.voters ?? [] })
  }

  // The running member.

  /** A quorum that cannot elect anybody stops the whole cluster's decisions: who is missing is told until it is mended. */
  #tellLeaderless(): void {
    this.#leaderlessLog = this.#world.timers.after(WAITING_LOG_US, () => {
      const { leader, term, voters } = (this.#driver as RaftDriver).status
      const there = [this.#self, ...this.#connected()]
      const missing = voters.filter((voter) => !there.some((peer) => sameVoter(peer, voter)))
      if (leader === null) this.#world.log.warn({ term, voters, missing }, 'the quorum has no leader')
      this.#tellLeaderless()
    })
  }

  #run(identity: Identity): void {
    const starting = this.#phase === 'loading'
    this.#phase = 'running'
    this.#identity = identity
    const driver = new RaftDriver({
      world: this.#world,
      config: this.#config,
      listener: this.#listener,
      self: this.#self,
      clusterId: identity.clusterId,
      store: this.#store,
      files: this.#files,
      send: (to, message) => this.#send(to, message),
      connected: () => this.#connected(),
      wantSnapshot: (source) => this.#fetch.want(source),
      failed: (error) => this.#die(error),
    })
    this.#driver = driver
    if (identity.clusterId !== this.#config.clusterId) this.#listener.clusterId(identity.clusterId)
    driver.start()
    this.#tellLeaderless()
    if (starting) for (const link of this.#links.values()) link.start()
    driver.membersChanged()
    const early = this.#early
    this.#early = []
    for (const { from, frame } of early) this.#frame(from, frame)
    if (this.#links.size === 0) driver.step({ kind: 'campaign' })
  }

  #connected(): readonly VoterId[] {
    const known = [...this.#links.values()].filter(({ hello }) => hello !== null && !hello.blank)
    return known.map((link) => link.peer as VoterId)
  }

  #send(to: VoterId, message: RaftMessage): void {
    const link = this.#links.get(to.id)
    if (link !== undefined && sameVoter(link.peer, to)) link.send(message)
  }

  #up(link: PeerLink): void {
    const peer = link.peer as VoterId
    this.#world.log.info({ peer: peer.id, directoryId: peer.directoryId }, 'a quorum peer is connected')
    if (this.#driver === null) return this.#foundIfAllWait()
    // Always: the peer may be blank, and it may have dialled while this node still was.
    this.#tellFormation(link)
    this.#driver.membersChanged()
    this.#hurryFirstElection(this.#driver)
  }

  /** After a start nobody need wait for a timeout: as soon as a majority is there, the members roll dice for who asks first. */
  #hurryFirstElection(driver: RaftDriver): void {
    const { voters } = driver.status
    const there = voters.filter((voter) => this.#connected().some((peer) => sameVoter(peer, voter))).length + 1
    if (this.#hurried || there <= voters.length / 2) return
    this.#hurried = true
    this.#world.timers.after(this.#world.random.below(FIRST_ELECTION_US), () => {
      if (this.#phase === 'running' && driver.status.leader === null) driver.step({ kind: 'campaign' })
    })
  }

  #down(peer: VoterId): void {
    this.#world.log.info({ peer: peer.id }, 'the connection to a quorum peer ended')
    this.#driver?.step({ kind: 'connectionBroken', peer })
    this.#driver?.membersChanged()
  }

  #frame(from: VoterId, frame: RaftFrame): void {
    if (this.#driver === null) {
      if (frame.kind === 'formation') this.#meet(frame)
      else if (this.#phase === 'beginning' && this.#early.length < MAX_EARLY_FRAMES) this.#early.push({ from, frame })
      return
    }
    this.#hasBegun(from)
    if (frame.kind === 'formation') return
    if (frame.kind === 'appendReply') this.#times.heard(from)
    this.#driver.step({ kind: 'message', from, message: frame })
  }

  /** A peer that speaks is blank no more, whatever its hello said: only members that began tell anything. */
  #hasBegun(from: VoterId): void {
    const link = this.#links.get(from.id)
    if (link?.hello?.blank !== true) return
    link.noLongerBlank()
    this.#driver?.membersChanged()
  }
}
