import { assert } from '@millrace/base'
import type { Accepted, Done, Lane, PeerHandler, PeerStream, Properties, Refusal, Uuid, World } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { RaftView } from '@millrace/raft'
import { ControllerFrame, Hello } from '@millrace/rpc'
import { ActiveController } from './active-controller.ts'
import { Committed } from './committed.ts'
import type { LivenessConfig } from './liveness.ts'
import { createQuorum } from './quorum/quorum.ts'
import type { Leadership, Quorum, QuorumConfig, QuorumListener, QuorumStatus } from './quorum/types.ts'

/** How a controller is set up. Times in milliseconds. */
export interface ControllerConfig {
  readonly quorum: QuorumConfig
  /** server.properties as text: the defaults of topics, and what the controller itself may do. */
  readonly properties: Properties
  /** `broker.session.timeout.ms`: a broker that says nothing for so long is fenced. */
  readonly sessionTimeoutMs: number
  /** A broker whose stream broke may come back in this time before it is asked for again; 300 unless given. */
  readonly graceMs?: number
  /** A new controller leaves brokers this time to open their streams; 1000 unless given. */
  readonly takeoverMs?: number
  /** The cluster formed or was met: keep its id with the node's folders. Called again for the same id after a restart. */
  readonly clusterFormed: (clusterId: Uuid) => void
}

export type QuorumFactory = (world: World, config: QuorumConfig, listener: QuorumListener) => Quorum

/** The controller role of a node: a member of the quorum that decides while it leads, and always answers who does. */
export interface Controller {
  start(): void
  /** A stream with purpose `raft`, `snapshot` or `broker`, from the node's peer listener. */
  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal
  /** What is committed, as this node has it. Read-only. */
  readonly image: ClusterImage
  readonly status: QuorumStatus
  /** This node's member of the quorum as it is now, for checks; null before it knows who it is. */
  readonly raft: RaftView | null
  /** This node leads and decides. */
  readonly active: boolean
  /** Hands leadership on first. */
  stop(done: Done<void>): void
}

/** Inter-node protocol version of this software. */
export const PROTOCOL_VERSION = 1
/** How long a refused proposal is waited out when the quorum still takes this node for its leader. */
const TRY_AGAIN_US = 100_000

/**
 * A node's controller role. Nothing happens before `start`. A committed entry that cannot be applied ends the node by `world.fatal`. A
 * test may give a quorum of its own.
 */
export function createController(
  world: World,
  config: ControllerConfig,
  makeQuorum: QuorumFactory = createQuorum,
): Controller {
  return new ControllerNode(world, config, makeQuorum)
}

class ControllerNode implements Controller, QuorumListener {
  private readonly world: World
  private readonly config: ControllerConfig
  private readonly quorum: Quorum
  private readonly state = new Committed()
  private acting: ActiveController | null = null
  private leading: Leadership = { kind: 'other', term: 0, leader: null }
  /** Who led before, as far as this node knows; an election in between has no leader. */
  private previousLeader: number | null = null
  private stopped = false

  constructor(world: World, config: ControllerConfig, makeQuorum: QuorumFactory) {
    this.world = world
    this.config = config
    this.quorum = makeQuorum(world, config.quorum, this)
  }

  get image(): ClusterImage {
    return this.state.image
  }

  get status(): QuorumStatus {
    return this.quorum.status
  }

  get raft(): RaftView | null {
    return this.quorum.raft
  }

  get active(): boolean {
    return this.acting !== null
  }

  start(): void {
    this.quorum.start()
  }

  stop(done: Done<void>): void {
    this.stopped = true
    this.retire(null)
    this.quorum.stop(done)
  }

  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    if (hello.purpose === 'raft' || hello.purpose === 'snapshot') return this.quorum.accept(hello, lane, stream)
    if (hello.purpose !== 'broker') return { refused: `a controller takes no stream for ${hello.purpose}` }
    if (hello.version < PROTOCOL_VERSION)
      return { refused: `inter-node protocol ${hello.version} is too old; this node speaks ${PROTOCOL_VERSION}` }
    const { clusterId } = this.quorum
    if (hello.clusterId !== '' && clusterId !== null && hello.clusterId !== clusterId)
      return { refused: `this is cluster ${clusterId}, not ${hello.clusterId}` }
    const handler = this.acting?.accept(hello, stream) ?? this.sendAway(stream)
    return { hello: this.ownHello(), handler }
  }

  clusterId(id: Uuid): void {
    this.config.clusterFormed(id)
  }

  committed(index: number, term: number, payload: Uint8Array): void {
    // An entry of a later term has the place of one that this node proposed: it was deposed before it was told.
    if (this.acting !== null && term > this.acting.term) this.retire(null)
    this.guarded(() => {
      assert(this.acting === null || term === this.acting.term, 'a leader has everything of the terms before its own')
      this.state.apply(index, term, payload)
    })
    this.acting?.committed(index)
  }

  restore(snapshot: Uint8Array, index: number, term: number): void {
    this.guarded(() => this.state.restore(snapshot, index, term))
  }

  takeSnapshot(): Uint8Array {
    return this.state.snapshot()
  }

  leadership(next: Leadership): void {
    this.leading = next
    if (next.kind === 'other' && next.leader !== null) this.previousLeader = next.leader
    if (this.stopped) return
    if (next.kind === 'leader') this.takeOver(next.term)
    else this.retire(next.leader)
  }

  private takeOver(term: number): void {
    const { clusterId } = this.quorum
    if (this.acting?.term === term) return
    this.retire(null)
    if (clusterId === null) return
    this.world.log.info({ term, index: this.state.index }, 'this controller leads')
    this.acting = new ActiveController({
      world: this.world,
      quorum: this.quorum,
      committed: this.state,
      properties: this.config.properties,
      liveness: this.livenessConfig(),
      voters: this.config.quorum.voters,
      clusterId,
      term,
      previousLeader: this.previousLeader,
      rejected: () => this.rejected(term),
    })
    this.previousLeader = null
    this.acting.start()
  }

  /** What is committed applies: software that cannot is older than what wrote it, or wrong. */
  private guarded(change: () => void): void {
    try {
      change()
    } catch (error) {
      this.world.fatal('broken-invariant', error)
    }
  }

  private livenessConfig(): LivenessConfig {
    const { sessionTimeoutMs, graceMs = 300, takeoverMs = 1000 } = this.config
    return { sessionTimeoutMs, graceMs, takeoverMs }
  }

  /** Discards what was decided and is not committed; the brokers look for the leader. */
  private retire(leader: number | null): void {
    if (this.acting === null) return
    const { acting } = this
    this.acting = null
    this.world.log.info({ term: acting.term, leader }, 'this controller no longer leads')
    acting.end(leader, Math.max(acting.term, this.leading.term))
  }

  /**
   * The quorum took no entry. Mostly it leads no more and says so next; where it still leads, the decisions so far are discarded, and
   * this node starts anew from what is committed once nothing of its own is on the way.
   */
  private rejected(term: number): void {
    this.retire(null)
    this.world.timers.after(TRY_AGAIN_US, () => {
      if (this.stopped || this.acting !== null || this.leading.kind !== 'leader' || this.leading.term !== term) return
      const { voters, commitIndex } = this.quorum.status
      const end = voters.find(({ id }) => id === this.config.quorum.nodeId)?.logEnd ?? 0
      if (commitIndex + 1 < end) this.rejected(term)
      else this.takeOver(term)
    })
  }

  private sendAway(stream: PeerStream): PeerHandler {
    const { leading } = this
    const leader = leading.kind === 'leader' ? null : leading.leader
    this.world.timers.endOfTurn(() => {
      stream.send(ControllerFrame.encode({ kind: 'notLeader', leaderId: leader ?? -1, term: leading.term }))
      stream.close('this controller does not lead')
    })
    return { opened: () => {}, frame: () => {}, drained: () => {}, closed: () => {} }
  }

  private ownHello(): Uint8Array {
    const { quorum, config, leading } = this
    const leader = leading.kind === 'leader' ? config.quorum.nodeId : leading.leader
    return Hello.encode({
      purpose: 'broker',
      clusterId: quorum.clusterId ?? '',
      nodeId: config.quorum.nodeId,
      incarnationId: '',
      brokerEpoch: -1,
      version: PROTOCOL_VERSION,
      blank: false,
      voters: [],
      leaderId: leader,
      term: leading.term,
    })
  }
}
