import type { Random } from '@millrace/base'
import type { PartitionInput, PartitionState, createPartition } from '@millrace/replication'
import { ModelLog, ModelNode, type ModelMessage, type NodeEvents } from '@millrace/replication/model'
import type { Agenda } from '../agenda.ts'
import { chance } from '../chance.ts'
import type { Observed } from './checks.ts'
import type { Version } from './controller.ts'

/** What a broker needs of the world around it. */
export interface Surroundings extends Pick<NodeEvents, 'quarantined' | 'failedWaiters'> {
  readonly agenda: Agenda
  readonly fsync: boolean
  readonly lagTimeMaxUs: number
  readonly create: typeof createPartition
  send(broker: SimBroker, message: ModelMessage): void
  alter(broker: SimBroker, alter: Parameters<NodeEvents['alter']>[0]): void
  truncating(broker: SimBroker, to: number): void
  stepped(broker: SimBroker, input: PartitionInput): void
}

interface Waiter {
  readonly epoch: number
  readonly endOffset: number
}

/** One broker across its incarnations: its disk stays, its process comes and goes. */
export class SimBroker implements Observed {
  readonly id: number
  incarnation = 0
  up = false
  node: ModelNode | null = null
  directory = 1
  unaccounted = false
  seen: PartitionState | null = null
  /** -1 until the image holds the own registration. */
  brokerEpoch = -1
  imageIndex = 0
  /** Controller-side handle of the stream; a new one at each connect. */
  controlStream = 0
  /** Epoch of the registration the controller gave this incarnation; -1 before. */
  registeredEpoch = -1
  pausedUntilUs = 0
  readonly unanswered = new Set<number>()
  acked = 0
  private readonly deferred: (() => void)[] = []
  private disk = new ModelLog()
  private checkpoint = 0
  private syncing = false
  private waiters: Waiter[] = []
  private readonly world: Surroundings
  readonly random: Random

  constructor(id: number, world: Surroundings, random: Random) {
    this.id = id
    this.world = world
    this.random = random
  }

  get log(): ModelLog {
    return this.node?.log ?? this.disk
  }

  get quarantined(): boolean {
    return this.node?.quarantined ?? false
  }

  start(): void {
    this.up = true
    this.incarnation += 1
    this.brokerEpoch = -1
    this.registeredEpoch = -1
    this.imageIndex = 0
    this.unanswered.clear()
  }

  /** Runs now, or when the pause ends; never for another incarnation. */
  act(run: () => void): void {
    const { incarnation } = this
    const guarded = (): void => {
      if (this.up && this.incarnation === incarnation) run()
    }
    if (this.world.agenda.nowUs < this.pausedUntilUs) this.deferred.push(guarded)
    else guarded()
  }

  pause(untilUs: number): void {
    this.pausedUntilUs = untilUs
    this.world.agenda.at(untilUs, () => {
      if (this.world.agenda.nowUs < this.pausedUntilUs) return
      for (const run of this.deferred.splice(0)) run()
    })
  }

  /** The process ends. `keep` is how many unsynced changes the disk keeps; Infinity when the machine stays powered. */
  crash(keep: number): void {
    this.disk = this.log.reopened(keep)
    this.up = false
    this.node = null
    this.pausedUntilUs = 0
    this.deferred.length = 0
    this.waiters = []
    this.syncing = false
  }

  wipe(): void {
    this.disk = new ModelLog()
    this.directory += 1
    this.checkpoint = 0
  }

  /** Metadata up to one version; the machine is made at the first image that holds the own registration. */
  image(version: Version): void {
    this.imageIndex = version.index
    if (this.registeredEpoch === -1 || version.index < this.registeredEpoch) return
    if (this.node === null) this.open()
    this.seen = version.state
    this.node?.metadata(version.state, version.brokers)
    this.leadOn(version.state)
    this.after()
  }

  private open(): void {
    this.brokerEpoch = this.registeredEpoch
    // Recovery ends with a sync.
    this.disk = new ModelLog(this.disk.snapshot)
    const { world } = this
    this.node = new ModelNode({
      brokerId: this.id,
      brokerEpoch: this.brokerEpoch,
      flushMode: world.fsync ? 'fsync' : 'pagecache',
      lagTimeMaxUs: world.lagTimeMaxUs,
      random: this.random,
      log: this.disk,
      highWatermark: this.checkpoint,
      create: world.create,
      events: {
        send: (message) => world.send(this, message),
        alter: (alter) => {
          this.unanswered.add(alter.requestId)
          world.alter(this, alter)
        },
        truncated: (to) => world.truncating(this, to),
        quarantined: (reason) => world.quarantined(reason),
        failedWaiters: (epoch) => {
          this.waiters = this.waiters.filter((waiter) => waiter.epoch !== epoch)
        },
        stepped: (input) => {
          // Only an unclean election takes a watermark back, and then the checkpoint at once with it.
          this.checkpoint = Math.min(this.checkpoint, this.node?.machine.highWatermark ?? 0)
          world.stepped(this, input)
        },
      },
    })
  }

  /** After whatever happened: streams flow, the disk is kept busy, producers are answered. */
  after(): void {
    const { node } = this
    if (node === null) return
    if (node.machine.role === 'leader' && !chance(this.random, 20)) node.stream(1 + this.random.below(8))
    this.answerWaiters(node)
    if (node.log.dirty && !this.syncing) this.sync(node)
  }

  /** Who waits goes on waiting where the very next epoch has the same leader, elected cleanly. */
  private leadOn({ leader, leaderEpoch, uncleanlyElected }: PartitionState): void {
    if (leader !== this.id || uncleanlyElected) return
    this.waiters = this.waiters.map(({ epoch, endOffset }) => ({
      epoch: epoch === leaderEpoch - 1 ? leaderEpoch : epoch,
      endOffset,
    }))
  }

  private answerWaiters(node: ModelNode): void {
    const { machine } = node
    const stale = this.waiters.some((waiter) => waiter.epoch !== machine.leaderEpoch || machine.role !== 'leader')
    if (stale) throw new Error(`broker ${this.id} kept a producer of an earlier epoch waiting`)
    const open = this.waiters.filter((waiter) => waiter.endOffset > machine.highWatermark)
    this.acked += this.waiters.length - open.length
    this.waiters = open
  }

  private sync(node: ModelNode): void {
    this.syncing = true
    const { agenda, fsync } = this.world
    const slow = chance(this.random, 3) ? 400_000 : 0
    const done = node.log.beginSync()
    agenda.after((fsync ? 500 : 300_000) + this.random.below(15_000) + slow, () =>
      this.act(() => {
        if (this.node !== node) return
        this.syncing = false
        const { endOffset, generation } = done()
        node.step({ kind: 'durable', endOffset, generation })
        this.after()
      }),
    )
  }

  produce(values: readonly string[], acksAll: boolean): void {
    const { node } = this
    if (node === null || node.machine.role !== 'leader') return
    if (acksAll && !node.machine.enoughReplicas) return
    node.produce(values)
    if (acksAll) this.waiters.push({ epoch: node.machine.leaderEpoch, endOffset: node.log.endOffset })
    this.after()
  }

  step(input: PartitionInput): void {
    this.node?.step(input)
    this.after()
  }

  receive(from: number, brokerEpoch: number, message: ModelMessage): void {
    this.node?.receive(from, brokerEpoch, message)
    this.after()
  }

  writeCheckpoint(): void {
    if (this.node !== null) this.checkpoint = this.node.machine.durableHighWatermark
  }
}
