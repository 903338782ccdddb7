import { chance, pick, weighted } from '../chance.ts'
import type { SimBroker } from './broker.ts'
import type { Group, GroupOptions } from './group.ts'

const SECOND_US = 1_000_000

/** What goes wrong, how often; drawn per seed so that seeds differ in kind and not only in order. */
export class Faults {
  private readonly group: Group
  private readonly weights: Record<string, number>
  private readonly meanUs: number

  constructor(group: Group, options: Pick<GroupOptions, 'unclean' | 'faults'>) {
    this.group = group
    const unclean = options.unclean === true
    const { random } = group
    const weight = (most: number): number => (chance(random, 25) ? 0 : random.below(most + 1))
    this.meanUs = (options.faults?.['every'] ?? 60_000) + random.below(options.faults === undefined ? 400_000 : 60_000)
    this.weights = {
      crash: weight(6),
      powerCut: weight(6),
      everybodysPowerCut: weight(1),
      wipe: weight(2),
      pause: weight(6),
      breakStream: weight(8),
      partition: weight(4),
      cutControl: weight(5),
      changeController: weight(5),
      moveLeadership: weight(4),
      bumpEpoch: weight(2),
      minInsyncReplicas: weight(2),
      deleteRecords: weight(2),
      unfit: weight(2),
      slowNetwork: weight(2),
      replicas: weight(1),
      uncleanElection: unclean ? 1 + weight(3) : 0,
      ...options.faults,
      every: 0,
    }
    this.next()
  }

  private next(): void {
    const { group } = this
    group.agenda.after(1_000 + group.random.below(2 * this.meanUs), () => {
      if (!group.faulty) return
      this.inject(weighted(group.random, this.weights) ?? 'breakStream')
      this.next()
    })
  }

  private inject(kind: string): void {
    const broker = pick(this.group.random, this.group.brokers)
    this.group.trace(() => `fault: ${kind} ${broker.id}`)
    this.kinds[kind]?.(broker)
  }

  private readonly kinds: Record<string, (broker: SimBroker) => void> = {
    crash: (broker) => this.crash(broker, Infinity),
    powerCut: (broker) => this.crash(broker, this.group.random.below(broker.log.unsyncedChanges + 1)),
    everybodysPowerCut: () => {
      if (this.group.fsync) for (const broker of this.group.brokers) this.crash(broker, 0)
    },
    wipe: (broker) => {
      if (!broker.up || this.lastHope(broker)) return
      this.group.crash(broker, Infinity)
      this.group.wipe(broker)
    },
    pause: (broker) => {
      if (broker.up) broker.pause(this.group.agenda.nowUs + this.group.random.below(4 * SECOND_US))
    },
    breakStream: (broker) => {
      const other = pick(this.group.random, this.group.brokers)
      this.group.streams.break(broker.id, other.id)
    },
    partition: (broker) => {
      const other = pick(this.group.random, this.group.brokers)
      if (other === broker) return
      this.group.streams.partition(broker, other)
      this.later(3, () => this.group.streams.heal())
    },
    cutControl: (broker) => {
      this.group.cutControl(broker)
      this.later(3, () => this.group.healControl(broker))
    },
    changeController: () => this.group.changeController(),
    moveLeadership: (broker) => this.group.controller.moveLeadership(broker.id),
    bumpEpoch: () => this.group.controller.bumpEpoch(),
    minInsyncReplicas: () => this.group.controller.setMinInsyncReplicas(1 + this.group.random.below(3)),
    deleteRecords: (broker) =>
      broker.act(() => {
        const { node } = broker
        if (node === null || node.machine.role !== 'leader' || this.group.controller.uncleanElections > 0) return
        const to =
          node.machine.logStart + this.group.random.below(node.machine.highWatermark - node.machine.logStart + 1)
        this.group.checks.deletedBelow = Math.max(this.group.checks.deletedBelow, to)
        node.log.advanceLogStart(to)
        broker.step({ kind: 'logStart', offset: to })
      }),
    unfit: (broker) => {
      broker.act(() => broker.step({ kind: 'unfit', unfit: true }))
      this.later(2, () => broker.act(() => broker.step({ kind: 'unfit', unfit: false })))
    },
    slowNetwork: () => {
      this.group.streams.delayUs = 60_000
      this.later(2, () => {
        this.group.streams.delayUs = 2_000
      })
    },
    replicas: () => {
      const all = [1, 2, 3, 4]
      const without = pick(this.group.random, all)
      this.group.controller.setReplicas(chance(this.group.random, 30) ? all : all.filter((id) => id !== without))
    },
    uncleanElection: (broker) => this.group.electUncleanly(broker),
  }

  private later(seconds: number, run: () => void): void {
    this.group.agenda.after(this.group.random.below(seconds * SECOND_US), run)
  }

  private crash(broker: SimBroker, keep: number): void {
    if (!broker.up) return
    // A page-cache group that loses everybody at once has lost records: that is what the mode means, and not often asked for.
    if (!this.group.fsync && this.lastHope(broker)) return
    this.group.crash(broker, keep)
  }

  /** Whether no other replica that may lead cleanly is up. */
  private lastHope(broker: SimBroker): boolean {
    const { isr, elr } = this.group.controller.state
    return !this.group.brokers.some(
      (other) => other !== broker && other.up && !other.unaccounted && (isr.length > 0 ? isr : elr).includes(other.id),
    )
  }
}
