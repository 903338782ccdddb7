import { ErrorCode, OFFSETS_TOPIC, topicNameProblem } from '@millrace/base'
import { DeleteRecordsApi } from '@millrace/protocol'
import type { DeleteRecordsRequest, DeleteRecordsResponse } from '@millrace/protocol'
import type { Exchange } from './exchange.ts'
import { Deadline } from './purgatory/timing-wheel.ts'
import type { Handler, Services } from './services.ts'

type Asked = DeleteRecordsRequest['topics'][number]['partitions'][number]
type Answer = DeleteRecordsResponse['topics'][number]['partitions'][number]

const HIGH_WATERMARK = -1

/**
 * Moves the start of logs up, for every replica: the answer waits until all have, or says REQUEST_TIMED_OUT, and the deletion goes on.
 * Offset -1 means the watermark. The group coordinator's topic is refused, and so are topics that compaction alone may shorten.
 */
export function deleteRecordsHandler(services: Services): Handler<DeleteRecordsRequest, DeleteRecordsResponse> {
  return {
    api: DeleteRecordsApi,
    serve: (exchange, request) => new DeleteRecordsRun(services, exchange, request).begin(),
  }
}

interface Slot {
  readonly asked: Asked
  answer: Answer | null
}

class DeleteRecordsRun extends Deadline {
  private readonly services: Services
  private readonly exchange: Exchange<DeleteRecordsResponse>
  private readonly request: DeleteRecordsRequest
  private readonly topics: readonly { readonly name: string; readonly slots: readonly Slot[] }[]
  private unanswered = 1

  constructor(services: Services, exchange: Exchange<DeleteRecordsResponse>, request: DeleteRecordsRequest) {
    super()
    this.services = services
    this.exchange = exchange
    this.request = request
    this.topics = request.topics.map(({ name, partitions }) => ({
      name,
      slots: partitions.map((asked) => ({ asked, answer: null })),
    }))
  }

  begin(): void {
    for (const { name, slots } of this.topics)
      for (const slot of slots) {
        this.unanswered++
        this.remove(name, slot)
      }
    this.services.wheel.add(this, Math.max(0, this.request.timeoutMs))
    this.exchange.onAbandoned = () => this.cancel()
    this.answered()
  }

  expire(): void {
    this.exchange.connection.guard(() => {
      for (const { slots } of this.topics) for (const slot of slots) this.settle(slot, ErrorCode.REQUEST_TIMED_OUT, -1)
    })
  }

  private remove(topic: string, slot: Slot): void {
    const error = this.refusal(topic, slot.asked)
    if (error !== ErrorCode.NONE) {
      this.settle(slot, error, -1)
      return
    }
    const found = this.services.broker.replicas.find(topic, slot.asked.partitionIndex)
    if (typeof found === 'number') this.settle(slot, found, -1)
    else
      found.deleteRecords(slot.asked.offset, (outcome, lowWatermark) =>
        this.exchange.connection.guard(() => this.settle(slot, outcome, lowWatermark)),
      )
  }

  private refusal(topic: string, { offset }: Asked): ErrorCode {
    if (topicNameProblem(topic) !== null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (topic === OFFSETS_TOPIC) return ErrorCode.INVALID_TOPIC_EXCEPTION
    if (offset < 0 && offset !== HIGH_WATERMARK) return ErrorCode.OFFSET_OUT_OF_RANGE
    const { cleanupPolicy } = this.services.settings.topic(topic).config
    return cleanupPolicy.includes('compact') && !cleanupPolicy.includes('delete')
      ? ErrorCode.POLICY_VIOLATION
      : ErrorCode.NONE
  }

  private settle(slot: Slot, errorCode: ErrorCode, lowWatermark: number): void {
    if (slot.answer !== null) return
    slot.answer = {
      partitionIndex: slot.asked.partitionIndex,
      lowWatermark: errorCode === ErrorCode.NONE ? lowWatermark : -1,
      errorCode,
    }
    this.answered()
  }

  private answered(): void {
    if (--this.unanswered > 0) return
    this.cancel()
    this.exchange.respond({
      throttleTimeMs: 0,
      topics: this.topics.map(({ name, slots }) => ({ name, partitions: slots.map(({ answer }) => answer as Answer) })),
    })
  }
}
