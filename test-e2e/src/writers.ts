// Producers that nobody of this project wrote, sending numbered lines and knowing which of them were acknowledged.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Producer } from 'kafkajs'

/** A producer under way: values are unique, one after the other, to partition 0. */
export interface NumberedWriter {
  readonly name: string
  /** Values are this, a dash, a number. */
  readonly prefix: string
  /** Whether what it retries keeps its place. */
  readonly ordered: boolean
  /** Sends that the program gave up. */
  readonly failures: number
  /** The values that the cluster acknowledged, in the order of acknowledgement. */
  readonly acknowledged: readonly string[]
  /** When, in milliseconds of the monotonic clock. */
  readonly times: readonly number[]
  stop(): Promise<void>
}

/** kafkajs: sends the next record when the one before is acknowledged, and again until it is. */
export class KafkaJsWriter implements NumberedWriter {
  readonly name = 'kafkajs'
  readonly ordered = true
  readonly acknowledged: string[] = []
  readonly times: number[] = []
  /** A send that fails is sent again. */
  failures = 0
  private readonly producer: Producer
  private readonly topic: string
  readonly prefix = 'js'
  private stopped = false
  private running: Promise<void> = Promise.resolve()

  /**
   * A request that is not answered makes kafkajs try the same node again until its metadata is `metadataMaxAgeMs` old: the default is right
   * for connections that break, a test with a silent node wants less.
   */
  constructor(bootstrap: readonly string[], topic: string, metadataMaxAgeMs = 60_000) {
    this.topic = topic
    const retry = { initialRetryTime: 20, maxRetryTime: 50, factor: 0, multiplier: 1, retries: 1_000 }
    const kafka = new Kafka({
      clientId: 'writer',
      brokers: [...bootstrap],
      logLevel: logLevel.NOTHING,
      retry,
      connectionTimeout: 500,
      requestTimeout: 3_000,
    })
    this.producer = kafka.producer({
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry,
      metadataMaxAge: metadataMaxAgeMs,
    })
  }

  async start(): Promise<this> {
    await this.producer.connect()
    this.running = this.run()
    return this
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.running
    await this.producer.disconnect()
  }

  private async run(): Promise<void> {
    for (let number = 0; !this.stopped; number++) {
      const value = `${this.prefix}-${number}`
      while (!(await this.send(value))) if (this.stopped) return
      this.acknowledged.push(value)
      this.times.push(performance.now())
    }
  }

  private async send(value: string): Promise<boolean> {
    try {
      await this.producer.send({
        topic: this.topic,
        acks: -1,
        timeout: 5_000,
        messages: [{ key: null, value, partition: 0 }],
      })
      return true
    } catch {
      this.failures++
      await sleep(20)
      return false
    }
  }
}

/** kcat reads blocks of so many bytes: a shorter line waits for the next ones. */
const KCAT_LINE_BYTES = 1024
const PADDING = '.'

/** Whether kcat is installed. */
export function hasKcat(): boolean {
  return spawnSync('kcat', ['-V']).error === undefined
}

/**
 * kcat: takes lines as they come, with retries by librdkafka. It tells how many were delivered and not which: what counts is that all are
 * once it stopped.
 */
export class KcatWriter implements NumberedWriter {
  readonly name = 'kcat'
  /** Without idempotence librdkafka sends what failed after what waited behind it. */
  readonly ordered = false
  readonly acknowledged: string[] = []
  readonly times: number[] = []
  failures = 0
  private readonly child: ChildProcess
  private readonly gone: Promise<unknown>
  readonly prefix: string
  private sent = 0
  private partial = ''
  private stopped = false
  private readonly feeding: Promise<void>

  constructor(bootstrap: readonly string[], topic: string, prefix = 'kcat') {
    this.prefix = prefix
    const settings = {
      acks: '-1',
      'max.in.flight.requests.per.connection': '1',
      'message.timeout.ms': '120000',
      'message.send.max.retries': '100000',
      'retry.backoff.ms': '50',
      'reconnect.backoff.ms': '20',
      'reconnect.backoff.max.ms': '200',
      'socket.timeout.ms': '3000',
      'request.timeout.ms': '3000',
      'topic.metadata.refresh.fast.interval.ms': '50',
      'linger.ms': '0',
    }
    const options = Object.entries(settings).flatMap(([key, value]) => ['-X', `${key}=${value}`])
    const args = ['-P', '-b', bootstrap.join(','), '-t', topic, '-p', '0', '-vvv', ...options]
    this.child = spawn('kcat', args, { stdio: ['pipe', 'ignore', 'pipe'] })
    this.child.stdin?.on('error', () => {})
    this.child.stderr?.on('data', (chunk: Buffer) => this.heard(chunk.toString()))
    this.gone = once(this.child, 'exit')
    this.feeding = this.feed()
  }

  /** Every line is delivered, or told as a complaint, when this resolves. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.feeding
    this.child.stdin?.end()
    await this.gone
    if (this.failures === 0 && this.acknowledged.length !== this.sent)
      throw new Error(`kcat told of ${this.acknowledged.length} deliveries of ${this.sent}`)
  }

  /** Goes on whatever is delivered: kcat looks for deliveries only when it has read a line. */
  private async feed(): Promise<void> {
    while (!this.stopped) {
      this.child.stdin?.write(`${`${this.prefix}-${this.sent++}`.padEnd(KCAT_LINE_BYTES - 1, PADDING)}\n`)
      await sleep(4)
    }
  }

  private heard(text: string): void {
    const lines = (this.partial + text).split('\n')
    this.partial = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('% Message delivered')) {
        this.acknowledged.push(`${this.prefix}-${this.acknowledged.length}`)
        this.times.push(performance.now())
      } else if (line.includes('Delivery failed')) this.failures++
    }
  }
}

/** Resolves when `count` more records were acknowledged. */
export async function progress(writer: NumberedWriter, count: number, timeoutMs = 30_000): Promise<void> {
  const goal = writer.acknowledged.length + count
  const deadline = performance.now() + timeoutMs
  while (writer.acknowledged.length < goal) {
    if (performance.now() > deadline)
      throw new Error(`${writer.name}: no ${count} acknowledgements within ${timeoutMs} ms`)
    await sleep(5)
  }
}

/** The longest time without an acknowledgement that ended after `since`. */
export function longestGap({ times }: NumberedWriter, since: number): number {
  let longest = 0
  let last = since
  for (const time of times) {
    if (time < since) continue
    longest = Math.max(longest, time - last)
    last = time
  }
  return longest
}

export interface Comparison {
  /** Acknowledged and not read back. */
  readonly lost: readonly string[]
  readonly repeated: number
  /** By first occurrence, among the values of one writer. */
  readonly outOfOrder: number
}

/** Holds what was read back against what a writer was promised. */
export function compare(acknowledged: readonly string[], read: readonly string[], prefix: string): Comparison {
  const seen = new Set<string>()
  let repeated = 0
  let outOfOrder = 0
  let last = -1
  for (const padded of read) {
    const value = padded.replace(/\.+$/, '')
    if (!value.startsWith(`${prefix}-`)) continue
    if (seen.has(value)) {
      repeated++
      continue
    }
    seen.add(value)
    const number = Number(value.slice(prefix.length + 1))
    if (number < last) outOfOrder++
    last = Math.max(last, number)
  }
  return { lost: acknowledged.filter((value) => !seen.has(value)), repeated, outOfOrder }
}
