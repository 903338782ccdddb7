/** One replacement in a source file; `find` must be there exactly once. */
export interface Patch {
  /** Below `packages/`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** A rule of the product, broken on purpose: the simulator must notice. */
export interface PlantedBug {
  readonly name: string
  readonly patches: readonly Patch[]
}

function bug(
  name: string,
  ...patches: readonly (readonly [file: string, find: string, replace: string])[]
): PlantedBug {
  return { name, patches: patches.map(([file, find, replace]) => ({ file, find, replace })) }
}

/** Consensus: votes, logs, commitment. */
const RAFT: readonly PlantedBug[] = [
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
  bug('a voter votes for everybody who asks', [
    'raft/src/election.ts',
    'const free = node.votedFor === null ? node.leader === null : sameVoter(node.votedFor, from)',
    'const free = true',
  ]),
  bug('a follower commits what the leader never sent it', [
    'raft/src/follower.ts',
    'Math.min(message.commitIndex, last)',
    'message.commitIndex',
  ]),
  bug('a snapshot is not on disk when the log is trimmed', [
    'controller/src/quorum/snapshot-files.ts',
    'replaceSmallFile(this.#disk, ',
    'replaceSmallFile(Object.assign(Object.create(this.#disk), { syncDir: (_: string, then: Done<void>) => then(null) }), ',
  ]),
  bug('a wiped node comes back as its former self', [
    'server/src/directories.ts',
    'directoryId: randomUuid(world.random), clusterId: null }',
    'directoryId: `AAAAAAAAAAAAAAAAAAAA${nodeId % 10}A` as Uuid, clusterId: null }',
  ]),
]

/** Partitions: leader epochs, in-sync sets, the watermark. */
const REPLICATION: readonly PlantedBug[] = [
  bug('a follower cuts its log at the watermark', [
    'replication/src/follower.ts',
    '} else this.follow()\n  }\n\n  metadata',
    "} else if (log.endOffset > log.highWatermark) {\n      this.phase = 'truncating'\n      out.truncateTo = log.highWatermark\n    } else this.follow()\n  }\n\n  metadata",
  ]),
  bug('an acknowledgement of an earlier session counts', [
    'replication/src/leader.ts',
    'if (follower === undefined || !follower.connected || follower.session !== input.session) {',
    'if (follower === undefined) {',
  ]),
  bug('what is written counts as held before it is on disk', [
    'replication/src/own-log.ts',
    "return this.flushMode === 'fsync' ? this.durableEnd : this.endOffset",
    'return this.endOffset',
  ]),
  bug('the watermark counts the proposed in-sync set as if it were decided', [
    'replication/src/followers.ts',
    'follower.counted = isr.maximal.includes(follower.brokerId)',
    'follower.counted = (isr.pending?.isr ?? isr.maximal).includes(follower.brokerId)',
  ]),
  bug('the watermark rises below min.insync.replicas', [
    'replication/src/leader.ts',
    'if (isr.confirmed.length < state.minInsyncReplicas || state.elr.length > 0) return',
    'if (isr.confirmed.length + state.elr.length < 0) return',
  ]),
  bug('a follower joins before it has reached the start of the leader epoch', [
    'replication/src/leader.ts',
    'const least = Math.max(this.replica.log.highWatermark, this.epochStart)',
    'const least = 0',
  ]),
  bug(
    'a restarted broker joins on what its former life acknowledged',
    ['replication/src/leader.ts', 'broker.epoch !== follower.brokerEpoch) return false', 'false) return false'],
    [
      'replication/src/leader.ts',
      'return session === -1 ? (this.replica.brokers.get(id)?.epoch ?? -1) : session',
      'return this.replica.brokers.get(id)?.epoch ?? session',
    ],
    [
      'replication/src/followers.ts',
      'if (follower.brokerEpoch !== -1 && broker?.epoch !== follower.brokerEpoch) follower.forget()',
      'if (broker === undefined) follower.forget()',
    ],
  ),
  bug('acks=all is answered when the leader has written', [
    'broker/src/produce-queue.ts',
    'if (acks === -1) this.waiters.push({ answer, baseOffset, endOffset, logAppendTimeMs })\n      else if (acks === 1)',
    'if (acks !== 0)',
  ]),
  bug('a deposed leader tells its producers that all is well', [
    'broker/src/replica.ts',
    'if (failWaitersOfEpoch !== null) this.queue.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER)',
    'if (failWaitersOfEpoch !== null) this.queue.passed(log.endOffset, true, machine.logStart)',
  ]),
  bug(
    'consumers read above the watermark',
    [
      'broker/src/replica-reads.ts',
      'availableBytes: offset >= highWatermark ? 0 : estimatedBytes(replica, highWatermark - offset),',
      'availableBytes: offset >= log.endOffset ? 0 : estimatedBytes(replica, log.endOffset - offset),',
    ],
    [
      'broker/src/replica-reads.ts',
      'replica.log.read(offset, maxBytes, replica.machine.highWatermark, answer, memory)',
      'replica.log.read(offset, maxBytes, replica.log.endOffset, answer, memory)',
    ],
  ),
]

/** The controller's decisions. */
const CONTROLLER: readonly PlantedBug[] = [
  bug('any replica that is alive may lead', [
    'metadata/src/partition-change.ts',
    'const heir = complete.find(alive)',
    'const heir = partition.replicas.find(alive)',
  ]),
  bug('a new leader gets the epoch of the old one', [
    'metadata/src/partition-change.ts',
    'partition.leaderEpoch + (moved || outcome.unclean ? 1 : 0)',
    'partition.leaderEpoch + (outcome.unclean ? 1 : 0)',
  ]),
  bug('a fenced broker stays in sync', [
    'metadata/src/partition-change.ts',
    'const isr = (wish.isr ?? partition.isr).filter(alive)',
    'const isr = wish.isr ?? partition.isr',
  ]),
  bug(
    'a change of the in-sync set may name an older state',
    [
      'metadata/src/replicas.ts',
      'if (item.leaderEpoch < partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH\n  if (partition.leader !== sender) return ErrorCode.INVALID_REQUEST',
      '',
    ],
    [
      'metadata/src/replicas.ts',
      'if (item.partitionEpoch < partition.partitionEpoch) return ErrorCode.INVALID_UPDATE_VERSION',
      '',
    ],
  ),
  bug('a new incarnation keeps the leaderships of the old one', [
    'metadata/src/brokers.ts',
    'const records = [registration(request), ...departures(context, request, old)]',
    'const records = old === undefined ? [registration(request), ...departures(context, request, old)] : [registration(request)]',
  ]),
  bug('replicas that left below the minimum are forgotten', [
    'metadata/src/partition-change.ts',
    'return isr.length >= enough ? [] : complete.filter((broker) => !isr.includes(broker))',
    'return isr.length >= enough ? [] : []',
  ]),
]

/** Logs on disk. */
const STORAGE: readonly PlantedBug[] = [
  bug('the checkpoint promises what is not on disk', [
    'storage/src/directory-checkpoints.ts',
    'clean ? log.endOffset : log.recoveryPoint',
    'log.endOffset',
  ]),
]

export const PLANTED_BUGS: readonly PlantedBug[] = [...RAFT, ...REPLICATION, ...CONTROLLER, ...STORAGE]
