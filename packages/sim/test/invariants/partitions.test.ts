import { describe, expect, it } from 'vitest'
import { FakeCluster } from './fake-cluster.ts'

/** A partition with one committed record. */
function withRecord(options?: ConstructorParameters<typeof FakeCluster>[0]): FakeCluster {
  const cluster = new FakeCluster(options)
  cluster.createPartition()
  cluster.produce(1, 0, [2, 3])
  cluster.raise(1, 1)
  cluster.raise(2, 1)
  cluster.raise(3, 1)
  return cluster
}

describe('the invariants of partitions', () => {
  it('are silent while a leader writes, commits, and hands over to another', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2])
    cluster.decide({ leader: 2, leaderEpoch: 1, isr: [2, 3] })
    cluster.replica(2).lead(1, [2, 3])
    cluster.ran(2)
    cluster.replica(3).follow(1)
    cluster.produce(2, 1, [3])
    cluster.raise(2, 3)
    cluster.replica(1).follow(1)
    cluster.replica(1).copy(cluster.replica(2))
    cluster.ran(1)
    cluster.invariants.acked('events', 0, 3)
    cluster.invariants.read('events', 0, 2)
    expect(cluster.invariants.counts.commits).toBe(3)
  })

  it('StrongIsr: a member of the ISR lacks what is committed', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2])
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('StrongIsr: a member of the ISR has what is committed in memory only', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2])
    cluster.replica(3).copy(cluster.replica(1))
    cluster.ran(3)
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('memory is enough where brokers do not sync', () => {
    const cluster = withRecord({ fsync: false })
    cluster.produce(1, 0, [2])
    cluster.replica(3).copy(cluster.replica(1))
    cluster.ran(3)
    expect(() => cluster.raise(1, 2)).not.toThrow()
  })

  it('a leader that slept while it was deposed may commit what all of its ISR had, though they lack what came later', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.decide({ leader: 2, leaderEpoch: 1 })
    cluster.replica(3).follow(1)
    cluster.ran(3)
    cluster.replica(2).lead(1)
    cluster.raise(2, 2)
    cluster.decide({ leader: 2, leaderEpoch: 1, isr: [2] })
    cluster.replica(2).lead(1, [2])
    cluster.replica(2).machine.inspection.minInsyncReplicas = 1
    cluster.produce(2, 1, [])
    cluster.raise(2, 3)
    expect(() => cluster.raise(1, 2)).not.toThrow()
  })

  it('StrongIsr: a leader that slept while it was deposed commits what its successor lacks', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [3])
    cluster.decide({ leader: 2, leaderEpoch: 1 })
    cluster.replica(2).lead(1)
    cluster.ran(2)
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('StrongIsr: a member of the ELR holds another record', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2], elr: [3] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('StrongIsr: whoever enters the ISR lacks what is committed', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    cluster.raise(1, 2)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).toThrow('StrongIsr: ')
  })

  it('StrongIsr: the watermark passes a member whose entry into the ISR is not decided yet', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    cluster.replica(1).machine.inspection.maximalIsr = [1, 2, 3]
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('a node that is down counts with what was durable', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.invariants.nodeEnded(3, 'power-cut')
    cluster.raise(1, 2)
    cluster.produce(1, 0, [2])
    expect(() => cluster.raise(1, 3)).toThrow('StrongIsr: ')
  })

  it('MinIsr: the watermark rises while too few are in sync', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1], elr: [] })
    cluster.replica(1).lead(0, [1])
    cluster.ran(1)
    cluster.produce(1, 0, [])
    expect(() => cluster.raise(1, 2)).toThrow('MinIsr: ')
  })

  it('CommittedIsDurable: the leader commits ahead of its disk', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.replica(1).log.durableEnd = 1
    expect(() => cluster.raise(1, 2)).toThrow('CommittedIsDurable: ')
  })

  it('HighWatermarkMonotonic: the watermark of a leader falls', () => {
    const cluster = withRecord()
    expect(() => cluster.raise(1, 0)).toThrow('HighWatermarkMonotonic: ')
  })

  it('HighWatermarkInLog: a watermark beyond the log', () => {
    const cluster = withRecord()
    expect(() => cluster.raise(2, 2)).toThrow('HighWatermarkInLog: ')
  })

  it('LeaderIsElected: somebody leads whom nobody elected', () => {
    const cluster = withRecord()
    cluster.replica(2).lead(1)
    expect(() => cluster.ran(2)).toThrow('LeaderIsElected: ')
  })

  it('OneLeaderPerEpoch: a later life of the leader writes under its epoch', () => {
    const cluster = withRecord()
    cluster.invariants.nodeEnded(1, 'killed')
    cluster.spawn(1, { term: 1, votedFor: null }, [])
    cluster.replica(1).lead(0)
    expect(() => cluster.serve(1)).toThrow('OneLeaderPerEpoch: ')
  })

  it('LeaderCompleteness: a leader lacks what was committed before its epoch', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    cluster.raise(1, 2)
    // It enters the ISR and is elected while nobody trusts its disk, and is trusted again without having what it lacks.
    cluster.damaged.add(3)
    cluster.replica(1).lead(0, [1, 2, 3])
    cluster.decide({ isr: [1, 2, 3] })
    cluster.decide({ leader: 3, leaderEpoch: 1 })
    cluster.damaged.delete(3)
    cluster.replica(3).lead(1)
    expect(() => cluster.ran(3)).toThrow('LeaderCompleteness: ')
  })

  it('CommittedIsFinal: a leader of the past commits another record at the same place', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [])
    cluster.decide({ leader: 2, leaderEpoch: 1, isr: [2, 3] })
    cluster.replica(2).lead(1, [2, 3])
    cluster.replica(3).follow(1)
    cluster.produce(2, 1, [3], 'else')
    cluster.raise(2, 2)
    cluster.replica(1).lead(0, [1])
    cluster.replica(1).machine.inspection.minInsyncReplicas = 1
    expect(() => cluster.raise(1, 2)).toThrow('CommittedIsFinal: ')
  })

  it('NoTruncationOfCommitted: a follower cuts what an earlier epoch committed', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    cluster.replica(3).log.generation++
    cluster.replica(3).log.bytes = new Uint8Array(0)
    Object.assign(cluster.replica(3).log, { endOffset: 0, durableEnd: 0 })
    cluster.replica(3).segment.size = 0
    cluster.replica(3).watermark(0)
    expect(() => cluster.ran(3)).toThrow('NoTruncationOfCommitted: ')
  })

  it('what only acks=1 promised may be cut', () => {
    const cluster = withRecord()
    const kept = cluster.replica(3)
    cluster.produce(1, 0, [])
    cluster.decide({ leader: 2, leaderEpoch: 1, isr: [2, 3] })
    cluster.replica(2).lead(1, [2, 3])
    cluster.ran(2)
    cluster.replica(1).follow(1)
    cluster.replica(1).truncateTo(kept)
    cluster.ran(1)
    expect(cluster.invariants.counts.truncations).toBe(1)
  })

  it('FollowerKnowsCommitted: a follower vouches for what nobody committed', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2])
    expect(() => cluster.raise(2, 2)).toThrow('FollowerKnowsCommitted: ')
  })

  it('FollowerKnowsCommitted: a follower vouches for another record', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    cluster.raise(1, 2)
    cluster.replica(3).append(1, 1, 'else')
    cluster.ran(3)
    expect(() => cluster.raise(3, 2)).toThrow('FollowerKnowsCommitted: ')
  })

  it('EpochHasOneWriter: two logs hold different records of one epoch at one place', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2])
    cluster.replica(3).append(0, 1, 'else')
    expect(() => cluster.ran(3)).toThrow('EpochHasOneWriter: ')
  })

  it('what a damaged disk holds was not written by anybody', () => {
    const cluster = withRecord()
    cluster.damaged.add(3)
    cluster.replica(3).append(0, 1, 'else')
    cluster.ran(3)
    cluster.produce(1, 0, [2])
    expect(() => cluster.ran(1, 2)).not.toThrow()
  })

  it('OffsetsDense: a batch that does not continue the log', () => {
    const cluster = withRecord()
    cluster.replica(2).log.endOffset = 5
    cluster.replica(2).append(0)
    expect(() => cluster.ran(2)).toThrow('OffsetsDense: ')
  })

  it('EpochMonotonic: a replica goes back to an earlier leader epoch', () => {
    const cluster = withRecord()
    cluster.replica(2).follow(3)
    cluster.ran(2)
    cluster.replica(2).follow(2)
    expect(() => cluster.ran(2)).toThrow('EpochMonotonic: ')
  })

  it('LogStartMonotonic: a log start that falls', () => {
    const cluster = withRecord()
    cluster.replica(2).log.logStart = 1
    cluster.replica(2).steps++
    cluster.ran(2)
    cluster.replica(2).log.logStart = 0
    cluster.replica(2).steps++
    expect(() => cluster.ran(2)).toThrow('LogStartMonotonic: ')
  })

  it('LatestIsCommitted: a new leader tells less than was committed as the latest offset', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.raise(1, 2)
    cluster.decide({ leader: 2, leaderEpoch: 1 })
    cluster.replica(2).lead(1)
    cluster.replica(2).machine.latestKnown = true
    expect(() => cluster.ran(2)).toThrow('LatestIsCommitted: ')
  })

  it('DurableSurvives: what was on disk is gone after a power cut', () => {
    const cluster = withRecord()
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.spawn(2, { term: 1, votedFor: null }, [], false)
    expect(() => cluster.serve(2)).toThrow('DurableSurvives: ')
  })

  it('what was in memory only may be gone after a power cut', () => {
    const cluster = withRecord()
    const before = cluster.replica(3)
    cluster.replica(2).append(0)
    cluster.ran(2)
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.spawn(2, { term: 1, votedFor: null }, [], false)
    cluster.replica(2).copy(before)
    cluster.replica(2).sync()
    expect(() => cluster.serve(2)).not.toThrow()
  })

  it('what was cut in the event in which the node ended itself is not missed', () => {
    const cluster = withRecord()
    const others = cluster.replica(3)
    cluster.replica(2).append(0)
    cluster.replica(2).sync()
    cluster.ran(2)
    cluster.replica(2).truncateTo(others)
    cluster.invariants.nodeEnded(2, 'by-itself')
    cluster.spawn(2, { term: 1, votedFor: null }, [], false)
    cluster.replica(2).copy(others)
    cluster.replica(2).sync()
    expect(() => cluster.serve(2)).not.toThrow()
  })

  it('what a node had on disk when it ended itself counts for what it acknowledged', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.invariants.nodeEnded(2, 'by-itself')
    expect(() => cluster.raise(1, 2)).not.toThrow()
  })

  it('a disk that was damaged is no evidence until its node has recovered', () => {
    const cluster = withRecord()
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.damaged.add(2)
    cluster.spawn(2, { term: 1, votedFor: null }, [], false)
    cluster.serve(2)
    cluster.replica(2).copy(cluster.replica(1))
    cluster.replica(2).sync()
    cluster.ran(2)
    cluster.damaged.delete(2)
    cluster.replica(2).follow(0)
    cluster.ran(2)
    cluster.produce(1, 0, [3])
    expect(() => cluster.raise(1, 2)).toThrow('StrongIsr: ')
  })

  it('StrongIsr: a broker that was wiped is in sync before it has fetched anything', () => {
    const cluster = withRecord()
    cluster.invariants.nodeEnded(3, 'killed')
    cluster.wipes.set(3, 1)
    cluster.decide({ isr: [1, 2] })
    cluster.spawn(3, null, [], false)
    cluster.serve(3)
    expect(() => cluster.decide({ isr: [1, 2, 3] })).toThrow('StrongIsr: ')
  })

  it('a broker that was wiped is in sync until the controller hears of it', () => {
    const cluster = withRecord()
    cluster.invariants.nodeEnded(3, 'killed')
    cluster.wipes.set(3, 1)
    expect(() => cluster.produce(1, 0, [2])).not.toThrow()
    expect(() => cluster.decide({ isr: [1, 2] })).not.toThrow()
  })

  it('ElrIsKept: who leaves the ISR below the minimum is forgotten', () => {
    const cluster = withRecord()
    cluster.commit([
      {
        name: 'config',
        value: { resourceKind: 2, resourceName: 'events', name: 'min.insync.replicas', value: '2' },
      },
    ])
    cluster.decide({ isr: [1, 2] })
    expect(() => cluster.decide({ isr: [1] })).toThrow('ElrIsKept: ')
  })

  it('who leaves the ISR below the minimum stays eligible, and a replica in doubt does not', () => {
    const cluster = withRecord()
    cluster.commit([
      {
        name: 'config',
        value: { resourceKind: 2, resourceName: 'events', name: 'min.insync.replicas', value: '2' },
      },
    ])
    cluster.decide({ isr: [1, 2] })
    cluster.damaged.add(2)
    expect(() => cluster.decide({ isr: [], leader: -1, leaderEpoch: 1, elr: [1] })).not.toThrow()
  })

  it('LogIsWhole: a file holds less than was written to it', () => {
    const cluster = withRecord()
    cluster.replica(2).append(0)
    cluster.replica(2).log.bytes = cluster.replica(2).log.bytes.subarray(0, 80)
    expect(() => cluster.ran(2)).toThrow('LogIsWhole: ')
  })

  it('QuarantineHasCause: a replica in doubt though nothing was damaged', () => {
    const cluster = withRecord()
    cluster.replica(2).log.quarantined = 'its watermark is above its leader'
    expect(() => cluster.retire(2)).toThrow('QuarantineHasCause: ')
  })

  it('a damaged replica may be in doubt, and begins anew', () => {
    const cluster = withRecord()
    cluster.damaged.add(2)
    cluster.replica(2).log.quarantined = 'rot'
    cluster.retire(2)
    cluster.decide({ isr: [1, 3] })
    cluster.damaged.delete(2)
    cluster.spawn(2, { term: 1, votedFor: null }, [], false)
    cluster.serve(2)
    expect(cluster.invariants.counts.quarantines).toBe(1)
  })
})

describe('an unclean election', () => {
  it('NoUncleanElection: metadata elects who is neither in sync nor eligible', () => {
    const cluster = withRecord()
    cluster.decide({ isr: [1, 2] })
    expect(() => cluster.decide({ leader: 3, leaderEpoch: 1, isr: [3], leaderRecovery: 1 })).toThrow(
      'NoUncleanElection: ',
    )
  })

  it('is accepted where it is permitted, and what the leader lacks is lost', () => {
    const cluster = withRecord({ uncleanElection: true })
    cluster.decide({ isr: [1, 2] })
    cluster.replica(1).lead(0, [1, 2])
    cluster.produce(1, 0, [2])
    cluster.raise(1, 2)
    cluster.decide({ leader: 3, leaderEpoch: 1, isr: [3], leaderRecovery: 1 })
    cluster.replica(3).machine.inspection.minInsyncReplicas = 1
    cluster.replica(3).lead(1, [3])
    cluster.ran(3)
    cluster.produce(3, 1, [], 'else')
    cluster.raise(3, 2)
    cluster.replica(2).follow(1)
    cluster.replica(2).truncateTo(cluster.replica(3))
    cluster.replica(2).watermark(1)
    cluster.ran(2)
    expect(cluster.invariants.counts.uncleanElections).toBe(1)
  })
})

describe('what clients are told', () => {
  it('AckedIsCommitted: a producer is told of a record that is not committed', () => {
    const cluster = withRecord()
    expect(() => cluster.invariants.acked('events', 0, 2)).toThrow('AckedIsCommitted: ')
  })

  it('ReadIsCommitted: a consumer is given a record that is not committed', () => {
    const cluster = withRecord()
    expect(() => cluster.invariants.read('events', 0, 1)).toThrow('ReadIsCommitted: ')
  })
})

describe('when all is quiet', () => {
  it('equal replicas are well', () => {
    const { invariants } = withRecord()
    expect(() => invariants.quiet()).not.toThrow()
  })

  it('QuietIsEqual: a watermark that stays behind', () => {
    const cluster = withRecord()
    cluster.produce(1, 0, [2, 3])
    cluster.raise(1, 2)
    cluster.raise(2, 2)
    expect(() => cluster.invariants.quiet()).toThrow('QuietIsEqual: ')
  })

  it('QuietIsEqual: a follower that begins below its leader', () => {
    const cluster = withRecord()
    cluster.replica(1).machine.logStart = 1
    expect(() => cluster.invariants.quiet()).toThrow('QuietIsEqual: ')
  })

  it('EpochTableIsTrue: an epoch table that says otherwise than the batches', () => {
    const cluster = withRecord()
    cluster.replica(2).log.epochs[0] = { epoch: 7, startOffset: 0 }
    expect(() => cluster.invariants.quiet()).toThrow('EpochTableIsTrue: ')
  })
})
