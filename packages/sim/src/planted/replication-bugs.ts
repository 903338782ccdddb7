import { bug, type PlantedBug } from './bug.ts'

/** Partitions: leader epochs, in-sync sets, the watermark. */
export const REPLICATION_BUGS: readonly PlantedBug[] = [
  bug('a follower cuts its log at the watermark', [
    'replication/src/follower.ts',
    '} else this.follow()\n  }\n\n  metadata',
    "} else if (log.endOffset > log.highWatermark) {\n      this.phase = 'truncating'\n      out.truncateTo = log.highWatermark\n    } else this.follow()\n  }\n\n  metadata",
  ]),
  bug(
    'what followers acknowledged to an earlier leadership counts on',
    [
      'replication/src/followers.ts',
      '(id) => this.get(id) ?? new FollowerSession(id, isr.committed.includes(id) ? nowUs : -Infinity),',
      '(id) =>\n        this.get(id) ??\n        Object.assign(new FollowerSession(id, isr.committed.includes(id) ? nowUs : -Infinity), (this.replica as any).kept?.get(id)),',
    ],
    [
      'replication/src/leader.ts',
      'follower.durableEnd = input.durableEnd\n',
      'follower.durableEnd = input.durableEnd\n    const { durableEnd } = follower\n    ;((this.replica as any).kept ??= new Map()).set(input.from, { durableEnd })\n',
    ],
  ),
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
    [
      'broker/src/replication-lanes.ts',
      "if (follower !== undefined && follower.brokerEpoch < epoch) follower.close('another incarnation is registered')",
      '',
    ],
  ),
  bug('acks=all is answered when the leader has written', [
    'broker/src/produce-queue.ts',
    'if (acks === -1) this.waiters.push(waiter)\n    else if (acks === 1)',
    'if (acks !== 0)',
  ]),
  bug('a deposed leader tells its producers that all is well', [
    'broker/src/replica.ts',
    'if (failWaitersOfEpoch !== null) this.failProduces(ErrorCode.NOT_LEADER_OR_FOLLOWER)',
    'if (failWaitersOfEpoch !== null) this.queue.passed(log.endOffset, true, machine.logStart)',
  ]),
  bug(
    'consumers read above the watermark',
    [
      'broker/src/replica-reads.ts',
      'availableBytes: idle || offset >= highWatermark ? 0 : estimatedBytes(replica, highWatermark - offset),',
      'availableBytes: idle || offset >= log.endOffset ? 0 : estimatedBytes(replica, log.endOffset - offset),',
    ],
    [
      'broker/src/replica-reads.ts',
      'replica.log.read(offset, maxBytes, replica.machine.highWatermark, answer, memory)',
      'replica.log.read(offset, maxBytes, replica.log.endOffset, answer, memory)',
    ],
  ),
  bug('a new leader takes all of its log for committed', [
    'replication/src/leader.ts',
    'replica.log.lowerHighWatermark(replica.log.promisedEnd)',
    'replica.log.raiseHighWatermark(replica.log.promisedEnd)',
  ]),
  bug('a leader accepts a follower whose log is another', [
    'replication/src/leader.ts',
    'const parts = divergence(log, input.endOffset, input.lastEpoch)',
    'const parts = input.endOffset <= log.endOffset ? null : divergence(log, input.endOffset, input.lastEpoch)',
  ]),
  bug('a follower forgets where the log begins', [
    'replication/src/follower.ts',
    'log.raiseLogStart(logStart)',
    'if (logStart < 0) log.raiseLogStart(logStart)',
  ]),
]
