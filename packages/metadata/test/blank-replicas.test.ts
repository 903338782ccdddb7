import { describe, expect, test } from 'vitest'
import { createImage, type PartitionImage, UNASSIGNED } from '../src/index.ts'
import { directory, Harness, plain } from './harness.ts'

/** A topic of these replicas, whose brokers all came back: registered anew and fenced. The first that went is counted on no more. */
function restarted(replicas: readonly number[] = [1, 2, 3]): Harness {
  const cluster = new Harness({ 'min.insync.replicas': '2' }).start(1, 2, 3)
  cluster.topic('t', [replicas])
  for (const id of [1, 2, 3]) cluster.register(id)
  expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [] })
  expect(new Set(cluster.partition('t').elr)).toEqual(new Set([2, 3]))
  return cluster
}

/** The broker finds no folder of its replica. */
function blank(cluster: Harness, brokerId: number, partition: PartitionImage = cluster.partition('t')): void {
  const partitions = [{ ...partition, blank: true }]
  cluster.ask({ kind: 'quarantine', brokerId, brokerEpoch: cluster.epoch(brokerId), partitions })
}

describe('a partition whose replicas all turn out to be blank', () => {
  test('begins without those that were away when it was made, though their disks are others now', () => {
    const cluster = new Harness({ 'min.insync.replicas': '2' }).start(1, 2, 3)
    cluster.fence(1)
    cluster.fence(2)
    cluster.topic('t', [[1, 2, 3]])
    expect(cluster.partition('t')).toMatchObject({ isr: [3], directories: [UNASSIGNED, UNASSIGNED, directory(3)] })
    cluster.register(3)
    cluster.register(2, { directories: [directory(9)] })
    cluster.heartbeat(2)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [3] })
    blank(cluster, 3)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], leaderRecovery: 'recovered' })
    expect(cluster.partition('t').directories).toEqual([directory(1), directory(9), directory(3)])
  })

  test('waits with the next to last one, and begins with the first in the order of assignment that is let in', () => {
    const cluster = restarted([2, 3, 1])
    blank(cluster, 2)
    expect(cluster.partition('t').directories).toEqual([UNASSIGNED, directory(3), directory(1)])
    blank(cluster, 1)
    cluster.heartbeat(1)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [3] })
    blank(cluster, 3)
    const begun = { leader: 1, isr: [1], elr: [], leaderRecovery: 'recovered' }
    expect(cluster.partition('t')).toMatchObject(begun)
    expect(cluster.partition('t').directories).toEqual([directory(2), directory(3), directory(1)])
    cluster.heartbeat(2)
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject(begun)
  })

  test('begins once one is let in, when none was', () => {
    const cluster = restarted()
    for (const id of [1, 2, 3]) blank(cluster, id)
    expect(cluster.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [], lastKnownElr: [] })
    expect(cluster.partition('t').directories).toEqual([UNASSIGNED, UNASSIGNED, UNASSIGNED])
    const { leaderEpoch } = cluster.partition('t')
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject({ leader: 3, isr: [3], leaderEpoch: leaderEpoch + 1 })
    expect(cluster.partition('t').directories).toEqual([1, 2, 3].map((id) => directory(id)))
    cluster.heartbeat(2)
    expect(cluster.propose('t', [3, 2])).toBe(0)
  })

  test('is remembered over restarts of its brokers, and in a snapshot', () => {
    const cluster = restarted()
    blank(cluster, 1)
    cluster.register(1)
    cluster.heartbeat(1)
    blank(cluster, 2)
    const loaded = createImage()
    loaded.load(cluster.index, cluster.committed.snapshot())
    expect(plain(loaded)).toEqual(plain(cluster.image))
    expect(loaded.topicByName('t')?.partitions[0]?.directories).toEqual([UNASSIGNED, UNASSIGNED, directory(3)])
    blank(cluster, 3)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1] })
  })
})

describe('a partition with one replica that is not blank', () => {
  test('waits for it, and has its leader again when it comes', () => {
    const cluster = restarted()
    for (const id of [1, 2]) {
      blank(cluster, id)
      cluster.heartbeat(id)
    }
    expect(cluster.partition('t')).toMatchObject({ leader: -1, elr: [3] })
    cluster.heartbeat(3)
    expect(cluster.partition('t')).toMatchObject({ leader: 3, isr: [3], elr: [] })
    expect(cluster.partition('t').directories).toEqual([1, 2, 3].map((id) => directory(id)))
  })

  test('is never taken for empty when that one is wiped, damaged or forgotten', () => {
    const ends: ((cluster: Harness) => void)[] = [
      (cluster) => {
        cluster.register(3, { directories: [directory(3, 1)] })
        blank(cluster, 3)
      },
      (cluster) => void cluster.register(3, { damaged: [cluster.partition('t')] }),
      (cluster) => void cluster.ask({ kind: 'unregisterBroker', brokerId: 3 }),
    ]
    for (const end of ends) {
      const cluster = restarted()
      for (const id of [1, 2]) {
        blank(cluster, id)
        cluster.heartbeat(id)
      }
      end(cluster)
      cluster.heartbeat(3)
      expect(cluster.partition('t').leader).toBe(-1)
      expect(cluster.partition('t').directories).toEqual([UNASSIGNED, UNASSIGNED, directory(3)])
    }
  })

  test('is not led uncleanly by a blank one, unless an operator says so', () => {
    const cluster = restarted()
    cluster.configure('topic', 't', { 'unclean.leader.election.enable': 'true' })
    blank(cluster, 1)
    cluster.heartbeat(1)
    expect(cluster.partition('t').leader).toBe(-1)
    cluster.ask({ kind: 'electLeaders', election: 'unclean', partitions: [{ topic: 't', partition: 0 }] })
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderRecovery: 'recovering' })
  })
})

describe('a report of a blank replica', () => {
  test('takes it out of a led partition and leaves it its directory', () => {
    const cluster = restarted()
    cluster.heartbeat(2)
    blank(cluster, 1)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, isr: [2], elr: [3] })
    expect(cluster.partition('t').directories).toEqual([1, 2, 3].map((id) => directory(id)))
  })

  test('that was on its way while the replica began anew is void', () => {
    const cluster = restarted()
    const before = cluster.partition('t')
    for (const id of [1, 2, 3]) blank(cluster, id)
    cluster.heartbeat(1)
    for (const id of [1, 2, 3]) blank(cluster, id, before)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, isr: [1] })
  })

  test('cannot be made by a registration: the reserved directory id is refused', () => {
    expect(() => new Harness().register(1, { directories: [UNASSIGNED] })).toThrow('directory ids')
  })
})
