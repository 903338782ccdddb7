import { ErrorCode } from '@millrace/base'
import type { AlterPartition, AlterResult } from '@millrace/replication'
import type { AlterPartitionAnswer, AlterPartitionItem, BrokerFrame } from '@millrace/rpc'
import type { BrokerCounters } from './metrics.ts'
import type { BrokerReplica } from './replica.ts'

/** Partitions in one message. */
const MOST_ITEMS = 2000

export interface AlterRequestsHost {
  brokerEpoch(): number
  readonly counters: BrokerCounters
  /** False while there is no active session. */
  sendFrame(frame: BrokerFrame): boolean
  wantsFlush(): void
}

interface Asked {
  readonly replica: BrokerReplica
  readonly alter: AlterPartition
  sent: boolean
}

/**
 * What this broker's leaders ask the controller to change in their ISRs: one in flight a partition, many partitions a message, gone
 * with the session it was sent on. A machine that is told so asks again.
 */
export class AlterRequests {
  private readonly host: AlterRequestsHost
  private readonly asked = new Map<BrokerReplica, Asked>()
  private unsent = false

  constructor(host: AlterRequestsHost) {
    this.host = host
  }

  ask(replica: BrokerReplica, alter: AlterPartition): void {
    this.asked.set(replica, { replica, alter, sent: false })
    this.unsent = true
    this.host.wantsFlush()
  }

  forget(replica: BrokerReplica): void {
    this.asked.delete(replica)
  }

  /** End of the turn, and when a session becomes active. */
  flush(): void {
    if (!this.unsent) return
    const waiting = [...this.asked.values()].filter(({ sent }) => !sent)
    for (let from = 0; from < waiting.length; from += MOST_ITEMS) {
      const some = waiting.slice(from, from + MOST_ITEMS)
      const brokerEpoch = this.host.brokerEpoch()
      if (!this.host.sendFrame({ kind: 'alterPartitions', brokerEpoch, items: some.map(itemOf) })) return
      for (const asked of some) asked.sent = true
    }
    this.unsent = false
  }

  replies(answers: readonly AlterPartitionAnswer[]): void {
    const byPartition = new Map<string, Asked>()
    for (const asked of this.asked.values())
      byPartition.set(`${asked.replica.topicId}/${asked.replica.partition}`, asked)
    for (const answer of answers) {
      const asked = byPartition.get(`${answer.topicId}/${answer.partition}`)
      if (asked === undefined || asked.alter.requestId !== answer.requestId) continue
      if (this.asked.get(asked.replica) === asked) this.asked.delete(asked.replica)
      if (answer.error === ErrorCode.NONE) this.host.counters.isrChanges++
      asked.replica.step({ kind: 'alterReply', requestId: answer.requestId, result: resultOf(answer) })
    }
  }

  /** The session broke: nobody knows what became of what was sent. */
  lost(): void {
    for (const { replica, alter, sent } of this.asked.values()) {
      if (!sent) continue
      this.asked.delete(replica)
      replica.step({ kind: 'alterReply', requestId: alter.requestId, result: { kind: 'lost' } })
    }
  }
}

function itemOf({ replica, alter }: Asked): AlterPartitionItem {
  const { requestId, leaderEpoch, partitionEpoch, isr } = alter
  return { topicId: replica.topicId, partition: replica.partition, requestId, leaderEpoch, partitionEpoch, isr }
}

function resultOf({ error, isr, partitionEpoch, leaderEpoch }: AlterPartitionAnswer): AlterResult {
  return error === ErrorCode.NONE ? { kind: 'applied', isr, partitionEpoch, leaderEpoch } : { kind: 'rejected', error }
}
