import { describe, expect, it } from 'vitest'
import { directoryOf, FakeCluster } from './fake-cluster.ts'

function withPartition(): FakeCluster {
  const cluster = new FakeCluster()
  cluster.createPartition()
  return cluster
}

function register(cluster: FakeCluster, epoch: number, fenced = false): void {
  cluster.commit([
    {
      name: 'registerBroker',
      value: {
        brokerId: 1,
        incarnationId: directoryOf(1),
        rack: null,
        endpoints: [],
        directories: [],
        flushMode: 0,
        protocolVersion: 1,
        fenced,
        shuttingDown: false,
        epoch,
      },
    },
  ])
}

describe('the invariants of metadata', () => {
  it('are silent while images follow what is committed', () => {
    const cluster = withPartition()
    cluster.apply(2)
    cluster.decide({ leader: 2, leaderEpoch: 1 })
    cluster.apply(2)
    cluster.apply(3)
    expect(cluster.invariants.counts.images).toBe(3)
  })

  it('LeaderInIsr: a leader outside of the ISR', () => {
    expect(() => withPartition().decide({ isr: [2, 3] })).toThrow('LeaderInIsr: ')
  })

  it('IsrWithinReplicas: a member of the ISR that is no replica', () => {
    expect(() => withPartition().decide({ isr: [1, 2, 4] })).toThrow('IsrWithinReplicas: ')
  })

  it('ElrApartFromIsr: a member of both', () => {
    expect(() => withPartition().decide({ isr: [1, 2], elr: [2] })).toThrow('ElrApartFromIsr: ')
  })

  it('EpochMonotonic: another leader in the same epoch', () => {
    expect(() => withPartition().decide({ leader: 2 })).toThrow('EpochMonotonic: ')
  })

  it('BrokerEpochMonotonic: a broker registers with an earlier epoch', () => {
    const cluster = withPartition()
    register(cluster, 9)
    expect(() => register(cluster, 8)).toThrow('BrokerEpochMonotonic: ')
  })

  it('IsrIsActive: a broker is fenced and stays in the ISR', () => {
    expect(() => register(withPartition(), 9, true)).toThrow('IsrIsActive: ')
  })

  it('IsrIsActive: a broker enters the ISR on its way out', () => {
    const cluster = withPartition()
    cluster.decide({ leader: 2, leaderEpoch: 1, isr: [2] })
    register(cluster, 9, true)
    expect(() => cluster.decide({ leader: 2, leaderEpoch: 1, isr: [1, 2] })).toThrow('IsrIsActive: ')
  })

  it('ImageIsCommitted: a node has applied what is not committed', () => {
    const cluster = withPartition()
    cluster.node(2).image.index = 7
    expect(() => cluster.ran(2)).toThrow('ImageIsCommitted: ')
  })

  it('ImageIsCommitted: a node has applied something else', () => {
    const cluster = withPartition()
    cluster.apply(2)
    cluster.decide({ isr: [1, 2] })
    // It takes note of the entry, and not of what is in it.
    cluster.node(2).image.index = 2
    expect(() => cluster.ran(2)).toThrow('ImageIsCommitted: ')
  })

  it('ImageMonotonic: an image that goes back', () => {
    const cluster = withPartition()
    cluster.apply(2)
    cluster.node(2).image.index = 0
    expect(() => cluster.ran(2)).toThrow('ImageMonotonic: ')
  })
})
