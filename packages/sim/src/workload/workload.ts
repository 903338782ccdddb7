import { SimClock } from '../kernel/clock.ts'
import { Draw } from '../run/draw.ts'
import type { Bench, Life, Operation, OperationKind, Workload } from '../seams.ts'
import { Admin } from './admin.ts'
import { type Crowd, type Role, SimClient } from './client.ts'
import { Elector } from './elector.ts'
import { type Ends, FinalReader } from './final-reader.ts'
import { IdempotentProducer } from './idempotent-producer.ts'
import { ClassicMember } from './groups/classic-member.ts'
import { ConsumerMember } from './groups/consumer-member.ts'
import { FinalOffsets } from './groups/final-offsets.ts'
import { Member } from './groups/member.ts'
import type { Place } from './groups/subscription.ts'
import { Producer } from './producer.ts'
import { RoamingConsumer } from './roaming-consumer.ts'
import { drawRates, type PlannedTopic, type WorkloadOptions, type WorkloadRates } from './shape.ts'

/** Numbers of connections of one client; more than any has. */
const CONNECTIONS_OF_A_CLIENT = 100_000
const LOOK_EVERY_US = 20_000

/** Operations that are in the history from when they ended; the others since they began. */
const KEPT_AT_THE_END: ReadonlySet<OperationKind> = new Set(['poll', 'lookup', 'committed', 'claim'])

interface WorkingRole extends Role {
  readonly busy: boolean
}

/** A place where a client runs: one after the other, each under its own name. */
interface Seat {
  readonly host: string
  readonly make: (client: SimClient) => WorkingRole
  client: SimClient
  role: WorkingRole
  lives: number
}

/** Makes the clients of a run. Nothing happens before `start`. */
export function createWorkload(bench: Bench, options: WorkloadOptions): Workload & { readonly rates: WorkloadRates } {
  return new SimWorkload(bench, options)
}

class SimWorkload implements Workload, Crowd {
  readonly bench: Bench
  readonly bootstrap: WorkloadOptions['bootstrap']
  readonly epochMs: number
  readonly rates: WorkloadRates
  readonly topics: PlannedTopic[]
  readonly history: Operation[] = []
  progress = 0
  quiet = false
  private readonly clients: number
  private readonly calmFromUs: number
  private readonly told: WorkloadOptions['told']
  private readonly life: Life
  private readonly draw: Draw
  private readonly seats: Seat[] = []
  private born = 0

  constructor(bench: Bench, options: WorkloadOptions) {
    this.bench = bench
    this.bootstrap = options.bootstrap
    this.epochMs = options.epochMs ?? new SimClock({ nowUs: 0 }).wallMs()
    this.clients = options.clients
    this.calmFromUs = options.calmFromUs ?? Number.POSITIVE_INFINITY
    this.told = options.told
    this.life = bench.schedule.newLife('workload')
    this.draw = new Draw(bench.random.fork('workload'))
    this.rates = { ...drawRates(new Draw(bench.random.fork('workload-rates'))), ...options.rates }
    const { deletingPercent } = this.rates
    this.topics = options.topics.map((topic) => ({ ...topic, deleting: this.draw.chance(deletingPercent) }))
  }

  start(): void {
    this.seat('admin', (client) => new Admin(client))
    // Whoever asks whether the cluster takes writes needs one producer at least that waits for all replicas.
    this.seat('client-1', this.producer({ careful: true }))
    for (let at = 2; at <= this.clients; at++)
      this.seat(
        `client-${at}`,
        at > 2 && this.draw.chance(60) ? this.producer() : (client) => new RoamingConsumer(client),
      )
    for (let group = 1; group <= this.rates.groups; group++) this.seatGroup(`group-${group}`)
    this.disturb(this.rates.crashMeanUs, (seat) => this.crash(seat))
    this.disturb(this.rates.pauseMeanUs, (seat) => this.pause(seat, this.draw.between(100_000, 5_000_000)))
    if (this.rates.groups > 0) this.stallMembers(new Draw(this.bench.random.fork('stalls')))
  }

  quiesce(done: () => void): void {
    this.quiet = true
    for (const { client } of this.seats) this.bench.schedule.resume(client.life)
    this.whenIdle(done)
  }

  readAll(done: () => void): void {
    const groups = this.committed()
    const next = (): void => {
      const [group, places] = groups.pop() ?? [null, []]
      if (group === null) return done()
      this.finally((client, ended) => new FinalOffsets(client, { group, places }, ended), next)
    }
    this.finally((client, ended) => new FinalReader(client, this.acknowledged(), ended), next)
  }

  lagging(sinceUs: number): string | null {
    const behind = new Set<string>()
    for (const { role, client } of this.seats)
      if (role instanceof Member && !client.life.over)
        for (const place of role.wants) behind.add(nameOf(role.group, place))
    for (let at = this.history.length - 1; at >= 0 && behind.size > 0; at--) {
      const { kind, outcome, invokedUs, group = '', topic, partition } = this.history[at] as Operation
      if (kind === 'commit' && outcome === 'ok' && invokedUs >= sinceUs)
        behind.delete(nameOf(group, { topic, partition }))
    }
    const [name] = behind
    return name === undefined ? null : `nothing is committed for ${name}`
  }

  /** A fresh client has its last word, and is gone. */
  private finally(make: (client: SimClient, ended: () => void) => Role, done: () => void): void {
    const { schedule } = this.bench
    const name = `client-final.${this.born}`
    const client = this.newClient('client-final', name)
    const ended = (): void => {
      schedule.post(0, this.life, () => {
        schedule.end(client.life)
        done()
      })
    }
    client.begin(make(client, ended))
  }

  elect(topic: string, partition: number): void {
    const client = this.newClient('operator', `operator.${this.born}`)
    client.begin(new Elector(client, topic, partition))
  }

  begun(operation: Operation): void {
    this.history.push(operation)
  }

  ended(operation: Operation): void {
    if (KEPT_AT_THE_END.has(operation.kind)) this.history.push(operation)
    if (operation.outcome === 'ok') this.progress++
    this.told?.(operation)
    const { client, kind, outcome, topic, partition, values } = operation
    this.bench.schedule.note(`${client} ${kind} ${topic}-${partition} ${outcome}`, values[0]?.offset ?? -1)
  }

  private producer(options?: { readonly careful: boolean }): Seat['make'] {
    if (this.draw.chance(this.rates.idempotentPercent)) return (client) => new IdempotentProducer(client)
    return (client) => new Producer(client, options)
  }

  private seatGroup(group: string): void {
    const { draw, rates } = this
    const classic = draw.chance(rates.classicPercent)
    const { membersOfGroup } = rates
    // A member that is alone shows little.
    for (let at = Math.min(draw.between(1, membersOfGroup + 1), membersOfGroup); at > 0; at--) {
      const host = `member-${this.seats.length}`
      const instanceId = classic && draw.chance(rates.staticPercent) ? `static-${host}` : null
      const shape = { group, instanceId }
      this.seat(host, (client) => (classic ? new ClassicMember(client, shape) : new ConsumerMember(client, shape)))
    }
  }

  private seat(host: string, make: Seat['make']): void {
    const client = this.newClient(host, host)
    const role = make(client)
    this.seats.push({ host, make, client, role, lives: 1 })
    client.begin(role)
  }

  private newClient(host: string, name: string): SimClient {
    return new SimClient(this, {
      host,
      name,
      random: this.bench.random.fork(name),
      firstConnection: this.born++ * CONNECTIONS_OF_A_CLIENT,
    })
  }

  /** One seat at a time, now and then. */
  private disturb(meanUs: number, run: (seat: Seat) => void): void {
    if (meanUs === 0) return
    this.bench.schedule.post(this.draw.around(meanUs), this.life, () => {
      if (this.quiet) return
      run(this.draw.pick(this.seats))
      this.disturb(meanUs, run)
    })
  }

  private crash(seat: Seat): void {
    const { schedule } = this.bench
    if (seat.client.life.over) return
    schedule.end(seat.client.life)
    schedule.post(this.draw.between(10_000, 1_000_000), this.life, () => {
      seat.lives++
      seat.client = this.newClient(seat.host, `${seat.host}.${seat.lives}`)
      seat.role = seat.make(seat.client)
      seat.client.begin(seat.role)
    })
  }

  /** Members fall silent for longer than the others wait for them, and come back with what they know from before. */
  private stallMembers(draw: Draw): void {
    const members = this.seats.filter(({ role }) => role instanceof Member)
    const { stallMeanUs } = this.rates
    if (stallMeanUs === 0 || this.bench.schedule.nowUs >= this.calmFromUs) return
    this.bench.schedule.post(draw.around(stallMeanUs), this.life, () => {
      if (this.quiet) return
      this.pause(draw.pick(members), draw.between(1_000_000, 8_000_000))
      this.stallMembers(draw)
    })
  }

  private pause(seat: Seat, forUs: number): void {
    const { schedule } = this.bench
    const { life } = seat.client
    if (life.over || life.paused) return
    schedule.pause(life)
    schedule.post(forUs, this.life, () => {
      if (!life.over) schedule.resume(life)
    })
  }

  private whenIdle(done: () => void): void {
    this.bench.schedule.post(LOOK_EVERY_US, this.life, () => {
      if (this.seats.some(({ client, role }) => !client.life.over && role.busy)) this.whenIdle(done)
      else done()
    })
  }

  /** What each group has committed something of. */
  private committed(): [group: string, places: readonly Place[]][] {
    const places = new Map<string, Map<string, Place>>()
    for (const { kind, group, topic, partition } of this.history) {
      if (kind !== 'commit' || group === undefined) continue
      if (!places.has(group)) places.set(group, new Map())
      places.get(group)?.set(`${topic}-${partition}`, { topic, partition })
    }
    return [...places].map(([group, ofGroup]) => [group, [...ofGroup.values()]])
  }

  /** Where each partition ends at least, by what was acknowledged to producers that waited for all replicas. */
  private acknowledged(): readonly Ends[] {
    const ends = new Map<string, Ends>()
    for (const { kind, outcome, acks, topic, partition, values } of this.history) {
      if (kind !== 'send' || outcome !== 'ok' || acks !== -1) continue
      const end = (values.at(-1)?.offset ?? -1) + 1
      const known = ends.get(`${topic}-${partition}`)
      if (known === undefined || known.end < end) ends.set(`${topic}-${partition}`, { topic, partition, end })
    }
    return [...ends.values()]
  }
}

function nameOf(group: string, { topic, partition }: Place): string {
  return `${topic}-${partition} of group ${group}`
}
