import { ErrorCode, type Uuid, INTERNAL_TOPICS, topicNameProblem } from '@millrace/base'
import { ProduceApi } from '@millrace/protocol'
import type { ProduceRequest, ProduceResponse } from '@millrace/protocol'
import type { AppendAnswer, Replica } from '../seams.ts'
import { BatchIntake } from './batch-intake.ts'
import { endpointsOf } from './endpoints.ts'
import type { Exchange } from './exchange.ts'
import { ProducePartition } from './produce-partition.ts'
import { Deadline } from './purgatory/timing-wheel.ts'
import type { Handler, Services } from './services.ts'
import { produceError } from './version-errors.ts'

/** The client that may write to internal topics: Kafka's own tools call themselves so. */
const ADMIN_CLIENT = '__admin_client'
/** The first version that says where the leader went (KIP-951). */
const NAMES_LEADER_SINCE = 10
/** The first version that names topics by id (KIP-516). */
const IDS_SINCE = 13

/**
 * Appends one batch per partition, mostly as it came: only its offset and its leader epoch are set, in the request's own bytes, whose slice
 * is then the log's. Errors are per partition. acks=0 has no answer, and its only error is the end of the connection. acks=-1 waits for
 * the watermark; past `timeout_ms` what is not there yet is answered REQUEST_TIMED_OUT and stays in the log. Version 13 names topics by id;
 * 0 to 2 are advertised (KAFKA-18659) and refused.
 */
export function produceHandler(services: Services): Handler<ProduceRequest, ProduceResponse> {
  return {
    api: ProduceApi,
    serve(exchange, request) {
      const run = new ProduceRun(services, exchange, request)
      exchange.connection.beginProduce(() => run.begin())
    },
  }
}

/** A topic of the request: the next `count` partitions are its. */
interface TopicShape {
  readonly name: string
  readonly topicId: Uuid
  readonly count: number
}

/**
 * One produce. It keeps nothing of the request's bytes once they are appended: the log holds them as long as it wants, and who waits for a
 * watermark that does not move must not hold more.
 */
class ProduceRun extends Deadline {
  private readonly services: Services
  private readonly exchange: Exchange<ProduceResponse>
  private readonly acks: number
  private readonly timeoutMs: number
  private readonly transactionalId: string | null
  private readonly shape: TopicShape[] = []
  private readonly partitions: ProducePartition[] = []
  private inflating = 0
  private unanswered = 0

  constructor(services: Services, exchange: Exchange<ProduceResponse>, request: ProduceRequest) {
    super()
    this.services = services
    this.exchange = exchange
    this.acks = request.acks
    this.timeoutMs = request.timeoutMs
    this.transactionalId = request.transactionalId
    for (const { name: named, topicId, partitionData } of request.topicData) {
      // The name of an id that is not known is no topic's.
      const name = exchange.version < IDS_SINCE ? named : (services.broker.image.topics.get(topicId)?.name ?? '')
      this.shape.push({ name, topicId, count: partitionData.length })
      for (const { index, records } of partitionData) this.partitions.push(new ProducePartition(name, index, records))
    }
  }

  /** Checks, and appends unless something has to be inflated first: then it returns true, and the connection's next produce waits. */
  begin(): boolean {
    const intake = new BatchIntake(this.services, {
      version: this.exchange.version,
      transactionalId: this.transactionalId,
      nowMs: this.services.broker.world.clock.wallMs(),
    })
    const later = (finish: () => void): void =>
      this.exchange.connection.guard(() => {
        finish()
        this.inflated()
      })
    for (const partition of this.partitions) {
      const found = this.find(partition)
      if (typeof found === 'number') partition.refuse(found, this.explain(partition, found))
      else {
        partition.replica = found
        if (intake.take(partition, later)) this.inflating++
      }
    }
    if (this.inflating > 0) return true
    this.append()
    return false
  }

  expire(): void {
    this.exchange.connection.guard(() => {
      for (const partition of this.partitions) {
        if (partition.answered) continue
        partition.refuse(ErrorCode.REQUEST_TIMED_OUT)
        this.settle(partition)
      }
    })
  }

  private find({ topic, index }: ProducePartition): Replica | ErrorCode {
    const { acks } = this
    if (acks !== 0 && acks !== 1 && acks !== -1) return ErrorCode.INVALID_REQUIRED_ACKS
    if (topic === '' && this.exchange.version >= IDS_SINCE) return ErrorCode.UNKNOWN_TOPIC_ID
    if (topicNameProblem(topic) !== null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (INTERNAL_TOPICS.has(topic) && this.exchange.clientId !== ADMIN_CLIENT) return ErrorCode.INVALID_TOPIC_EXCEPTION
    return this.services.broker.replicas.find(topic, index)
  }

  private explain({ topic }: ProducePartition, error: ErrorCode): string | null {
    if (error === ErrorCode.INVALID_REQUIRED_ACKS) return `acks is ${this.acks}; it can be 0, 1 or -1 (all)`
    return error === ErrorCode.INVALID_TOPIC_EXCEPTION ? `${topic} is written by the brokers only` : null
  }

  private inflated(): void {
    if (--this.inflating > 0) return
    this.append()
    this.exchange.connection.produceChecked()
  }

  private append(): void {
    const { acks } = this
    this.exchange.forgetBody()
    this.unanswered = 1
    for (const partition of this.partitions) {
      const { batch, replica } = partition
      partition.release()
      this.unanswered++
      if (batch === null) this.settle(partition)
      else (replica as Replica).append(batch, acks as 0 | 1 | -1, this.answerTo(partition))
    }
    if (acks === 0) {
      if (!this.refuseSilently()) this.exchange.silence()
      return
    }
    if (acks === -1) {
      this.services.wheel.add(this, Math.max(0, this.timeoutMs))
      this.exchange.onAbandoned = () => this.cancel()
    }
    this.settled()
  }

  /** Called by the log in the midst of others' answers, which a failure here must not touch. */
  private answerTo(partition: ProducePartition): AppendAnswer {
    return (error, baseOffset, logStart, logAppendTimeMs, message) => {
      if (partition.answered) return
      if (message === undefined) partition.error = error
      else partition.refuse(error, message)
      if (error === ErrorCode.NONE) {
        partition.baseOffset = baseOffset
        partition.logStart = logStart
        partition.logAppendTimeMs = logAppendTimeMs
      }
      try {
        if (this.acks === 0) this.refuseSilently()
        else this.settle(partition)
      } catch (failure) {
        this.exchange.connection.failed(failure)
      }
    }
  }

  private settle(partition: ProducePartition): void {
    partition.answered = true
    if (partition.error === ErrorCode.NOT_LEADER_OR_FOLLOWER) this.nameLeader(partition)
    partition.error = produceError(partition.error, this.exchange.version)
    this.settled()
  }

  private settled(): void {
    if (--this.unanswered === 0 && this.acks !== 0) this.respond()
  }

  private nameLeader(partition: ProducePartition): void {
    const known = this.services.broker.image.topicByName(partition.topic)?.partitions[partition.index]
    if (known !== undefined) partition.currentLeader = { leaderId: known.leader, leaderEpoch: known.leaderEpoch }
  }

  /** With acks=0 the end of the connection is the only way to tell of an error. True when there was one. */
  private refuseSilently(): boolean {
    const failed = this.partitions.find(({ error }) => error !== ErrorCode.NONE)
    if (failed === undefined) return false
    const reason = `a produce with acks=0 to ${failed.topic}-${failed.index} failed with error ${failed.error}`
    this.exchange.connection.refuse('silent-produce', reason)
    return true
  }

  private respond(): void {
    this.cancel()
    let at = 0
    const responses = this.shape.map(({ name, topicId, count }) => ({
      name,
      topicId,
      partitionResponses: this.partitions.slice(at, (at += count)).map((partition) => partition.answer()),
    }))
    this.exchange.respond({ responses, throttleTimeMs: 0, nodeEndpoints: this.endpoints() })
  }

  /** Where the leaders that the answer names are, so that the client can go on without asking. */
  private endpoints(): ProduceResponse['nodeEndpoints'] {
    if (this.exchange.version < NAMES_LEADER_SINCE) return []
    return endpointsOf(
      this.services,
      this.partitions.map(({ currentLeader }) => currentLeader),
    )
  }
}
