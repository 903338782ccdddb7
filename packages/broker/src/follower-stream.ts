import type { Address, Logger, PeerHandler, Peers, PeerStream, Random, Timer, Timers } from '@millrace/base'
import type { FromLeader, PartitionMessage } from '@millrace/replication'
import {
  type Ack,
  type AppendMessage,
  type Follow,
  FollowerFrame,
  Hello,
  LeaderFrame,
  RpcDecodeError,
  type TypeOf,
} from '@millrace/rpc'
import { Backoff } from './backoff.ts'
import type { FollowedSession } from './inbound.ts'
import { LargeBatches } from './large-batches.ts'
import type { BrokerReplica } from './replica.ts'

type MessageOf<K extends PartitionMessage['kind']> = Extract<PartitionMessage, { kind: K }>
export type ToLeader = MessageOf<'follow' | 'unfollow' | 'ack'>

/** Of each kind in one frame: a broker that starts follows all of its partitions at once. */
const MOST_MESSAGES = 20_000

/** What the follower's side of the streams needs of its broker. */
export interface FollowerStreamHost {
  readonly peers: Peers
  readonly timers: Timers
  readonly random: Random
  readonly log: Logger
  /** This broker's own hello for the lane, or null while it may not replicate. */
  hello(): Hello | null
  /** Where the leader is reached; null when the image does not know it. */
  addressOf(brokerId: number): Address | null
  /** The replicas that follow that leader. */
  followersOf(brokerId: number): readonly BrokerReplica[]
  wantsFlush(stream: FollowerStream): void
}

interface Session extends FollowedSession {
  readonly replica: BrokerReplica
}

/**
 * The follower's side of the stream to one leader, for all partitions that it leads. It reopens by a timer with backoff; the machines
 * are told when it opens and when it breaks, and begin new sessions.
 */
export class FollowerStream {
  readonly leaderId: number
  private readonly host: FollowerStreamHost
  private readonly log: Logger
  private readonly backoff: Backoff
  private stream: PeerStream | null = null
  /** Which stream's events count: those of an earlier one may still arrive. */
  private connection = 0
  private isOpen = false
  private blocked = false
  private ended = false
  private flushWanted = false
  private timer: Timer | null = null
  private readonly sessions = new Map<number, Session>()
  private readonly newest = new Map<BrokerReplica, number>()
  private readonly largeBatches = new LargeBatches()
  private unfollows: { session: number }[] = []
  private readonly follows = new Map<number, TypeOf<typeof Follow>>()
  private readonly acks = new Map<number, TypeOf<typeof Ack>>()

  constructor(host: FollowerStreamHost, leaderId: number) {
    this.host = host
    this.leaderId = leaderId
    this.log = host.log.child({ leader: leaderId })
    this.backoff = new Backoff(host.random)
  }

  /** Dials unless a stream is there or on its way. */
  dial(): void {
    if (this.ended || this.stream !== null) return
    this.timer?.cancel()
    this.timer = null
    const hello = this.host.hello()
    const address = this.host.addressOf(this.leaderId)
    if (hello === null || address === null) return this.later()
    this.stream = this.host.peers.open(address, 'replication', Hello.encode(hello), this.handler(++this.connection))
  }

  /** The leader came back, or moved: no reason to wait, nor to wait for a stream that leads elsewhere. */
  dialAnew(reason: string): void {
    this.backoff.reset()
    this.hangUp(reason)
    this.dial()
  }

  end(reason: string): void {
    if (this.ended) return
    this.flush()
    this.ended = true
    this.hangUp(reason)
    this.timer?.cancel()
  }

  /** What a machine says to its leader. Dropped while the stream is not open: the machine follows anew once it is. */
  message(replica: BrokerReplica, message: ToLeader): void {
    if (!this.isOpen) return
    if (message.kind === 'follow') this.follow(replica, message)
    else if (message.kind === 'unfollow') this.unfollow(replica, message.session)
    else if (this.sessions.has(message.session)) {
      const { session, durableEnd, logStart } = message
      this.acks.set(session, { session, durableEnd, logStart })
    }
    this.wake()
  }

  /** The replica is gone. */
  forget(replica: BrokerReplica): void {
    const session = this.newest.get(replica)
    if (session === undefined) return
    this.unfollow(replica, session)
    this.wake()
  }

  /** End of the turn: everything of this turn in one frame. */
  flush(): void {
    this.flushWanted = false
    if (!this.isOpen || this.blocked || this.stream === null) return
    if (this.unfollows.length === 0 && this.follows.size === 0 && this.acks.size === 0) return
    const unfollow = this.unfollows
    const follow = [...this.follows.values()]
    const ack = [...this.acks.values()]
    this.unfollows = []
    this.follows.clear()
    this.acks.clear()
    const most = Math.max(unfollow.length, follow.length, ack.length)
    for (let from = 0; from < most; from += MOST_MESSAGES) {
      const some = <T>(all: readonly T[]): readonly T[] => all.slice(from, from + MOST_MESSAGES)
      const frame = { unfollow: some(unfollow), follow: some(follow), ack: some(ack) }
      this.blocked = !this.stream.send(FollowerFrame.encode(frame))
    }
  }

  private handler(connection: number): PeerHandler {
    const current = (): boolean => connection === this.connection && this.stream !== null
    return {
      opened: (hello) => void (current() && this.opened(hello)),
      frame: (bytes) => void (current() && this.isOpen && this.received(bytes)),
      drained: () => {
        if (!current()) return
        this.blocked = false
        this.wake()
      },
      closed: (why, detail) => {
        if (!current()) return
        // A dial that failed is told once, when the stream that was there broke.
        this.log[this.isOpen ? 'info' : 'debug']({ why, detail }, 'leader stream closed')
        this.lost()
        this.later()
      },
    }
  }

  private opened(bytes: Uint8Array): void {
    const problem = this.helloProblem(bytes)
    if (problem !== null) {
      this.log.warn({ problem }, 'leader stream not usable')
      this.hangUp(problem)
      return this.later()
    }
    this.isOpen = true
    this.log.info({}, 'leader stream open')
    for (const replica of this.host.followersOf(this.leaderId))
      replica.step({ kind: 'peerOpened', peer: this.leaderId })
  }

  private received(bytes: Uint8Array): void {
    let frame: LeaderFrame
    try {
      frame = LeaderFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      return this.violated(error)
    }
    for (const { session, code } of frame.refused) this.deliver({ kind: 'refused', session, code })
    for (const { session, epoch, endOffset } of frame.diverging)
      this.deliver({ kind: 'diverging', session, epoch, endOffset })
    for (const { session, leaderEpoch, highWatermark, logStart } of frame.accepted) {
      this.backoff.reset()
      this.deliver({ kind: 'accepted', session, leaderEpoch, highWatermark, logStart })
    }
    for (const append of frame.append) {
      const session = this.sessions.get(append.session)
      const problem = session === undefined ? null : this.append(session, append)
      if (session !== undefined && problem !== null) this.reject(session, problem)
    }
    for (const { session, highWatermark, logStart } of frame.progress)
      this.deliver({ kind: 'progress', session, highWatermark, logStart })
  }

  private append(session: Session, message: TypeOf<typeof AppendMessage>): string | null {
    const whole = this.largeBatches.take(message)
    if (whole === null || typeof whole === 'string') return whole
    return session.replica.stageInbound(session, whole)
  }

  private deliver(message: FromLeader): void {
    this.sessions.get(message.session)?.replica.fromLeader(this.leaderId, message)
  }

  private follow(replica: BrokerReplica, message: MessageOf<'follow'>): void {
    this.drop(replica)
    const { leaderEpoch, session, endOffset, lastEpoch, logStart } = message
    const { topicId, partition } = replica
    this.sessions.set(session, { replica, leader: this.leaderId, session, leaderEpoch })
    this.newest.set(replica, session)
    this.follows.set(session, { topicId, partition, leaderEpoch, session, endOffset, lastEpoch, logStart })
  }

  private unfollow(replica: BrokerReplica, session: number): void {
    // A Follow that was not sent yet needs no Unfollow.
    if (!this.follows.has(session)) this.unfollows.push({ session })
    if (this.newest.get(replica) === session) this.drop(replica)
  }

  private drop(replica: BrokerReplica): void {
    const session = this.newest.get(replica)
    if (session === undefined) return
    this.newest.delete(replica)
    this.sessions.delete(session)
    this.largeBatches.forget(session)
    this.follows.delete(session)
    this.acks.delete(session)
  }

  /** Nothing of a session that sent bad batches is taken any more. The other partitions of the stream go on. */
  private reject(session: Session, problem: string): void {
    const { replica, session: number, leaderEpoch: epoch } = session
    const { topic, partition } = replica
    this.log.error({ topic, partition, epoch, problem }, 'leader sent batches that cannot be appended')
    this.unfollow(replica, number)
    this.wake()
    replica.fromLeader(this.leaderId, { kind: 'refused', session: number, code: 'retry' })
  }

  private violated(error: RpcDecodeError): void {
    this.log.error({ error }, 'leader sent a frame that is none')
    this.hangUp('protocol violation')
    this.later()
  }

  private helloProblem(bytes: Uint8Array): string | null {
    let hello: Hello
    try {
      hello = Hello.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      return error.message
    }
    const own = this.host.hello()
    if (own === null) return 'this broker may not replicate now'
    if (hello.clusterId !== own.clusterId) return `another cluster: ${hello.clusterId}`
    return hello.nodeId === this.leaderId ? null : `another node: ${hello.nodeId}`
  }

  private hangUp(reason: string): void {
    const stream = this.stream
    this.lost()
    stream?.close(reason)
  }

  /** The stream is gone, and with it every session. */
  private lost(): void {
    const wasOpen = this.isOpen
    this.stream = null
    this.isOpen = false
    this.blocked = false
    this.sessions.clear()
    this.largeBatches.clear()
    this.newest.clear()
    this.unfollows = []
    this.follows.clear()
    this.acks.clear()
    if (!wasOpen) return
    for (const replica of this.host.followersOf(this.leaderId)) {
      replica.flushInbound()
      replica.step({ kind: 'peerClosed', peer: this.leaderId })
    }
  }

  private later(): void {
    if (this.ended || this.timer !== null) return
    this.timer = this.host.timers.after(this.backoff.nextUs(), () => {
      this.timer = null
      this.dial()
    })
  }

  private wake(): void {
    if (this.flushWanted || !this.isOpen) return
    this.flushWanted = true
    this.host.wantsFlush(this)
  }
}
