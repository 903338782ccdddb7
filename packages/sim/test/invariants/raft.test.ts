import { describe, expect, it } from 'vitest'
import { directoryOf, entry, FakeCluster } from './fake-cluster.ts'

/** Node 1 leads term 1 and has entry 1 on its disk and on node 2's. */
function withEntry(): FakeCluster {
  const cluster = new FakeCluster()
  cluster.leadQuorum()
  for (const id of [1, 2]) {
    cluster.member(id).write({ append: [entry(1, 1)] })
    cluster.member(id).sync()
  }
  cluster.ran(1, 2)
  return cluster
}

function committed(): FakeCluster {
  const cluster = withEntry()
  for (const id of [1, 2]) {
    cluster.member(id).view.commitIndex = 1
    cluster.ran(id)
  }
  return cluster
}

describe('the invariants of Raft', () => {
  it('are silent while a leader writes, commits and is followed', () => {
    const cluster = committed()
    cluster.member(3).role('follower', 1)
    cluster.member(3).write({ append: [entry(1, 1)] })
    cluster.member(3).sync()
    cluster.member(3).view.commitIndex = 1
    cluster.ran(3)
    expect(cluster.invariants.counts.raftCommits).toBe(1)
  })

  it('ElectionSafety: a second leader of a term', () => {
    const cluster = withEntry()
    expect(() => {
      cluster.member(2).role('leader', 1)
      cluster.ran(2)
    }).toThrow('ElectionSafety: ')
  })

  it('LogMatching: other content under the same index and term', () => {
    const cluster = withEntry()
    expect(() => cluster.member(3).write({ append: [entry(1, 1, 'else')] })).toThrow('LogMatching: ')
  })

  it('a formation that no store answered for may be followed by another one', () => {
    const cluster = new FakeCluster()
    cluster.member(1).write({ append: [entry(1, 1, 'lost')] })
    cluster.invariants.nodeEnded(1, 'power-cut')
    cluster.spawn(1, null, [])
    expect(() => cluster.member(1).write({ append: [entry(1, 1, 'second')] })).not.toThrow()
    cluster.member(1).sync()
    expect(() => cluster.member(2).write({ append: [entry(1, 1, 'third')] })).toThrow('LogMatching: ')
  })

  it('a formation that nobody else had may be followed by another one when its disk is wiped', () => {
    const cluster = new FakeCluster()
    cluster.member(1).write({ append: [entry(1, 1, 'first')] })
    cluster.member(1).sync()
    cluster.invariants.nodeEnded(1, 'killed')
    cluster.spawn(1, null, [])
    expect(() => cluster.member(1).write({ append: [entry(1, 1, 'second')] })).not.toThrow()
    cluster.member(1).sync()
    expect(() => cluster.member(2).write({ append: [entry(1, 1, 'first')] })).toThrow('LogMatching: ')
  })

  it('LogMatching: another formation while somebody has the one of a disk that was wiped', () => {
    const cluster = new FakeCluster()
    for (const node of [1, 2]) {
      cluster.member(node).write({ append: [entry(1, 1, 'first')] })
      cluster.member(node).sync()
    }
    cluster.invariants.nodeEnded(1, 'killed')
    cluster.spawn(1, null, [])
    expect(() => cluster.member(1).write({ append: [entry(1, 1, 'second')] })).toThrow('LogMatching: ')
  })

  it('LogMatching: the same entry after one of another term', () => {
    const cluster = withEntry()
    cluster.member(1).write({ append: [entry(2, 2)] })
    cluster.member(3).write({ append: [entry(1, 0)] })
    expect(() => cluster.member(3).write({ append: [entry(2, 2)] })).toThrow('LogMatching: ')
  })

  it('LogHasNoGap: an entry that does not follow', () => {
    const cluster = withEntry()
    expect(() => cluster.member(1).write({ append: [entry(3, 1)] })).toThrow('LogHasNoGap: ')
  })

  it('LeaderCompleteness: a leader without what an earlier term committed', () => {
    const cluster = committed()
    expect(() => {
      cluster.member(3).role('leader', 2)
      cluster.ran(3)
    }).toThrow('LeaderCompleteness: ')
  })

  it('LeaderCompleteness: an old leader commits what a newer one lacks', () => {
    const cluster = withEntry()
    cluster.member(3).role('leader', 2)
    cluster.ran(3)
    expect(() => {
      cluster.member(1).view.commitIndex = 1
      cluster.ran(1)
    }).toThrow('LeaderCompleteness: ')
  })

  it('CommittedIsDurable: a commit before the own disk has it', () => {
    const cluster = withEntry()
    cluster.member(1).write({ append: [entry(2, 1)] })
    cluster.member(1).view.commitIndex = 2
    expect(() => cluster.ran(1)).toThrow('CommittedIsDurable: ')
  })

  it('DurableIsOnDisk: a machine that takes for durable what its store has not answered', () => {
    const cluster = withEntry()
    cluster.member(1).write({ append: [entry(2, 1)] })
    cluster.member(1).view.durableIndex = 2
    expect(() => cluster.ran(1)).toThrow('DurableIsOnDisk: ')
  })

  it('QuorumLog: a commit that only a minority has on disk', () => {
    const cluster = withEntry()
    cluster.member(1).write({ append: [entry(2, 1)] })
    cluster.member(1).sync()
    cluster.member(2).write({ append: [entry(2, 1)] })
    cluster.member(1).view.commitIndex = 2
    expect(() => cluster.ran(1)).toThrow('QuorumLog: ')
  })

  it('CommitOfOwnTerm: an entry of an earlier term is committed by counting', () => {
    const cluster = withEntry()
    cluster.member(1).role('leader', 2)
    cluster.member(1).write({ append: [entry(2, 2)] })
    cluster.member(1).sync()
    cluster.member(1).view.commitIndex = 1
    expect(() => cluster.ran(1)).toThrow('CommitOfOwnTerm: ')
  })

  it('an entry of an earlier term is committed by one of the own term, also while the own disk is behind', () => {
    const cluster = withEntry()
    cluster.member(1).role('leader', 2)
    cluster.member(1).write({ append: [entry(2, 2)] })
    for (const id of [2, 3]) {
      cluster.member(id).role('follower', 2)
      cluster.member(id).write({ append: id === 2 ? [entry(2, 2)] : [entry(1, 1), entry(2, 2)] })
      cluster.member(id).sync()
      cluster.ran(id)
    }
    cluster.member(1).view.commitIndex = 1
    expect(() => cluster.ran(1)).not.toThrow()
  })

  it('VoterIsKept: a member whose disk lost nothing comes back as another voter', () => {
    const cluster = withEntry()
    const back = (): void => {
      cluster.invariants.nodeEnded(2, 'power-cut')
      cluster.spawn(2, null, [])
      cluster.member(2).view.self = { id: 2, directoryId: directoryOf(7) }
      cluster.ran(2)
    }
    expect(back).toThrow('VoterIsKept: ')
  })

  it('a member whose disk was wiped comes back as another voter', () => {
    const cluster = withEntry()
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.wipes.set(2, 1)
    cluster.spawn(2, null, [])
    cluster.member(2).view.self = { id: 2, directoryId: directoryOf(7) }
    expect(() => cluster.ran(2)).not.toThrow()
  })

  it('StateMachineSafety: another entry is committed at the same index', () => {
    const cluster = committed()
    cluster.member(3).role('follower', 2)
    cluster.member(3).write({ append: [entry(1, 2)] })
    cluster.member(3).sync()
    cluster.member(3).view.commitIndex = 1
    expect(() => cluster.ran(3)).toThrow('StateMachineSafety: ')
  })

  it('CommitMonotonic: a commit index that falls', () => {
    const cluster = committed()
    cluster.member(1).view.commitIndex = 0
    expect(() => cluster.ran(1)).toThrow('CommitMonotonic: ')
  })

  it('TermMonotonic: a term that falls within a life', () => {
    const cluster = withEntry()
    cluster.member(2).view.term = 0
    expect(() => cluster.ran(2)).toThrow('TermMonotonic: ')
  })

  it('TermMonotonic: a member that comes back with an earlier term than it had on disk', () => {
    const cluster = withEntry()
    cluster.member(2).role('follower', 5)
    cluster.ran(2)
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.spawn(2, { term: 4, votedFor: null }, [entry(1, 1)])
    expect(() => cluster.ran(2)).toThrow('TermMonotonic: ')
  })

  it('LeaderAppendOnly: a leader whose log shrinks, or that truncates', () => {
    const cluster = withEntry()
    expect(() => cluster.member(1).write({ truncateFrom: 1 })).toThrow('LeaderAppendOnly: ')
    cluster.member(1).view.lastIndex = 0
    expect(() => cluster.ran(1)).toThrow('LeaderAppendOnly: ')
  })

  it('NoTruncationBelowCommit: a follower that cuts what it knows to be committed', () => {
    const cluster = committed()
    expect(() => cluster.member(2).write({ truncateFrom: 1 })).toThrow('NoTruncationBelowCommit: ')
  })

  it('a follower may truncate what is not committed', () => {
    const cluster = withEntry()
    expect(() => cluster.member(2).write({ truncateFrom: 1 })).not.toThrow()
    cluster.ran(2)
  })

  it('LeaderLoadsNoSnapshot: a leader that restarts its log', () => {
    const cluster = withEntry()
    expect(() => cluster.member(1).write({ restartAt: 5 })).toThrow('LeaderLoadsNoSnapshot: ')
  })

  it('SnapshotCovers: a snapshot above the commit index, or below the log', () => {
    const cluster = committed()
    cluster.member(1).view.snapshotIndex = 2
    expect(() => cluster.ran(1)).toThrow('SnapshotCovers: ')
    cluster.member(2).view.firstIndex = 2
    expect(() => cluster.ran(2)).toThrow('SnapshotCovers: ')
  })

  it('SnapshotIsCommitted: a snapshot of what nobody committed', () => {
    const cluster = committed()
    const { view } = cluster.member(3)
    cluster.member(3).role('follower', 1)
    Object.assign(view, { snapshotIndex: 1, snapshotTerm: 7, commitIndex: 1, durableIndex: 1 })
    expect(() => cluster.ran(3)).toThrow('SnapshotIsCommitted: ')
  })

  it('OneVoterChange: a second change before the first is committed', () => {
    const cluster = committed()
    const voters = (index: number): ReturnType<typeof entry> => ({ ...entry(index, 1), kind: 'voters' })
    cluster.member(1).write({ append: [voters(2)] })
    expect(() => cluster.member(1).write({ append: [voters(3)] })).toThrow('OneVoterChange: ')
  })
})

describe('what a member promises', () => {
  const reply = { success: true, hintTerm: 0, refusedIndex: 0, round: 1, forgetful: false }

  it('PromiseIsDurable: a message of a term that is not on disk', () => {
    const cluster = withEntry()
    cluster.member(1).write({ hardState: { term: 2, votedFor: null } })
    expect(() => cluster.member(1).send(2, { kind: 'timeoutNow', term: 2 })).toThrow('PromiseIsDurable: ')
  })

  it('PromiseIsDurable: a vote that is not on disk', () => {
    const cluster = withEntry()
    cluster.member(2).role('follower', 2)
    const candidate = { id: 3, directoryId: directoryOf(3) }
    cluster.member(2).write({ hardState: { term: 2, votedFor: candidate } })
    expect(() => cluster.member(2).send(3, { kind: 'voteReply', term: 2, granted: true })).toThrow('PromiseIsDurable: ')
    cluster.member(2).sync()
    cluster.member(2).send(3, { kind: 'voteReply', term: 2, granted: true })
  })

  it('PromiseIsDurable: an acknowledgement of entries that are not on disk', () => {
    const cluster = withEntry()
    cluster.member(2).write({ append: [entry(2, 1)] })
    expect(() => cluster.member(2).send(1, { kind: 'appendReply', term: 1, index: 2, ...reply })).toThrow(
      'PromiseIsDurable: ',
    )
    cluster.member(2).send(1, { kind: 'appendReply', term: 1, index: 1, ...reply })
  })

  it('OneVotePerTerm: a member that votes again after a restart', () => {
    const cluster = withEntry()
    const vote = (to: number): void => {
      cluster.member(2).write({ hardState: { term: 2, votedFor: { id: to, directoryId: directoryOf(to) } } })
      cluster.member(2).sync()
      cluster.member(2).send(to, { kind: 'voteReply', term: 2, granted: true })
    }
    vote(3)
    cluster.invariants.nodeEnded(2, 'power-cut')
    cluster.spawn(2, { term: 2, votedFor: null }, [entry(1, 1)])
    expect(() => vote(1)).toThrow('OneVotePerTerm: ')
  })

  it('a pre-vote promises nothing', () => {
    const cluster = withEntry()
    cluster.member(2).send(3, { kind: 'preVote', term: 9, lastIndex: 0, lastTerm: 0 })
    expect(cluster.invariants.counts.promises).toBe(0)
  })
})
