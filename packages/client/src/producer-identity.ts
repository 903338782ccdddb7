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
 * The numbers of one partition's batches, of which at most one is on its way. What is repeated keeps its numbers. Where it is not known whether a
 * batch was written that is given up, the next one begins a new epoch: the broker refuses the old one if it still comes.
 */
export class Numbering {
  private readonly identity: ProducerIdentity
  private producerId = -1
  private epoch = 0
  private next = 0

  constructor(identity: ProducerIdentity) {
    this.identity = identity
  }

  /** The numbers of the next batch; `producerId` is the producer's, for a partition that has none yet. */
  numbers(producerId: number): BatchNumbers {
    if (this.producerId < 0) Object.assign(this, { producerId, epoch: 0, next: 0 })
    return { producerId: this.producerId, producerEpoch: this.epoch, baseSequence: this.next }
  }

  /** The batch with the last numbers, of so many records, is written. */
  written(records: number): void {
    this.next = (this.next + records) & LAST_SEQUENCE
  }

  /** The batch with the last numbers is given up, and may be written. */
  lost(): void {
    if (this.epoch >= LAST_EPOCH) return this.leave()
    this.epoch++
    this.next = 0
  }

  /** Somebody else uses the id. */
  leave(): void {
    this.producerId = -1
    this.identity.renew()
  }
}
