import type { Random } from '@millrace/base'
import { createPartition } from '../index.ts'
import type {
  AlterPartition,
  BrokerState,
  FlushMode,
  PartitionInput,
  PartitionMachine,
  PartitionMessage,
  PartitionOutput,
  PartitionState,
} from '../types.ts'
import type { ModelLog, ModelRecord } from './model-log.ts'

export interface ModelAppend {
  readonly kind: 'append'
  readonly to: number
  readonly session: number
  readonly baseOffset: number
  readonly records: readonly ModelRecord[]
  readonly highWatermark: number
  readonly logStart: number
}

export type ModelMessage = PartitionMessage | ModelAppend

/** What the outside of a node sees of it. */
export interface NodeEvents {
  send(message: ModelMessage): void
  alter(alter: AlterPartition): void
  truncated(to: number, how: 'truncate' | 'restart'): void
  quarantined(reason: string): void
  failedWaiters(epoch: number): void
  /** After every step, with the outcome applied. */
  stepped(input: PartitionInput): void
}

export interface NodeOptions {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly flushMode: FlushMode
  readonly lagTimeMaxUs: number
  readonly random: Random
  readonly log: ModelLog
  readonly highWatermark: number
  readonly events: NodeEvents
  readonly create?: typeof createPartition
}

/** A broker as far as one partition goes: it does with a machine's outputs what the real node does, over a model log. */
export class ModelNode {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly log: ModelLog
  readonly machine: PartitionMachine
  quarantined = false
  private readonly events: NodeEvents
  private readonly cursors = new Map<number, number>()

  constructor(options: NodeOptions) {
    const { brokerId, brokerEpoch, log, events } = options
    this.brokerId = brokerId
    this.brokerEpoch = brokerEpoch
    this.log = log
    this.events = events
    const create = options.create ?? createPartition
    this.machine = create(
      { brokerId, brokerEpoch, topicId: 'AAAAAAAAAAAAAAAAAAAAAg', partition: 0 },
      {
        logStart: log.logStart,
        endOffset: log.endOffset,
        durableEnd: log.endOffset,
        lastEpoch: log.epochEnd(Number.MAX_SAFE_INTEGER)?.epoch ?? -1,
        highWatermark: options.highWatermark,
        generation: log.generation,
      },
      log,
      { flushMode: options.flushMode, lagTimeMaxUs: options.lagTimeMaxUs, random: options.random },
    )
  }

  step(input: PartitionInput): void {
    this.perform(this.machine.step(input))
    this.events.stepped(input)
  }

  private perform(output: PartitionOutput): void {
    const { send, alter, quarantine, failWaitersOfEpoch, beginEpoch, truncateTo, restartAt, logStart } = output
    if (truncateTo !== null) this.cut(truncateTo, 'truncate')
    if (restartAt !== null) this.cut(restartAt, 'restart')
    if (beginEpoch !== null) this.log.beginEpoch(beginEpoch)
    if (truncateTo === null && restartAt === null) this.log.advanceLogStart(logStart)
    for (const message of send) this.events.send(message)
    if (alter !== null) this.events.alter(alter)
    if (failWaitersOfEpoch !== null) this.events.failedWaiters(failWaitersOfEpoch)
    if (quarantine !== null) {
      this.quarantined = true
      this.events.quarantined(quarantine)
    }
  }

  private cut(offset: number, how: 'truncate' | 'restart'): void {
    this.events.truncated(offset, how)
    if (how === 'truncate') this.log.truncate(offset)
    else this.log.restart(offset)
    this.step({ kind: 'truncated', endOffset: this.log.endOffset, generation: this.log.generation })
  }

  metadata(state: PartitionState, brokers: ReadonlyMap<number, BrokerState>): void {
    this.step({ kind: 'metadata', state, brokers })
  }

  /** What a client's batches do at the leader. */
  produce(values: readonly string[]): number {
    const epoch = this.machine.leaderEpoch
    const baseOffset = this.log.endOffset
    this.log.append(values.map((value) => ({ epoch, value })))
    this.step({ kind: 'appended', endOffset: this.log.endOffset, generation: this.log.generation })
    return baseOffset
  }

  /** Sends each accepted follower what its log lacks, at most `limit` records each. */
  stream(limit = Infinity): void {
    const live = new Set<number>()
    for (const follower of this.machine.followers) {
      live.add(follower.session)
      const from = this.cursors.get(follower.session) ?? follower.acceptedEnd
      const to = Math.min(this.log.endOffset, from + limit)
      this.cursors.set(follower.session, Math.max(from, to))
      if (to <= from || from < this.log.logStart) continue
      this.events.send({
        kind: 'append',
        to: follower.brokerId,
        session: follower.session,
        baseOffset: from,
        records: this.log.slice(from, to),
        highWatermark: this.machine.highWatermark,
        logStart: this.machine.logStart,
      })
      this.machine.carried(follower.session)
    }
    for (const session of this.cursors.keys()) if (!live.has(session)) this.cursors.delete(session)
  }

  receive(from: number, brokerEpoch: number, message: ModelMessage): void {
    switch (message.kind) {
      case 'follow':
        this.step({ ...message, from, brokerEpoch })
        return
      case 'unfollow':
        this.step({ kind: 'unfollow', from, session: message.session })
        return
      case 'ack':
        this.step({ ...message, from })
        return
      case 'append':
        this.receiveAppend(from, message)
        return
      default:
        this.step({ kind: 'fromLeader', from, message })
    }
  }

  private receiveAppend(from: number, append: ModelAppend): void {
    const lastEpoch = append.records.at(-1)?.epoch ?? -1
    const header = { kind: 'append', session: append.session, baseOffset: append.baseOffset, lastEpoch } as const
    if (this.machine.mayWrite(from, header)) this.log.append(append.records)
    const { highWatermark, logStart } = append
    this.step({
      kind: 'fromLeader',
      from,
      message: { ...header, endOffset: this.log.endOffset, highWatermark, logStart },
    })
  }
}
