import { randomUUID } from 'node:crypto'
import {
  ConsumerGroupHeartbeatApi,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
} from '@millrace/protocol'
import { frameOf } from './raw-connection.ts'
import { RawMember } from './raw-member.ts'

const VERSION = 1
const REBALANCE_MS = 60_000

/** Of KIP-848: it takes what it is given and says so at once. */
export class NewerMember extends RawMember {
  private readonly memberId = randomUUID()
  private epoch = 0
  private owned: ConsumerGroupHeartbeatRequest['topicPartitions'] = []
  private frame: Uint8Array = new Uint8Array()

  protected join(): void {
    this.epoch = 0
    this.owned = []
    const whole = { rebalanceTimeoutMs: REBALANCE_MS, subscribedTopicNames: [this.options.topic] }
    this.beat(this.frameWith({ ...whole, topicPartitions: [] }))
  }

  private beat(frame: Uint8Array): void {
    const sentMs = performance.now()
    this.wire.send(ConsumerGroupHeartbeatApi, VERSION, frame, (response) => {
      if (response.errorCode !== 0) return this.refused('ConsumerGroupHeartbeat', response.errorCode)
      const tookMs = performance.now() - sentMs
      this.options.tally.answered(tookMs)
      this.heard(response, tookMs)
    })
  }

  private heard(
    { memberEpoch, assignment, heartbeatIntervalMs }: ConsumerGroupHeartbeatResponse,
    tookMs: number,
  ): void {
    const isNew = memberEpoch !== this.epoch
    this.epoch = memberEpoch
    if (isNew) this.frame = this.frameWith({})
    if (assignment !== null) {
      this.owned = assignment.topicPartitions
      this.steady(this.owned.length > 0)
      this.later(0, () => this.beat(this.frameWith({ topicPartitions: this.owned })))
    } else this.later(heartbeatIntervalMs - tookMs, () => this.beat(this.frame))
  }

  private frameWith(news: Partial<ConsumerGroupHeartbeatRequest>): Uint8Array {
    return frameOf(ConsumerGroupHeartbeatApi, VERSION, {
      groupId: this.options.groupId,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...news,
    })
  }
}
