import { ErrorCode } from '@millrace/base'
import { InitProducerIdApi } from '@millrace/protocol'
import type { Cluster } from './cluster.ts'
import { KafkaError } from './errors.ts'
import { retrying } from './retry.ts'

/** The last epoch of an id that a producer may use. */
const LAST_EPOCH = 0x7ffe
const LAST_SEQUENCE = 0x7fff_ffff

/** What the broker knows a repetition of a batch by. */
export interface BatchNumbers {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

/** The id of an idempotent producer, which a broker gives when the first batch leaves. */
export class ProducerIdentity {
  private readonly cluster: Cluster
  private asked: Promise<number> | null = null

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** Rejects as `retrying` does, and with `KafkaError` where the broker gives none; asked again then. */
  id(): Promise<number> {
    if (this.asked !== null) return this.asked
    const asked = this.ask()
    this.asked = asked
    asked.catch(() => this.forget(asked))
    return asked
  }

  /** The next one who asks gets another id. */
  renew(): void {
    this.asked = null
  }

  private forget(asked: Promise<number>): void {
    if (this.asked === asked) this.asked = null
  }

  private ask(): Promise<number> {
    const { cluster } = this
    return retrying('producer id', cluster.retryRules(), async () => {
      const { errorCode, producerId } = await cluster
        .sendToAny(InitProducerIdApi, NO_IDENTITY)
        .catch((error: Error) => Promise.reject(explained(error)))
      if (errorCode !== ErrorCode.NONE) throw explained(new KafkaError(errorCode as ErrorCode, 'producer id'))
      return producerId
    })
  }
}

const NO_IDENTITY = { transactionalId: null, transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 }

function explained(error: Error): Error {
  if (!(error instanceof KafkaError) || error.retriable) return error
  const detail = `${error.message}; with idempotent: false it does without, and a retry may write a record twice`
  return new KafkaError(error.code, 'the producer cannot be idempotent', detail)
}

/**
 * The numbers of one partition's batches, in the order in which they leave for the first time. What is repeated keeps its numbers. Where it is not
 * known whether a batch was written that is given up, the next one begins a new epoch: the broker refuses the old one if it still comes.
 */
export class Numbering {
  private readonly identity: ProducerIdentity
  private producerId = -1
  private epoch = 0
  private next = 0
  /** A batch of this epoch is written. */
  private written = false

  constructor(identity: ProducerIdentity) {
    this.identity = identity
  }

  /**
   * The broker knows the epoch, and so refuses whatever comes out of order. A producer that it does not know may begin with any number: then a
   * second batch could be written while the first one is not.
   */
  get known(): boolean {
    return this.written
  }

  /** The partition begins with this id where it has none. */
  enter(producerId: number): void {
    if (this.producerId < 0) Object.assign(this, { producerId, epoch: 0, next: 0 })
  }

  /** A batch with these numbers is written. */
  confirm({ producerId, producerEpoch }: BatchNumbers): void {
    this.written ||= producerId === this.producerId && producerEpoch === this.epoch
  }

  /** The numbers of the next batch, of so many records. */
  take(records: number): BatchNumbers {
    const { producerId, epoch: producerEpoch, next: baseSequence } = this
    this.next = (baseSequence + records) & LAST_SEQUENCE
    return { producerId, producerEpoch, baseSequence }
  }

  /** The batch with these numbers, the last of those that left, is not written and never will be: the next one takes its place. */
  giveBack({ producerId, producerEpoch, baseSequence }: BatchNumbers): void {
    if (producerId === this.producerId && producerEpoch === this.epoch) this.next = baseSequence
  }

  /** A batch is given up that may be written. */
  lost(): void {
    if (this.epoch >= LAST_EPOCH) return this.leave()
    this.epoch++
    this.next = 0
    this.written = false
  }

  /** Somebody else uses the id. */
  leave(): void {
    this.producerId = -1
    this.written = false
    this.identity.renew()
  }
}
