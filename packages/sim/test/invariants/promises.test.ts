import { describe, expect, it } from 'vitest'
import { directoryOf, FakeCluster } from './fake-cluster.ts'

/** Broker 3 is registered, and out of the ISR. */
function withOutsider(): FakeCluster {
  const cluster = new FakeCluster()
  const registration = {
    brokerId: 3,
    incarnationId: directoryOf(3),
    rack: null,
    endpoints: [],
    directories: [directoryOf(3)],
    flushMode: 0,
    protocolVersion: 1,
    fenced: false,
    shuttingDown: false,
    epoch: -1,
  }
  cluster.createPartition([{ name: 'registerBroker', value: registration }])
  cluster.decide({ isr: [1, 2] })
  cluster.replica(1).lead(0, [1, 2])
  cluster.ran(1)
  return cluster
}

describe('the invariants of promises', () => {
  it('are silent while a follower acknowledges, is counted, and joins', () => {
    const cluster = withOutsider()
    const epoch = cluster.brokerEpochOf(3)
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    cluster.replica(1).count([{ brokerId: 3, brokerEpoch: epoch, durableEnd: 0 }])
    cluster.replica(1).lead(0, [1, 2, 3])
    cluster.ran(1)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).not.toThrow()
  })

  it('PromiseIsMade: a leader counts more than the follower acknowledged', () => {
    const cluster = withOutsider()
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    cluster.replica(1).count([{ brokerId: 3, brokerEpoch: cluster.brokerEpochOf(3), durableEnd: 1 }])
    expect(() => cluster.ran(1)).toThrow('PromiseIsMade: ')
  })

  it('PromiseIsMade: a leader counts what the follower acknowledged to an earlier one', () => {
    const cluster = withOutsider()
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    cluster.decide({ leader: 2, leaderEpoch: 1 })
    cluster.replica(2).lead(1, [1, 2])
    cluster.replica(2).count([{ brokerId: 3, brokerEpoch: cluster.brokerEpochOf(3), durableEnd: 0 }])
    expect(() => cluster.ran(2)).toThrow('PromiseIsMade: ')
  })

  it('what an earlier incarnation acknowledged counts while the leader knows no other', () => {
    const cluster = withOutsider()
    const epoch = cluster.brokerEpochOf(3)
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    cluster.replica(1).count([{ brokerId: 3, brokerEpoch: epoch, durableEnd: 0 }])
    cluster.node(3).epoch.now = epoch + 1
    cluster.ran(3)
    expect(() => cluster.ran(1)).not.toThrow()
  })

  it('IsrWithinMaximal: the controller takes a replica in that the leader does not wait for', () => {
    const cluster = withOutsider()
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).toThrow('IsrWithinMaximal: ')
  })

  it('JoinIsEarned: a replica enters the ISR that told this incarnation of its leader nothing', () => {
    const cluster = withOutsider()
    cluster.replica(1).lead(0, [1, 2, 3])
    cluster.ran(1)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).toThrow('JoinIsEarned: ')
  })

  it('JoinIsEarned: only an earlier incarnation of it did', () => {
    const cluster = withOutsider()
    cluster.node(3).epoch.now = cluster.brokerEpochOf(3) - 1
    cluster.replica(3).acknowledge(0)
    cluster.ran(3)
    cluster.replica(1).lead(0, [1, 2, 3])
    cluster.ran(1)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).toThrow('JoinIsEarned: ')
  })
})
