import { SeededRandom } from '@millrace/host'
import { Draw } from '../../src/run/draw.ts'
import type { Operation } from '../../src/seams.ts'

interface Slot {
  readonly value: string
  readonly timestampMs: number
}

interface Client {
  readonly name: string
  /** When its last operation took effect or ended. */
  freeUs: number
  /** Next offset to poll, by partition. */
  readonly next: number[]
  /** Where the last poll that gave anything ended. */
  readonly read: number[]
}

/**
 * A history as a cluster without faults in it could give it: a model of some logs in which operations of several clients take effect one after the other,
 * each at an instant between its beginning and its end.
 */
export class GoodHistory {
  readonly operations: Operation[] = []
  private readonly draw: Draw
  private readonly logs: Slot[][] = []
  private readonly starts: number[] = []
  private readonly clients: Client[] = []
  private nowUs = 0
  private nextValue = 0

  constructor(seed: number, steps = 120) {
    this.draw = new Draw(new SeededRandom(`good-history/${seed}`))
    const partitions = this.draw.between(1, 3)
    for (let at = 0; at < partitions; at++) {
      this.logs.push([])
      this.starts.push(0)
    }
    const names = Array.from({ length: this.draw.between(2, 5) }, (_, at) => `client-${at + 1}`)
    for (const name of names)
      this.clients.push({ name, freeUs: 0, next: this.logs.map(() => 0), read: this.logs.map(() => 0) })
    for (let step = 0; step < steps; step++) this.step()
    this.readAll()
    this.operations.sort((a, b) => orderOf(a) - orderOf(b))
  }

  private step(): void {
    const { draw } = this
    const client = draw.pick(this.clients)
    const partition = draw.between(0, this.logs.length - 1)
    const kind = draw.weighted({ send: 50, poll: 40, lookup: 7, delete: 3 })
    if (kind === 'send') this.send(client, partition)
    else if (kind === 'poll') this.poll(client, partition)
    else if (kind === 'lookup') this.lookup(client, partition)
    else this.delete(client, partition)
  }

  /** The instants of an operation that takes effect now. */
  private times(client: Client): { invokedUs: number; endedUs: number } {
    this.nowUs = Math.max(this.nowUs + this.draw.between(10, 1_000), client.freeUs + 2)
    const invokedUs = Math.max(client.freeUs + 1, this.nowUs - this.draw.between(0, 3_000))
    const endedUs = this.nowUs + this.draw.between(0, 3_000)
    client.freeUs = this.nowUs
    return { invokedUs, endedUs }
  }

  private send(client: Client, partition: number): void {
    const { draw } = this
    const acks = draw.pick([-1, -1, 1, 0] as const)
    const outcome = acks === 0 ? 'info' : draw.weighted({ ok: 80, info: 10, fail: 10 })
    const copies = outcome === 'fail' ? 0 : acks === -1 && draw.chance(10) ? 2 : 1
    const times = this.times(client)
    const timestampMs = Math.floor(times.invokedUs / 100)
    const names = Array.from({ length: draw.between(1, 4) }, () => `${client.name}:${this.nextValue++}`)
    const log = this.logs[partition] as Slot[]
    const written =
      outcome === 'fail' ? 0 : outcome === 'ok' && acks !== 1 ? draw.between(1, copies) : draw.between(0, copies)
    let offset = log.length
    for (let copy = 0; copy < written; copy++) {
      offset = log.length
      log.push(...names.map((value) => ({ value, timestampMs })))
    }
    this.operations.push({
      client: client.name,
      kind: 'send',
      ...times,
      outcome,
      topic: 'topic',
      partition,
      values: names.map((value, at) => ({ value, offset: outcome === 'ok' ? offset + at : -1 })),
      acks,
      copies,
      connection: copies === 2 ? -1 : Number(client.name.slice(7)),
      timestampMs,
    })
  }

  private poll(client: Client, partition: number, final = false): number {
    const { draw } = this
    const log = this.logs[partition] as Slot[]
    const start = this.starts[partition] as number
    const next = client.next[partition] as number
    const moves = !final && (next < start || draw.chance(20))
    const from = moves ? draw.between(start, log.length) : Math.max(next, start)
    const slots = log.slice(from, from + draw.between(1, 12))
    const times = this.times(client)
    client.freeUs = times.endedUs
    client.next[partition] = from + slots.length
    if (slots.length === 0) return 0
    this.operations.push({
      client: client.name,
      kind: 'poll',
      ...times,
      outcome: 'ok',
      topic: 'topic',
      partition,
      values: slots.map(({ value }, at) => ({ value, offset: from + at })),
      from,
      epoch: draw.pick([-1, 0]),
      moved: from !== client.read[partition],
      highWatermark: log.length,
      logStart: start,
      final,
    })
    client.read[partition] = from + slots.length
    return slots.length
  }

  private lookup(client: Client, partition: number, asked?: string): void {
    const { draw } = this
    const log = this.logs[partition] as Slot[]
    const start = this.starts[partition] as number
    const times = this.times(client)
    client.freeUs = times.endedUs
    const kind = asked ?? draw.pick(['earliest', 'latest', 'timestamp', 'epoch-end'])
    const from =
      kind === 'timestamp' ? draw.between(0, Math.ceil(this.nowUs / 100)) : (client.next[partition] as number)
    const found = log.findIndex(({ timestampMs }, at) => at >= start && timestampMs >= from)
    this.operations.push({
      client: client.name,
      kind: 'lookup',
      ...times,
      outcome: 'ok',
      topic: 'topic',
      partition,
      values: [],
      asked: kind,
      from,
      epoch: 0,
      answer: kind === 'earliest' ? start : kind === 'timestamp' ? found : log.length,
      final: asked !== undefined,
    })
  }

  private delete(client: Client, partition: number): void {
    const log = this.logs[partition] as Slot[]
    const from = this.draw.between(0, log.length)
    const times = this.times(client)
    this.starts[partition] = Math.max(this.starts[partition] as number, from)
    this.operations.push({
      client: client.name,
      kind: 'admin',
      ...times,
      outcome: this.draw.pick(['ok', 'info']),
      topic: 'topic',
      partition,
      values: [],
      asked: 'delete-records',
      from,
    })
  }

  private readAll(): void {
    this.nowUs += 10_000
    const client = { name: 'client-final', freeUs: this.nowUs, next: this.starts.slice(), read: this.starts.slice() }
    this.logs.forEach((_, partition) => {
      this.lookup(client, partition, 'earliest')
      while (this.poll(client, partition, true) > 0);
    })
  }
}

/** Sends are in the order in which they began, the rest in the order in which it ended. */
function orderOf({ kind, invokedUs, endedUs }: Operation): number {
  return kind === 'poll' || kind === 'lookup' ? endedUs : invokedUs
}
