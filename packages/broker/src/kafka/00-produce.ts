import { ErrorCode, INTERNAL_TOPICS, topicNameProblem } from '@millrace/base'
import type { TopicConfig } from '@millrace/base'
import { ProduceApi } from '@millrace/protocol'
import type { ProduceRequest, ProduceResponse } from '@millrace/protocol'
import {
  batchBytes,
  checkProducedBatch,
  checkProducedRecords,
  clearLogAppendTime,
  codec,
  isLogAppendTime,
  isTransactional,
  maxTimestamp,
  recordsSection,
  setMaxTimestamp,
  stampLogAppendTime,
} from '@millrace/records'
import type { ProduceRules, RecordError } from '@millrace/records'
import type { Replica } from '../seams.ts'
import { endpointOf } from './endpoints.ts'
import type { Exchange } from './exchange.ts'
import { Deadline } from './purgatory/timing-wheel.ts'
import type { Handler, Services } from './services.ts'
import { produceError } from './version-errors.ts'

type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]
type Acks = 0 | 1 | -1

/** The client that may write to internal topics: Kafka's own tools call themselves so. */
const ADMIN_CLIENT = '__admin_client'
const NO_LEADER = Object.freeze({ leaderId: -1, leaderEpoch: -1 })
const NO_RECORD_ERRORS: PartitionAnswer['recordErrors'] = Object.freeze([])
/** The first version that says where the leader went (KIP-951). */
const NAMES_LEADER_SINCE = 10

/**
 * Appends one batch per partition, as it came: only offset, leader epoch and, on log-append-time topics, the timestamp are patched in the frame,
 * whose slice is then the log's. Errors are per partition. acks=0 has no answer, and its only error is the end of the connection. acks=-1
 * waits for the watermark; past `timeout_ms` what is not there yet is answered REQUEST_TIMED_OUT and stays in the log.
 *
 * Checked of each batch: header and CRC always; every record of an uncompressed batch, because that costs little; the records of a
 * compressed one only for compacted topics, where a record without a key would never go away, because inflating costs more than all
 * the rest. Version 13 names topics by id and is not served; 0 to 2 are advertised (KAFKA-18659) and refused.
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

/** One partition of a request, and its answer once there is one. */
class ProducePartition {
  readonly run: ProduceRun
  readonly topic: string
  readonly index: number
  readonly records: Uint8Array | null
  replica: Replica | null = null
  config: TopicConfig | null = null
  /** Waits for its inflated records. */
  inflating = false
  answered = false
  error: ErrorCode = ErrorCode.NONE
  message: string | null = null
  recordErrors: readonly RecordError[] | null = null
  baseOffset = -1
  logStart = -1
  logAppendTimeMs = -1

  constructor(run: ProduceRun, topic: string, index: number, records: Uint8Array | null) {
    this.run = run
    this.topic = topic
    this.index = index
    this.records = records
  }

  answer(): PartitionAnswer {
    return {
      index: this.index,
      errorCode: this.error,
      baseOffset: this.baseOffset,
      logAppendTimeMs: this.logAppendTimeMs,
      logStartOffset: this.logStart,
      recordErrors:
        this.recordErrors === null
          ? NO_RECORD_ERRORS
          : this.recordErrors.map(({ index, message }) => ({ batchIndex: index, batchIndexErrorMessage: message })),
      errorMessage: this.message,
      currentLeader: this.error === ErrorCode.NOT_LEADER_OR_FOLLOWER ? this.run.leader(this) : NO_LEADER,
    }
  }
}

class ProduceRun extends Deadline {
  private readonly services: Services
  private readonly exchange: Exchange<ProduceResponse>
  private readonly request: ProduceRequest
  private readonly partitions: ProducePartition[] = []
  private readonly nowMs: number
  private inflating = 0
  private unanswered = 0
  private begun = false

  constructor(services: Services, exchange: Exchange<ProduceResponse>, request: ProduceRequest) {
    super()
    this.services = services
    this.exchange = exchange
    this.request = request
    this.nowMs = services.broker.world.clock.wallMs()
  }

  /** Checks, and appends unless something has to be inflated first: then it returns true, and the connection's next produce waits. */
  begin(): boolean {
    for (const { name, partitionData } of this.request.topicData)
      for (const { index, records } of partitionData)
        this.partitions.push(new ProducePartition(this, name, index, records))
    this.unanswered = this.partitions.length
    for (const partition of this.partitions) this.check(partition)
    if (this.inflating > 0) return true
    this.appendAll()
    return false
  }

  expire(): void {
    for (const partition of this.partitions)
      if (!partition.answered) this.fail(partition, ErrorCode.REQUEST_TIMED_OUT, null)
  }

  leader({ topic, index }: ProducePartition): PartitionAnswer['currentLeader'] {
    const partition = this.services.broker.image.topicByName(topic)?.partitions[index]
    return partition === undefined ? NO_LEADER : { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch }
  }

  private check(partition: ProducePartition): void {
    const { acks } = this.request
    if (acks !== 0 && acks !== 1 && acks !== -1)
      this.fail(partition, ErrorCode.INVALID_REQUIRED_ACKS, `acks is ${acks}; it can be 0, 1 or -1 (all)`)
    else if (topicNameProblem(partition.topic) !== null)
      this.fail(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null)
    else if (INTERNAL_TOPICS.has(partition.topic) && this.exchange.clientId !== ADMIN_CLIENT)
      this.fail(partition, ErrorCode.INVALID_TOPIC_EXCEPTION, `${partition.topic} is written by the brokers only`)
    else {
      const found = this.services.broker.replicas.find(partition.topic, partition.index)
      if (typeof found === 'number') this.fail(partition, found, null)
      else {
        partition.replica = found
        this.checkBatch(partition)
      }
    }
  }

  private checkBatch(partition: ProducePartition): void {
    const config = this.services.settings.topic(partition.topic)
    partition.config = config
    const rules = rulesOf(config, this.exchange.version)
    const verdict = checkProducedBatch(partition.records, rules, this.nowMs)
    if (verdict.error !== ErrorCode.NONE) {
      this.fail(partition, verdict.error, verdict.message)
      return
    }
    const batch = batchOf(partition)
    const refusal = this.transactionProblem(batch)
    if (refusal !== ErrorCode.NONE) this.fail(partition, refusal, null)
    else if (codec(batch, 0) === 'none') this.checkRecords(partition, recordsSection(batch, 0))
    else if (rules.compacted) this.inflate(partition)
  }

  /** No transaction is under way here, so no partition is part of one. */
  private transactionProblem(batch: Uint8Array): ErrorCode {
    if (!isTransactional(batch, 0)) return ErrorCode.NONE
    if (this.request.transactionalId === null) return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return this.exchange.version >= 11 ? ErrorCode.TRANSACTION_ABORTABLE : ErrorCode.INVALID_TXN_STATE
  }

  private checkRecords(partition: ProducePartition, section: Uint8Array): void {
    const batch = batchOf(partition)
    const rules = rulesOf(partition.config as TopicConfig, this.exchange.version)
    const verdict = checkProducedRecords(batch, section, rules, this.nowMs)
    if (verdict.error !== ErrorCode.NONE) {
      partition.recordErrors = ('recordErrors' in verdict ? verdict.recordErrors : null) ?? null
      this.fail(partition, verdict.error, 'message' in verdict ? verdict.message : null)
    } else if ('maxTimestamp' in verdict && rules.timestampType === 'CreateTime')
      correctTimestamp(batch, verdict.maxTimestamp)
  }

  private inflate(partition: ProducePartition): void {
    const batch = batchOf(partition)
    const { compute, log } = this.services.broker.world
    const limit = this.services.broker.config.maxRequestBytes
    partition.inflating = true
    this.inflating++
    compute.inflate(codec(batch, 0) ?? 'none', recordsSection(batch, 0), limit, (error, section) => {
      this.exchange.connection.guard(() => {
        partition.inflating = false
        this.inflating--
        if (error === null) this.checkRecords(partition, section)
        else {
          log.debug({ topic: partition.topic, partition: partition.index, error }, 'a batch did not inflate')
          this.fail(partition, ErrorCode.INVALID_RECORD, `the records cannot be decompressed: ${error.message}`)
        }
        if (this.inflating > 0) return
        this.appendAll()
        this.exchange.connection.produceChecked()
      })
    })
  }

  private appendAll(): void {
    this.begun = true
    const acks = this.request.acks as Acks
    for (const partition of this.partitions) if (!partition.answered) this.append(partition, acks)
    if (acks === 0) {
      if (!this.refuseSilently()) this.exchange.silence()
      return
    }
    if (this.unanswered === 0) this.respond()
    else if (acks === -1) this.services.wheel.add(this, Math.max(0, this.request.timeoutMs))
  }

  private append(partition: ProducePartition, acks: Acks): void {
    const batch = batchOf(partition)
    this.stamp(partition, batch)
    ;(partition.replica as Replica).append(batch, acks, (error, baseOffset, logStart, logAppendTimeMs) => {
      if (acks === 0) {
        if (error !== ErrorCode.NONE) {
          partition.error = error
          this.refuseSilently()
        }
        return
      }
      if (partition.answered) return
      partition.baseOffset = baseOffset
      partition.logStart = logStart
      if (logAppendTimeMs !== -1) partition.logAppendTimeMs = logAppendTimeMs
      this.settle(partition, error)
    })
  }

  /** The topic says whose clock counts. */
  private stamp(partition: ProducePartition, batch: Uint8Array): void {
    if (partition.config?.messageTimestampType === 'LogAppendTime') {
      stampLogAppendTime(batch, 0, this.nowMs)
      partition.logAppendTimeMs = this.nowMs
    } else if (isLogAppendTime(batch, 0)) clearLogAppendTime(batch, 0)
  }

  private fail(partition: ProducePartition, error: ErrorCode, message: string | null): void {
    partition.message = message
    this.settle(partition, error)
  }

  private settle(partition: ProducePartition, error: ErrorCode): void {
    partition.answered = true
    partition.error = produceError(error, this.exchange.version)
    if (error !== ErrorCode.NONE) {
      partition.baseOffset = -1
      partition.logAppendTimeMs = -1
    }
    this.unanswered--
    if (this.unanswered === 0 && this.begun && this.request.acks !== 0) this.respond()
  }

  /** With acks=0 the end of the connection is the only way to tell of an error. True when it was one. */
  private refuseSilently(): boolean {
    const failed = this.partitions.find(({ error }) => error !== ErrorCode.NONE)
    if (failed === undefined) return false
    const reason = `a produce with acks=0 to ${failed.topic}-${failed.index} failed with error ${failed.error}`
    this.exchange.connection.refuse('silent-produce', reason)
    return true
  }

  private respond(): void {
    this.cancel()
    const answers = this.partitions[Symbol.iterator]()
    const responses = this.request.topicData.map(({ name, partitionData }) => ({
      name,
      partitionResponses: partitionData.map(() => (answers.next().value as ProducePartition).answer()),
    }))
    this.exchange.respond({ responses, throttleTimeMs: 0, nodeEndpoints: this.endpoints(responses) })
  }

  /** Where the leaders that the answer names are, so that the client can go on without asking. */
  private endpoints(responses: ProduceResponse['responses']): ProduceResponse['nodeEndpoints'] {
    if (this.exchange.version < NAMES_LEADER_SINCE) return []
    const leaders = new Set<number>()
    for (const { partitionResponses } of responses)
      for (const { currentLeader } of partitionResponses)
        if (currentLeader.leaderId >= 0) leaders.add(currentLeader.leaderId)
    const { image } = this.services.broker
    return [...leaders].flatMap((id) => {
      const broker = image.brokers.get(id)
      const endpoint = broker === undefined ? null : endpointOf(broker, this.services.listener.name)
      return endpoint === null ? [] : [endpoint]
    })
  }
}

function batchOf({ records }: ProducePartition): Uint8Array {
  const bytes = records as Uint8Array
  const size = batchBytes(bytes, 0)
  return size === bytes.length ? bytes : bytes.subarray(0, size)
}

/** Kafka keeps the records' own time right in the header, because the time index is built from it. */
function correctTimestamp(batch: Uint8Array, maxTimestampMs: number): void {
  if (maxTimestamp(batch, 0) !== maxTimestampMs) setMaxTimestamp(batch, 0, maxTimestampMs)
}

function rulesOf(config: TopicConfig, version: number): ProduceRules {
  return {
    maxMessageBytes: config.maxMessageBytes,
    segmentBytes: config.segmentBytes,
    compacted: config.cleanupPolicy.includes('compact'),
    timestampType: config.messageTimestampType,
    timestampBeforeMaxMs: config.messageTimestampBeforeMaxMs,
    timestampAfterMaxMs: config.messageTimestampAfterMaxMs,
    zstdAllowed: version >= 7,
  }
}
