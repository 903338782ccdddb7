import type { FatalCode, Random, World } from '@millrace/base'
import { type Node, type NodeConfig, startNode } from '@millrace/server'
import type { SimClock } from '../kernel/clock.ts'
import { SimLogger } from '../kernel/logger.ts'
import { simWorld } from '../kernel/world.ts'
import type { Life, Network, Schedule, SimStorage } from '../seams.ts'

/** What a machine is made of; it outlives the processes on it. */
export interface Machine {
  readonly id: number
  readonly host: string
  readonly config: NodeConfig
  readonly storage: SimStorage
  readonly clock: SimClock
  readonly random: Random
}

/** The rest of the world that a node is started in. */
export interface Surroundings {
  readonly schedule: Schedule
  readonly network: Network
}

/** How an incarnation came to its end. */
export type NodeEnd =
  | { readonly how: 'killed' | 'power-cut' | 'stopped' }
  /** The node ended itself by `World.fatal`. */
  | { readonly how: 'fatal'; readonly code: FatalCode; readonly cause: unknown }
  /** The start was refused or failed. */
  | { readonly how: 'refused'; readonly cause: unknown }

/** Told what happens to a node. */
export interface NodeWatcher {
  /** A process begins; it gets the world that is returned. */
  spawned(node: SimNode, life: Life, world: World): World
  started(node: SimNode, running: Node): void
  ready(node: SimNode): void
  ended(node: SimNode, life: Life, end: NodeEnd): void
  line(node: SimNode, level: string, text: string): void
}

/** One machine with at most one process on it: every life of a node from the first start to the end of the run. */
export class SimNode {
  readonly machine: Machine
  life: Life | null = null
  /** Set once `startNode` gave it. */
  running: Node | null = null
  isReady = false
  stopping = false
  incarnations = 0
  private readonly around: Surroundings
  private readonly watcher: NodeWatcher

  constructor(machine: Machine, around: Surroundings, watcher: NodeWatcher) {
    this.machine = machine
    this.around = around
    this.watcher = watcher
  }

  get id(): number {
    return this.machine.id
  }

  get paused(): boolean {
    return this.life?.paused === true
  }

  /** Begins an incarnation. To be called inside of an event of another life. */
  spawn(): void {
    const { schedule, network } = this.around
    const { host, storage, clock, random, config } = this.machine
    this.incarnations++
    network.power(host, true)
    const life = schedule.newLife(`n${this.id}#${this.incarnations}`)
    this.life = life
    const world = simWorld({
      schedule,
      life,
      host,
      clock,
      storage,
      network,
      random: random.fork('incarnation'),
      log: new SimLogger((level, text) => this.watcher.line(this, level, text)),
      fatal: (code, cause) => this.died(life, { how: 'fatal', code, cause }),
    })
    startNode(this.watcher.spawned(this, life, world), config).then(
      (running) => this.serves(life, running),
      (cause: unknown) => this.died(life, { how: 'refused', cause }),
    )
  }

  private serves(life: Life, running: Node): void {
    if (life.over) return
    this.running = running
    this.watcher.started(this, running)
    running.ready.then(
      () => {
        if (life.over) return
        this.isReady = true
        this.watcher.ready(this)
      },
      (cause: unknown) => this.died(life, { how: 'refused', cause }),
    )
  }

  private died(life: Life, end: NodeEnd): void {
    if (!life.over) this.end(end)
  }

  /** The process dies; with a power cut the machine's memory goes with it. */
  end(end: NodeEnd): void {
    const { life } = this
    if (life === null) return
    this.life = null
    this.running = null
    this.isReady = false
    this.stopping = false
    // Who has no power closes no connections.
    if (end.how === 'power-cut') this.around.network.power(this.machine.host, false)
    this.around.schedule.end(life)
    if (end.how === 'power-cut') this.machine.storage.powerCut()
    else this.machine.storage.killed()
    this.watcher.ended(this, life, end)
  }

  /** An orderly stop; a process that is still starting is killed, as its supervisor would do. */
  stop(): void {
    const { life, running } = this
    if (life === null || this.stopping) return
    if (running === null) return this.end({ how: 'killed' })
    this.stopping = true
    running.stop().then(
      () => this.died(life, { how: 'stopped' }),
      (cause: unknown) => this.died(life, { how: 'refused', cause }),
    )
  }
}
