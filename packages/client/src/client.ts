import { type Address, MillraceError } from '@millrace/base'
import { Admin } from './admin.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { Producer, type ProducerOptions } from './producer.ts'

export interface ClientOptions {
  /** `host:port`, one or several; any broker of the cluster will do. */
  readonly bootstrap: readonly string[]
  readonly clientId?: string
  /** Default 3 s. */
  readonly connectTimeoutMs?: number
  /** Default 30 s. */
  readonly requestTimeoutMs?: number
  /** How long admin calls and look-ups are tried again after errors that may pass. Default 30 s. */
  readonly retryTimeoutMs?: number
}

/** The client of one cluster: producers, consumers and admin share its connections and metadata. */
export class Client implements AsyncDisposable {
  readonly admin: Admin
  private readonly cluster: Cluster
  private readonly producers = new Set<Producer>()

  constructor(options: ClusterOptions) {
    this.cluster = new Cluster(options)
    this.admin = new Admin(this.cluster)
  }

  producer(options: ProducerOptions = {}): Producer {
    const producer = new Producer(this.cluster, options)
    this.producers.add(producer)
    return producer
  }

  consumer(options: ConsumerOptions): Consumer {
    return new Consumer(this.cluster, options)
  }

  /** Flushes the producers, then closes every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.producers].map((producer) => producer.close()))
    await this.cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const MAX_FRAME_BYTES = 128 * 1024 * 1024

/** Makes a client. Nothing is connected before it is needed. Throws `MillraceError` CONFIG_INVALID for a bad bootstrap address. */
export function createClient(options: ClientOptions): Client {
  return new Client({
    bootstrap: options.bootstrap.map(parseAddress),
    clientId: options.clientId ?? 'millrace',
    connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    retryTimeoutMs: options.retryTimeoutMs ?? 30_000,
    maxFrameBytes: MAX_FRAME_BYTES,
    metadataMaxAgeMs: 300_000,
    retryBackoffMs: 50,
    retryBackoffMaxMs: 1_000,
  })
}

function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port === 0 || port > 65_535)
    throw new MillraceError('CONFIG_INVALID', `"${text}" is not host:port`, {
      fix: 'Give the address of a broker, e.g. 127.0.0.1:9092.',
    })
  return { host: (match[1] ?? match[2]) as string, port }
}
