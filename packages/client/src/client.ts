import { MillraceError } from '@millrace/base'
import { parseAddress } from './address.ts'
import { Admin } from './admin.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { checkNumbers, withDefaults } from './options.ts'
import { type CloseOptions, Producer, type ProducerOptions } from './producer.ts'

/** Where the cluster is, and how patient to be. */
export interface ClientOptions {
  /** `host:port`, one or several; any broker of the cluster will do. */
  readonly bootstrap: readonly string[]
  /** How the brokers' logs and metrics name this client. Default `millrace`. */
  readonly clientId?: string
  /** Default 3 s. */
  readonly connectTimeoutMs?: number
  /** Default 30 s. */
  readonly requestTimeoutMs?: number
  /** How long admin calls and look-ups are tried again after errors that may pass. Default 30 s. */
  readonly retryTimeoutMs?: number
  /** After this time topics in use are looked up again, so that new partitions are found. Default 5 minutes. */
  readonly metadataMaxAgeMs?: number
}

/** The client of one cluster: producers, consumers and admin share what it knows of brokers and topics. */
export class Client implements AsyncDisposable {
  /** Changes and describes topics. */
  readonly admin: Admin
  private readonly cluster: Cluster
  private readonly producers = new Set<Producer>()
  private readonly consumers = new Set<Consumer>()

  constructor(options: ClusterOptions) {
    this.cluster = new Cluster(options)
    this.admin = new Admin(this.cluster)
  }

  /** A producer with connections of its own. Throws `MillraceError` CONFIG_INVALID for options that make no sense. */
  producer(options: ProducerOptions = {}): Producer {
    const producer = new Producer(this.cluster, options, () => this.producers.delete(producer))
    this.producers.add(producer)
    return producer
  }

  /** A consumer with connections of its own; nothing is read before it is iterated. Throws `MillraceError` CONFIG_INVALID. */
  consumer(options: ConsumerOptions): Consumer {
    const consumer = new Consumer(this.cluster, options, () => this.consumers.delete(consumer))
    this.consumers.add(consumer)
    return consumer
  }

  /** Ends the consumers, flushes the producers, then closes every connection. Never rejects; nothing keeps the process alive afterwards. */
  async close(options: CloseOptions = {}): Promise<void> {
    for (const consumer of this.consumers) consumer.close()
    await Promise.all([...this.producers].map((producer) => producer.close(options)))
    this.admin.close()
    this.cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const MAX_FRAME_BYTES = 128 * 1024 * 1024
const DEFAULTS = {
  clientId: 'millrace',
  connectTimeoutMs: 3_000,
  requestTimeoutMs: 30_000,
  retryTimeoutMs: 30_000,
  metadataMaxAgeMs: 300_000,
}

/** Makes a client. Nothing is connected before it is needed. Throws `MillraceError` CONFIG_INVALID for a bad bootstrap address. */
export function createClient(options: ClientOptions): Client {
  const given = withDefaults(DEFAULTS, options)
  if (given.bootstrap.length === 0)
    throw new MillraceError('CONFIG_INVALID', 'no bootstrap address was given', {
      fix: 'Give the address of a broker, e.g. 127.0.0.1:9092.',
    })
  checkNumbers({ ...given }, 1, ['connectTimeoutMs', 'requestTimeoutMs', 'metadataMaxAgeMs'])
  checkNumbers({ ...given }, 0, ['retryTimeoutMs'])
  return new Client({
    ...given,
    bootstrap: given.bootstrap.map(parseAddress),
    maxFrameBytes: MAX_FRAME_BYTES,
    retryBackoffMs: 50,
    retryBackoffMaxMs: 1_000,
  })
}
