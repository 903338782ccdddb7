import type { Random } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { createPartition, type AlterPartition } from '@millrace/replication'
import { Violation } from '../../seams.ts'
import { Agenda } from '../agenda.ts'
import { chance } from '../chance.ts'
import { SimBroker, type Surroundings } from './broker.ts'
import { Checks, REPLICATION } from './checks.ts'
import { ModelController, type Version } from './controller.ts'
import { Streams } from './streams.ts'

export interface GroupOptions {
  readonly seed: number
  readonly flushMode: 'fsync' | 'pagecache'
  /** An operator now and then elects a replica that may lack records. */
  readonly unclean?: boolean
  /** Weights of kinds of faults, instead of drawn ones, and `every` how many microseconds about. */
  readonly faults?: Readonly<Record<string, number>>
  /** How long faults are injected, before everything is healed. */
  readonly faultyUs?: number
  readonly create?: typeof createPartition
  readonly trace?: (line: string) => void
}

export interface GroupResult {
  readonly events: number
  readonly committed: number
  readonly acked: number
  readonly elections: number
  readonly truncations: number
  readonly uncleanElections: number
}

const LAG_TIME_MAX_US = 1_500_000
const SECOND_US = 1_000_000

/** A whole partition group in virtual time: brokers, streams, a controller, and everything that can go wrong; all from one seed. */
export class Group {
  readonly agenda: Agenda
  readonly brokers: readonly SimBroker[]
  readonly controller: ModelController
  readonly checks: Checks
  readonly streams: Streams
  readonly random: Random
  readonly fsync: boolean
  faulty = true
  events = 0
  private produced = 0
  private controlStreams = 0
  private readonly unreachableSinceUs = new Map<number, number>()
  private readonly controlCut = new Set<number>()
  private readonly options: GroupOptions

  constructor(options: GroupOptions) {
    this.options = options
    this.random = new SeededRandom(`replication core ${options.seed}`)
    this.fsync = options.flushMode === 'fsync'
    this.agenda = new Agenda(this.random.fork('agenda'))
    const world = this.surroundings()
    this.brokers = [1, 2, 3, 4].map((id) => new SimBroker(id, world, this.random.fork(`broker ${id}`)))
    const replicas = chance(this.random, 80) ? [1, 2, 3] : [1, 2, 3, 4]
    const min = chance(this.random, 70) ? 2 : 1
    this.checks = new Checks(
      this.fsync,
      () => this.brokers,
      () => this.controller.state,
    )
    this.controller = new ModelController(replicas, min, !this.fsync, () => this.decided())
    this.streams = new Streams(this.agenda, this.random.fork('streams'), this.brokers)
    for (const broker of this.brokers) this.start(broker)
    this.every(50_000, () => this.tick())
    this.every(20_000, () => this.produce())
    this.every(100_000, () => this.judge())
    this.every(700_000, () => this.brokers.forEach((broker) => broker.writeCheckpoint()))
  }

  private surroundings(): Surroundings {
    return {
      agenda: this.agenda,
      fsync: this.fsync,
      lagTimeMaxUs: LAG_TIME_MAX_US,
      create: this.options.create ?? createPartition,
      send: (broker, message) => {
        this.trace(() => `${broker.id} > ${message.to} ${JSON.stringify(message)}`)
        this.streams.send(broker, message)
      },
      alter: (broker, alter) => this.alter(broker, alter),
      truncating: (broker, to) => {
        this.trace(() => `${broker.id} truncates to ${to}`)
        this.checks.truncating(broker, to)
      },
      stepped: (broker, input) => {
        this.trace(() => {
          const { role, leaderEpoch, highWatermark } = (broker.node ?? { machine: null }).machine ?? {}
          return `${broker.id} ${JSON.stringify(input)}: ${role} epoch ${leaderEpoch} watermark ${highWatermark} end ${broker.log.endOffset}`
        })
        this.checks.stepped(broker, input)
      },
      quarantined: (reason) => {
        this.trace(() => `quarantined: ${reason}`)
        if (this.controller.uncleanElections === 0)
          throw new Violation(REPLICATION, `quarantined without cause: ${reason}`)
      },
      failedWaiters: () => {},
    }
  }

  trace(line: () => string): void {
    this.options.trace?.(`${(this.agenda.nowUs / 1000).toFixed(3)} ${line()}`)
  }

  private every(periodUs: number, run: () => void): void {
    this.agenda.after(periodUs + this.random.below(periodUs / 4), () => {
      run()
      this.every(periodUs, run)
    })
  }

  start(broker: SimBroker): void {
    broker.start()
    this.streams.started(broker)
    this.connect(broker)
  }

  /** Opens the broker's stream to the controller, registers a new incarnation, and tells what became of unanswered requests. */
  private connect(broker: SimBroker): void {
    broker.controlStream = 0
    const { incarnation } = broker
    this.agenda.after(5_000 + this.random.below(150_000), () => {
      if (!broker.up || broker.incarnation !== incarnation || broker.controlStream !== 0) return
      if (this.controlCut.has(broker.id) || this.agenda.nowUs < broker.pausedUntilUs) {
        this.connect(broker)
        return
      }
      broker.controlStream = ++this.controlStreams
      if (broker.registeredEpoch === -1) {
        broker.unaccounted = false
        broker.registeredEpoch = this.controller.register(broker.id, broker.directory)
      }
      this.pump(broker)
      broker.act(() => {
        for (const requestId of Array.from(broker.unanswered)) {
          broker.unanswered.delete(requestId)
          broker.step({ kind: 'alterReply', requestId, result: { kind: 'lost' } })
        }
      })
    })
  }

  private decided(): void {
    this.trace(() => `decided ${JSON.stringify(this.controller.state)}`)
    this.checks.decided()
    for (const broker of this.brokers) this.pump(broker)
  }

  private readonly pumping = new Set<number>()

  /** Metadata reaches each broker in order, in its own time; a snapshot now and then skips what lies between. */
  private pump(broker: SimBroker): void {
    const stream = broker.controlStream
    if (stream === 0 || this.pumping.has(stream) || broker.imageIndex >= this.controller.versions.length) return
    this.pumping.add(stream)
    const slow = chance(this.random, 5) ? 300_000 : 0
    this.agenda.after(500 + this.random.below(8_000) + slow, () => {
      if (broker.controlStream !== stream) return
      broker.act(() => {
        this.pumping.delete(stream)
        if (broker.controlStream !== stream) return
        const { versions } = this.controller
        const skips = chance(this.random, 15) || broker.imageIndex < broker.registeredEpoch - 1
        const version = skips ? versions.at(-1) : versions[broker.imageIndex]
        broker.image(version as Version)
        this.pump(broker)
      })
    })
  }

  private alter(broker: SimBroker, alter: AlterPartition): void {
    this.trace(() => `${broker.id} asks ${JSON.stringify(alter)}`)
    const stream = broker.controlStream
    if (stream === 0) return
    const { brokerEpoch } = broker
    this.agenda.after(500 + this.random.below(10_000), () => {
      if (broker.controlStream !== stream) return
      const result = this.controller.alter(broker.id, brokerEpoch, alter)
      this.agenda.after(500 + this.random.below(10_000), () => {
        if (broker.controlStream !== stream) return
        broker.act(() => {
          if (broker.controlStream !== stream) return
          broker.unanswered.delete(alter.requestId)
          broker.step({ kind: 'alterReply', requestId: alter.requestId, result })
        })
      })
    })
  }

  private readonly ticking = new Set<SimBroker>()

  /** A paused broker finds one late tick, however long it slept. */
  private tick(): void {
    for (const broker of this.brokers) {
      if (!broker.up || this.ticking.has(broker)) continue
      this.ticking.add(broker)
      broker.act(() => {
        this.ticking.delete(broker)
        broker.step({ kind: 'tick', nowUs: this.agenda.nowUs })
      })
    }
  }

  private produce(): void {
    if (this.quietSinceUs !== null) return
    for (const broker of this.brokers) {
      if (chance(this.random, 30)) continue
      const values = Array.from({ length: 1 + this.random.below(3) }, () => `v${++this.produced}`)
      broker.act(() => broker.produce(values, chance(this.random, 80)))
    }
  }

  /** The controller's sight of brokers: silent ones are fenced, caught-up ones serve again. */
  private judge(): void {
    for (const broker of this.brokers) {
      const reachable = broker.up && broker.controlStream !== 0 && this.agenda.nowUs >= broker.pausedUntilUs
      const current = broker.registeredEpoch === this.controller.epochOf(broker.id)
      if (reachable && current) {
        this.unreachableSinceUs.delete(broker.id)
        if (broker.node !== null && !broker.quarantined && chance(this.random, 50)) this.controller.unfence(broker.id)
        continue
      }
      const since = this.unreachableSinceUs.get(broker.id) ?? this.agenda.nowUs
      this.unreachableSinceUs.set(broker.id, since)
      if (this.agenda.nowUs - since > this.random.below(SECOND_US)) this.controller.fence(broker.id)
    }
    for (const broker of this.brokers) if (broker.quarantined) this.replaceDisk(broker)
  }

  /** What the node does with a quarantined replica, in short: it comes back with another directory. */
  private replaceDisk(broker: SimBroker): void {
    this.crash(broker, Infinity)
    this.wipe(broker)
  }

  crash(broker: SimBroker, keep: number): void {
    this.trace(() => `${broker.id} crashes, keeping ${keep} of ${broker.log.unsyncedChanges}`)
    if (!this.fsync && keep < broker.log.unsyncedChanges) broker.unaccounted = true
    broker.crash(keep)
    this.ticking.delete(broker)
    broker.controlStream = 0
    this.streams.breakAllOf(broker)
    this.checks.decided()
    this.agenda.after(50_000 + this.random.below(2 * SECOND_US), () => {
      if (!broker.up) this.start(broker)
    })
  }

  wipe(broker: SimBroker): void {
    this.trace(() => `the disk of ${broker.id} is replaced`)
    broker.unaccounted = true
    broker.wipe()
  }

  changeController(): void {
    this.trace(() => 'another controller takes over')
    for (const broker of this.brokers) if (broker.up) this.connect(broker)
  }

  cutControl(broker: SimBroker): void {
    this.controlCut.add(broker.id)
    if (broker.up) this.connect(broker)
  }

  healControl(broker: SimBroker): void {
    this.controlCut.delete(broker.id)
  }

  electUncleanly(broker: SimBroker): void {
    if (this.controller.isFenced(broker.id) || !broker.up) return
    if (!this.controller.state.replicas.includes(broker.id)) return
    this.checks.uncleanElection(this.controller.state.leaderEpoch + 1, broker.log)
    this.controller.electUncleanly(broker.id)
  }

  quietSinceUs: number | null = null

  step(): void {
    this.events += 1
    if (!this.agenda.step()) throw new Violation(REPLICATION, 'nothing happens any more')
  }

  result(): GroupResult {
    return {
      events: this.events,
      committed: this.checks.counts.commits,
      acked: this.brokers.reduce((sum, broker) => sum + broker.acked, 0),
      elections: this.checks.counts.elections,
      truncations: this.checks.counts.truncations,
      uncleanElections: this.controller.uncleanElections,
    }
  }
}
