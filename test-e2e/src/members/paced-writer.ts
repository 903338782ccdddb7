// Writes numbered records at a steady pace, each into the next partition, until it is acknowledged.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient, type Producer } from '@millrace/client'

const TURN_MS = 20
/** So long a turn may be late and be made up for. */
const LATE_TURNS = 5

export interface Pace {
  readonly topic: string
  readonly partitions: number
  /** Records in a second. */
  readonly rate: number
}

/**
 * Sends by the own client, which is idempotent: what is in a log twice was written twice. Partitions wait for nobody but themselves. (kafkajs does
 * not serve: of a send to many partitions it forgets the one that moves to a broker that has answered already, and calls it acknowledged.)
 */
export class PacedWriter {
  /** Numbers that were acknowledged. */
  readonly acknowledged: number[] = []
  /** Sends that were given up; what they sent may be in the log. */
  readonly failures: string[] = []
  private readonly client: Client
  private readonly producer: Producer
  private readonly pace: Pace
  private readonly underWay = new Set<Promise<void>>()
  private stopped = false
  private running: Promise<void> = Promise.resolve()

  constructor(bootstrap: readonly string[], pace: Pace) {
    this.pace = pace
    this.client = createClient({ bootstrap: [...bootstrap] })
    this.producer = this.client.producer()
  }

  start(): this {
    this.running = this.run()
    return this
  }

  /** What was begun is acknowledged when this resolves. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.running
    await Promise.all(this.underWay)
    await this.client.close()
  }

  private async run(): Promise<void> {
    const perTurn = (this.pace.rate * TURN_MS) / 1000
    let startMs = performance.now()
    let sent = 0
    for (let owed = 0; !this.stopped; await sleep(TURN_MS)) {
      const turns = (performance.now() - startMs) / TURN_MS
      // A process that stood still does not send all at once what it missed.
      owed += Math.min(turns, LATE_TURNS) * perTurn
      startMs += turns * TURN_MS
      for (; owed >= 1; owed--) this.send(sent++)
    }
  }

  private send(number: number): void {
    const { topic, partitions } = this.pace
    const sending = this.producer.send({ topic, partition: number % partitions, value: String(number) }).then(
      () => void this.acknowledged.push(number),
      (error: unknown) => void this.failures.push(`${number}: ${String(error)}`),
    )
    this.underWay.add(sending)
    void sending.finally(() => this.underWay.delete(sending))
  }
}
