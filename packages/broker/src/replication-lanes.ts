import type { Accepted, Address, Clock, Lane, Logger, Peers, PeerStream, Random, Refusal, Timers } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import type { PartitionMessage } from '@millrace/replication'
import { Hello } from '@millrace/rpc'
import { FollowerStream, type FollowerStreamHost } from './follower-stream.ts'
import { LeaderStream, type LeaderStreamHost } from './leader-stream.ts'
import { PEER_LISTENER } from './listener-names.ts'
import type { BrokerCounters } from './metrics.ts'
import type { PartitionLines } from './partition-lines.ts'
import type { BrokerReplica } from './replica.ts'
import { ReplicationThrottle } from './replication-throttle.ts'

export interface ReplicationLanesHost {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly peers: Peers
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly lines: PartitionLines
  readonly image: ClusterImage
  readonly brokerId: number
  /** This broker's hello for the lane; null before its own registration is applied, and after the end. */
  replicationHello(): Hello | null
  serving(): boolean
  local(topicId: string, partition: number): BrokerReplica | null
  replicas(): Iterable<BrokerReplica>
  schedule(): void
}

interface Dialled {
  readonly stream: FollowerStream
  /** Replicas that follow this leader. */
  count: number
  /** The incarnation and the place that the stream was opened to. */
  peer: string
}

/** The replication streams of this broker, one for each ordered pair: those to its leaders and those of its followers. */
export class ReplicationLanes implements FollowerStreamHost, LeaderStreamHost {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly peers: Peers
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly lines: PartitionLines
  readonly throttle: ReplicationThrottle
  private readonly host: ReplicationLanesHost
  private readonly leaders = new Map<number, Dialled>()
  private readonly followers = new Map<number, LeaderStream>()
  private leaderFlushes: LeaderStream[] = []
  private followerFlushes: FollowerStream[] = []
  private unneeded = false

  constructor(host: ReplicationLanesHost) {
    this.host = host
    this.clock = host.clock
    this.timers = host.timers
    this.random = host.random
    this.peers = host.peers
    this.log = host.log
    this.counters = host.counters
    this.lines = host.lines
    this.throttle = new ReplicationThrottle(host)
  }

  /** Streams of followers and to leaders, for metrics. */
  get counts(): { readonly toLeaders: number; readonly ofFollowers: number; readonly inFlightBytes: number } {
    let inFlightBytes = 0
    for (const stream of this.followers.values()) inFlightBytes += stream.inFlightBytes
    return { toLeaders: this.leaders.size, ofFollowers: this.followers.size, inFlightBytes }
  }

  // The streams of followers.

  /** A follower opens its stream. */
  accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    const own = this.host.replicationHello()
    if (own === null) return { refused: 'this broker is not registered yet' }
    const problem = this.helloProblem(hello, lane, own)
    if (problem !== null) {
      this.log.warn({ follower: hello.nodeId, problem }, 'follower stream refused')
      return { refused: problem }
    }
    this.followers.get(hello.nodeId)?.close('a newer stream of this follower')
    const accepted = new LeaderStream(this, hello, stream)
    this.followers.set(hello.nodeId, accepted)
    this.log.info({ follower: hello.nodeId, brokerEpoch: hello.brokerEpoch }, 'follower stream open')
    return { hello: Hello.encode(own), handler: accepted }
  }

  streamEnded(stream: LeaderStream): void {
    if (this.followers.get(stream.brokerId) === stream) this.followers.delete(stream.brokerId)
  }

  replica(topicId: string, partition: number): BrokerReplica | null {
    return this.host.local(topicId, partition)
  }

  serving(): boolean {
    return this.host.serving()
  }

  // The streams to leaders.

  hello(): Hello | null {
    return this.host.replicationHello()
  }

  addressOf(brokerId: number): Address | null {
    const endpoint = this.host.image.brokers.get(brokerId)?.endpoints.find(({ name }) => name === PEER_LISTENER)
    return endpoint === undefined ? null : { host: endpoint.host, port: endpoint.port }
  }

  followersOf(brokerId: number): readonly BrokerReplica[] {
    const found: BrokerReplica[] = []
    for (const replica of this.host.replicas())
      if (replica.followedLeader === brokerId && replica.machine.role === 'follower') found.push(replica)
    return found
  }

  /** The replica's machine may have changed its role or its leader. */
  follows(replica: BrokerReplica): void {
    const leader = replica.machine.role === 'follower' && replica.outOfService === 0 ? replica.image.leader : -1
    const before = replica.followedLeader
    if (leader === before) return
    replica.followedLeader = leader
    if (before !== -1) this.release(replica, before)
    if (leader !== -1) this.retain(leader)
  }

  /** Brokers came, went or moved. */
  brokersChanged(brokers: Iterable<number>): void {
    for (const id of brokers) {
      const epoch = this.host.image.brokers.get(id)?.epoch ?? -1
      const follower = this.followers.get(id)
      if (follower !== undefined && follower.brokerEpoch < epoch) follower.close('another incarnation is registered')
      const dialled = this.leaders.get(id)
      if (dialled === undefined || dialled.peer === this.peerOf(id)) continue
      dialled.peer = this.peerOf(id)
      dialled.stream.dialAnew('another incarnation is registered')
    }
  }

  /** What a machine says to another replica. */
  send(replica: BrokerReplica, message: PartitionMessage): void {
    switch (message.kind) {
      case 'follow':
      case 'unfollow':
      case 'ack':
        return this.leaders.get(message.to)?.stream.message(replica, message)
      default:
        return this.followers.get(message.to)?.message(replica, message)
    }
  }

  wantsFlush(stream: LeaderStream | FollowerStream): void {
    if (stream instanceof LeaderStream) this.leaderFlushes.push(stream)
    else this.followerFlushes.push(stream)
    this.host.schedule()
  }

  /** End of the turn: one frame, or a few, for every peer that there is something for. */
  flush(): void {
    const leaderStreams = this.leaderFlushes
    const followerStreams = this.followerFlushes
    this.leaderFlushes = []
    this.followerFlushes = []
    for (const stream of leaderStreams) stream.flush()
    for (const stream of followerStreams) stream.flush()
    if (this.unneeded) this.endUnneeded()
  }

  /** All streams begin anew: this broker has another epoch. */
  restart(): void {
    for (const stream of this.followers.values()) stream.close('this broker registered anew')
    for (const { stream } of this.leaders.values()) stream.dialAnew('this broker registered anew')
  }

  end(reason: string): void {
    for (const { stream } of this.leaders.values()) stream.end(reason)
    this.leaders.clear()
    for (const stream of this.followers.values()) stream.close(reason)
  }

  private helloProblem(hello: Hello, lane: Lane, own: Hello): string | null {
    if (lane !== 'replication') return `replication does not use the ${lane} lane`
    if (hello.clusterId !== own.clusterId) return `another cluster: ${hello.clusterId}`
    if (hello.nodeId === own.nodeId) return 'a stream of this node to itself'
    const known = this.host.image.brokers.get(hello.nodeId)
    const epoch = Math.max(known?.epoch ?? -1, this.followers.get(hello.nodeId)?.brokerEpoch ?? -1)
    if (hello.brokerEpoch < 0 || hello.brokerEpoch < epoch)
      return `broker epoch ${hello.brokerEpoch} is over, it is ${epoch} now`
    if (known?.epoch === hello.brokerEpoch && known.incarnationId !== hello.incarnationId)
      return 'another incarnation has this broker epoch'
    return null
  }

  private retain(leader: number): void {
    const dialled = this.leaders.get(leader)
    if (dialled !== undefined) {
      dialled.count++
      return
    }
    const stream = new FollowerStream(this, leader)
    this.leaders.set(leader, { stream, count: 1, peer: this.peerOf(leader) })
    stream.dial()
  }

  private release(replica: BrokerReplica, leader: number): void {
    const dialled = this.leaders.get(leader)
    if (dialled === undefined) return
    dialled.stream.forget(replica)
    if (--dialled.count > 0) return
    this.unneeded = true
    this.host.schedule()
  }

  private endUnneeded(): void {
    this.unneeded = false
    for (const [leader, { stream, count }] of this.leaders) {
      if (count > 0) continue
      this.leaders.delete(leader)
      stream.end('nothing is followed there any more')
    }
  }

  private peerOf(id: number): string {
    const broker = this.host.image.brokers.get(id)
    const address = this.addressOf(id)
    return broker === undefined ? '' : `${broker.epoch} ${address?.host}:${address?.port}`
  }
}
