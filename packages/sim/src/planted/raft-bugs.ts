import { bug, type PlantedBug } from './bug.ts'

/** Consensus: votes, logs, commitment. */
export const RAFT_BUGS: readonly PlantedBug[] = [
  bug('a vote is answered before it is on disk', [
    'raft/src/outbox.ts',
    'after: Math.max(token, hardStateToken)',
    'after: token',
  ]),
  bug('messages do not wait for the write that they vouch for', [
    'controller/src/quorum/raft-driver.ts',
    'if (send.after === 0) this.#parts.send',
    'if (send.after >= 0) this.#parts.send',
  ]),
  bug('a failed write of the log counts as done', [
    'controller/src/quorum/raft-driver.ts',
    'if (error !== null) return this.#parts.failed(error)\n      const free',
    'const free',
  ]),
  bug('an entry of an earlier term is committed by counting', [
    'raft/src/leader.ts',
    'if (reached > node.knownCommit && log.term(reached) === node.term)',
    'if (reached > node.knownCommit)',
  ]),
  bug('a follower acknowledges entries before they are on disk', [
    'raft/src/follower.ts',
    'reply(node, message.round, { success: true, index }), index)',
    'reply(node, message.round, { success: true, index }), 0)',
  ]),
  bug('a voter elects a candidate whose log is behind', [
    'raft/src/election.ts',
    'return lastTerm > own || (lastTerm === own && lastIndex >= node.log.lastIndex)',
    'return lastTerm >= own || lastIndex >= 0',
  ]),
  bug(
    'a voter votes for everybody who asks',
    [
      'raft/src/election.ts',
      'const free = node.votedFor === null ? node.leader === null : sameVoter(node.votedFor, from)',
      'const free = true',
    ],
    // Else candidates of one term are too rare.
    ['raft/src/election.ts', '!comesFirst(node, from, message)', 'message.term > 0'],
    ['raft/src/election.ts', "if (granted && node.role === 'precandidate')", "if (granted && node.role === 'leader')"],
  ),
  bug('a follower commits what the leader never sent it', [
    'raft/src/follower.ts',
    'Math.min(message.commitIndex, last)',
    'message.commitIndex',
  ]),
  bug('a snapshot is not on disk when the log is trimmed', [
    'controller/src/quorum/snapshot-files.ts',
    'replaceSmallFile(\n      this.#disk,',
    'replaceSmallFile(\n      Object.assign(Object.create(this.#disk), { syncDir: (_: string, then: Done<void>) => then(null) }),',
  ]),
  bug('a wiped node comes back as its former self', [
    'server/src/directories.ts',
    'directoryId: randomUuid(world.random), clusterId: null }',
    'directoryId: `AAAAAAAAAAAAAAAAAAAA${nodeId % 10}A` as Uuid, clusterId: null }',
  ]),
  bug('a leader counts itself before its own disk', [
    'raft/src/leader.ts',
    'return node.isSelf(voter) ? log.durableIndex : (progress?.counted ?? 0)',
    'return node.isSelf(voter) ? log.lastIndex : (progress?.counted ?? 0)',
  ]),
  bug('entries are applied before they are committed', [
    'controller/src/quorum/applier.ts',
    'this.#commitIndex = commitIndex\n    this.#pump()',
    'this.#commitIndex = commitIndex + 1\n    this.#pump()',
  ]),
]
