import { ErrorCode, type PeerStream } from '@millrace/base'
import { setBaseOffset, setLeaderEpoch } from '@millrace/records'
import { FollowerFrame, Hello, LeaderFrame } from '@millrace/rpc'
import { describe, expect, it } from 'vitest'
import type { BrokerReplica } from '../src/replica.ts'
import { batchOf, Cluster, eventually, sleep } from './cluster.ts'
import { CLUSTER } from './fake-controller.ts'

type Follow = FollowerFrame['follow'][number]
const EMPTY: LeaderFrame = { refused: [], diverging: [], accepted: [], append: [], progress: [] }

/** A leader that says what a test wants, in the place of broker 2. */
class FakeLeader {
  readonly follows: Follow[] = []
  readonly acks: FollowerFrame['ack'][number][] = []
  readonly unfollowed: number[] = []
  streams = 0
  stream: PeerStream | null = null
  clusterId = CLUSTER

  constructor(cluster: Cluster) {
    const { controller, network } = cluster
    controller.decide({
      kind: 'registerBroker',
      brokerId: 2,
      incarnationId: 'AAAAAAAAAAAAAAAAAAAABg',
      rack: null,
      endpoints: [{ name: 'PEER', host: 'b2', port: 1, securityProtocol: 'PLAINTEXT' }],
      directories: ['AAAAAAAAAAAAAAAAAAAABw'],
      flushMode: 'fsync',
      protocolVersion: 1,
      previousBrokerEpoch: -1,
      damaged: [],
      previousIsLive: false,
    })
    const brokerEpoch = controller.image.brokers.get(2)?.epoch ?? -1
    const still = { brokerId: 2, brokerEpoch, wantFence: false, wantShutdown: false, offlineDirectories: [] }
    controller.decide({ kind: 'heartbeat', appliedIndex: 1_000_000, ...still })
    network.peers('b2').listen(
      { host: 'b2', port: 1 },
      (bytes, _lane, stream) => {
        this.streams++
        this.stream = stream
        const hello = Hello.decode(bytes)
        return {
          hello: Hello.encode({ ...hello, nodeId: 2, brokerEpoch, clusterId: this.clusterId }),
          handler: {
            opened: () => {},
            frame: (frame) => {
              const { unfollow, follow, ack } = FollowerFrame.decode(frame)
              this.unfollowed.push(...unfollow.map(({ session }) => session))
              this.follows.push(...follow)
              this.acks.push(...ack)
            },
            drained: () => {},
            closed: () => {},
          },
        }
      },
      () => {},
    )
  }

  say(part: Partial<LeaderFrame>): void {
    this.stream?.send(LeaderFrame.encode({ ...EMPTY, ...part }))
  }

  followed(times: number): Promise<Follow> {
    return eventually(() => {
      if (this.follows.length < times) throw new Error(`${this.follows.length} follows`)
      return this.follows.at(-1) as Follow
    })
  }

  accept({ session, leaderEpoch }: Follow): void {
    this.say({ accepted: [{ session, leaderEpoch, highWatermark: 0, logStart: 0 }] })
  }

  append(session: number, baseOffset: number, batches: readonly Uint8Array[]): void {
    this.say({ append: [{ session, baseOffset, highWatermark: 0, logStart: 0, batches, more: false }] })
  }
}

async function following(
  seed: string,
): Promise<{ cluster: Cluster; leader: FakeLeader; replica: BrokerReplica; follow: Follow }> {
  const cluster = await Cluster.started(seed, 1)
  const leader = new FakeLeader(cluster)
  cluster.controller.createTopic('t', [[2, 1]])
  await eventually(() => void cluster.broker(1).replica('t'))
  return { cluster, leader, replica: cluster.broker(1).replica('t') as BrokerReplica, follow: await leader.followed(1) }
}

function batchAt(offset: number, epoch: number): Uint8Array {
  const batch = batchOf(['v'])
  setBaseOffset(batch, 0, offset)
  setLeaderEpoch(batch, 0, epoch)
  return batch
}

describe('a follower', () => {
  it('appends what its leader sends in its session, and acknowledges it once it is on disk', async () => {
    const { cluster, leader, replica, follow } = await following('good')
    await using _ = cluster
    expect(follow).toMatchObject({ partition: 0, endOffset: 0, lastEpoch: -1, logStart: 0 })
    leader.accept(follow)
    leader.append(follow.session, 0, [batchAt(0, 0), batchAt(1, 0)])
    leader.append(follow.session, 2, [batchAt(2, 0)])
    await eventually(() => expect(leader.acks.at(-1)).toMatchObject({ session: follow.session, durableEnd: 3 }))
    expect(replica.log.endOffset).toBe(3)
    expect(cluster.broker(1).running.status().counters.followerAppends).toBeLessThanOrEqual(2)
  })

  it('drops messages of sessions that are none, and of those before its newest', async () => {
    const { cluster, leader, replica, follow } = await following('sessions')
    await using _ = cluster
    leader.append(follow.session + 1, 0, [batchAt(0, 0)])
    leader.append(follow.session, 0, [batchAt(0, 0)])
    await sleep(50)
    expect(replica.log.endOffset).toBe(0)
    leader.accept(follow)
    leader.append(follow.session, 0, [batchAt(0, 0)])
    await eventually(() => expect(replica.log.endOffset).toBe(1))
  })

  it.each([
    ['with a flipped bit', () => [batchAt(0, 0).map((byte, at, all) => (at === all.length - 1 ? byte ^ 1 : byte))]],
    ['that are cut short', () => [batchAt(0, 0).subarray(0, -3)]],
    ['of a later epoch than the session', () => [batchAt(0, 5)]],
    ['with a gap between them', () => [batchAt(0, 0), batchAt(2, 0)]],
    ['that are none', () => [new Uint8Array(200).fill(7)]],
  ])('writes nothing of batches %s, and follows again on the same stream', async (_name, batches) => {
    const { cluster, leader, replica, follow } = await following('bad')
    await using _ = cluster
    leader.accept(follow)
    leader.append(follow.session, 0, batches())
    const again = await leader.followed(2)
    expect(replica.log.endOffset).toBe(0)
    expect([leader.streams, leader.unfollowed]).toEqual([1, [follow.session]])
    leader.accept(again)
    leader.append(again.session, 0, [batchAt(0, 0)])
    await eventually(() => expect(replica.log.endOffset).toBe(1))
    expect(cluster.broker(1).log.lines.filter(({ level }) => level === 'error').length).toBe(1)
  })

  it('follows anew when an append leaves a gap after its log, without hanging up', async () => {
    const { cluster, leader, replica, follow } = await following('gap')
    await using _ = cluster
    leader.accept(follow)
    leader.append(follow.session, 5, [batchAt(5, 0)])
    const again = await leader.followed(2)
    expect(again.endOffset).toBe(0)
    expect([replica.log.endOffset, leader.streams]).toEqual([0, 1])
  })

  it('asks again with patience when it is refused', async () => {
    const { cluster, leader, follow } = await following('refused')
    await using _ = cluster
    leader.say({ refused: [{ session: follow.session, code: 'retry' }] })
    const again = await leader.followed(2)
    expect(again.session).not.toBe(follow.session)
  })

  it('does not stay with a leader of another cluster', async () => {
    const cluster = await Cluster.started('other', 1)
    await using _ = cluster
    const leader = new FakeLeader(cluster)
    leader.clusterId = 'AAAAAAAAAAAAAAAAAAAABA'
    cluster.controller.createTopic('t', [[2, 1]])
    await eventually(() => expect(leader.streams).toBeGreaterThan(2))
    expect(leader.follows).toEqual([])
    leader.clusterId = CLUSTER
    await leader.followed(1)
    expect(cluster.broker(1).running.context.replicas.find('t', 0)).not.toBe(ErrorCode.NONE)
  })
})
