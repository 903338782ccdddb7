import { type Clock, ErrorCode, type Logger, type PeerHandler, type PeerStream, type Timers } from '@millrace/base'
import { type Follow, FollowerFrame, type Hello, RpcDecodeError, type TypeOf } from '@millrace/rpc'
import { OutgoingFrame, type ToFollower } from './leader-frame.ts'
import type { BrokerCounters } from './metrics.ts'
import type { PartitionLines } from './partition-lines.ts'
import type { BrokerReplica } from './replica.ts'
import { SendQueue, type SendQueueHost, type SendThrottle } from './send-queue.ts'
import { SendSession, type SessionCarrier } from './send-session.ts'

/** What the leader's side of the streams needs of its broker. */
export interface LeaderStreamHost {
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly throttle: SendThrottle
  readonly lines: PartitionLines
  /** Whether this broker may act as a leader at all. */
  serving(): boolean
  replica(topicId: string, partition: number): BrokerReplica | null
  /** The stream has something to send at the end of the turn. */
  wantsFlush(stream: LeaderStream): void
  streamEnded(stream: LeaderStream): void
}

/**
 * The leader's side of one follower's stream. Everything for that follower goes out together at the end of a turn, in frames of at most
 * about 1 MiB of batches.
 */
export class LeaderStream implements PeerHandler, SessionCarrier, SendQueueHost {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly throttle: SendThrottle
  private readonly host: LeaderStreamHost
  private readonly stream: PeerStream
  /** The partition of every session that the follower began, and the newest session of every partition. */
  private readonly replicas = new Map<number, BrokerReplica>()
  private readonly newest = new Map<BrokerReplica, number>()
  private readonly sessions = new Map<number, SendSession>()
  private readonly queue = new SendQueue(this)
  private readonly outgoing = new OutgoingFrame()
  private flushWanted = false
  private blocked = false
  private over = false

  constructor(host: LeaderStreamHost, hello: Hello, stream: PeerStream) {
    this.host = host
    this.clock = host.clock
    this.timers = host.timers
    this.counters = host.counters
    this.throttle = host.throttle
    this.brokerId = hello.nodeId
    this.brokerEpoch = hello.brokerEpoch
    this.log = host.log.child({ follower: hello.nodeId })
    this.stream = stream
  }

  get inFlightBytes(): number {
    return this.queue.inFlightBytes
  }

  // What the follower sends.

  opened(): void {}

  frame(bytes: Uint8Array): void {
    if (this.over) return
    let frame: FollowerFrame
    try {
      frame = FollowerFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      this.log.error({ error }, 'follower sent a frame that is none')
      return this.close('protocol violation')
    }
    this.counters.followerFrames++
    for (const { session } of frame.unfollow) this.unfollow(session)
    for (const follow of frame.follow) this.follow(follow)
    for (const { session, durableEnd, logStart } of frame.ack) this.ack(session, durableEnd, logStart)
  }

  drained(): void {
    this.blocked = false
    this.wake()
  }

  closed(why: string, detail: string): void {
    if (this.over) return
    this.log.info({ why, detail }, 'follower stream closed')
    this.finish()
  }

  close(reason: string): void {
    if (this.over) return
    this.finish()
    this.stream.close(reason)
  }

  // What the machines answer.

  message(replica: BrokerReplica, message: ToFollower): void {
    if (this.over || this.replicas.get(message.session) !== replica) return
    this.outgoing.addMessage(message)
    this.wake()
    if (message.kind === 'accepted') this.accepted(replica, message.session)
    else if (message.kind !== 'progress') this.forget(message.session)
  }

  wants(session: SendSession): void {
    this.queue.add(session)
  }

  ended(session: SendSession): void {
    this.sessions.delete(session.session)
    const at = session.replica.sessions.indexOf(session)
    if (at >= 0) session.replica.sessions.splice(at, 1)
    this.queue.end(session)
  }

  /** The log no longer holds what the follower needs next: told where it begins now, it follows anew. */
  belowLog(session: SendSession): void {
    const { replica, brokerId: to } = session
    const { topic, partition, machine, log } = replica
    this.log.info({ topic, partition, offset: session.next, logStart: log.logStart }, 'follower is below the log')
    this.outgoing.addMessage({
      kind: 'progress',
      to,
      session: session.session,
      highWatermark: machine.highWatermark,
      logStart: log.logStart,
    })
    this.ended(session)
    this.wake()
  }

  wake(): void {
    if (this.flushWanted || this.over) return
    this.flushWanted = true
    this.host.wantsFlush(this)
  }

  /**
   * End of the turn. Sends all that may be sent, so that whatever is left waits for an acknowledgement, a read or the stream, each of
   * which wakes it again.
   */
  flush(): void {
    while (!this.blocked && !this.over) {
      this.queue.fill(this.outgoing)
      if (this.outgoing.empty) break
      for (const frame of this.outgoing.take()) {
        this.counters.leaderFrames++
        this.blocked = !this.stream.sendParts(frame)
      }
    }
    this.flushWanted = false
  }

  private follow(follow: TypeOf<typeof Follow>): void {
    const { session, topicId, partition, leaderEpoch, endOffset, lastEpoch, logStart } = follow
    const replica = this.host.serving() ? this.host.replica(topicId, partition) : null
    if (replica === null) return this.refuse(session)
    const earlier = this.newest.get(replica)
    if (earlier !== undefined) this.forget(earlier)
    this.replicas.set(session, replica)
    this.newest.set(replica, session)
    const { brokerId: from, brokerEpoch } = this
    replica.step({ kind: 'follow', from, brokerEpoch, leaderEpoch, session, endOffset, lastEpoch, logStart })
  }

  private unfollow(session: number): void {
    const replica = this.replicas.get(session)
    if (replica === undefined) return
    this.forget(session)
    replica.step({ kind: 'unfollow', from: this.brokerId, session })
  }

  private ack(session: number, durableEnd: number, logStart: number): void {
    const replica = this.replicas.get(session)
    if (replica === undefined || replica.outOfService !== ErrorCode.NONE) return this.refuse(session)
    const sending = this.sessions.get(session)
    // A follower that claims more than it was sent is in error, and nothing of it counts.
    if (sending !== undefined && durableEnd > sending.next) {
      const { topic, partition } = replica
      this.log.error({ topic, partition, durableEnd, sent: sending.next }, 'follower acknowledged what it was not sent')
      return this.close('protocol violation')
    }
    if (sending !== undefined) this.queue.acked(sending, durableEnd)
    replica.step({ kind: 'ack', from: this.brokerId, session, durableEnd, logStart })
    replica.followerMoved()
  }

  private refuse(session: number): void {
    this.outgoing.addMessage({ kind: 'refused', to: this.brokerId, session, code: 'retry' })
    this.wake()
  }

  private accepted(replica: BrokerReplica, session: number): void {
    const { brokerId } = this
    const follower = replica.machine.followers.find((each) => each.brokerId === brokerId && each.session === session)
    if (follower === undefined) return
    const sending = new SendSession(replica, this, brokerId, session, follower.acceptedEnd)
    this.sessions.set(session, sending)
    replica.sessions.push(sending)
    this.host.lines.info(
      { follower: brokerId, topic: replica.topic, partition: replica.partition, from: follower.acceptedEnd },
      'follower accepted',
    )
    if (sending.next < replica.log.endOffset) this.queue.add(sending)
  }

  private forget(session: number): void {
    const replica = this.replicas.get(session)
    if (replica === undefined) return
    this.replicas.delete(session)
    if (this.newest.get(replica) === session) this.newest.delete(replica)
    const sending = this.sessions.get(session)
    if (sending !== undefined) this.ended(sending)
  }

  private finish(): void {
    this.over = true
    const replicas = [...this.newest.keys()]
    for (const session of this.replicas.keys()) this.forget(session)
    this.host.streamEnded(this)
    for (const replica of replicas)
      if (replica.machine.role === 'leader') replica.step({ kind: 'peerClosed', peer: this.brokerId })
  }
}
