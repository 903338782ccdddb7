import type { Clock } from '@millrace/base'
import type { Replica } from '../../seams.ts'

/** A watch that nobody waited on for this long is given up; until then a poll that comes back costs no registration. */
const IDLE_US = 30_000_000

/** Waits for a partition to move. Extend it; it is its own place in the watch, so waiting allocates nothing. */
export abstract class PartitionWaiter {
  /** @internal */ watch: Watch | null = null
  /** @internal */ before: PartitionWaiter | null = null
  /** @internal */ behind: PartitionWaiter | null = null

  /** The partition's watermark, log start or leadership changed. Must not leave the watch in this call, but may at the end of the turn. */
  abstract moved(): void

  leave(): void {
    this.watch?.remove(this)
  }
}

/** Everyone who waits on one replica, behind one registration with it. */
class Watch {
  readonly undo: () => void
  emptySinceUs = 0
  private first: PartitionWaiter | null = null
  private readonly clock: Clock

  constructor(replica: Replica, clock: Clock) {
    this.clock = clock
    this.undo = replica.watch(() => this.fire())
  }

  get empty(): boolean {
    return this.first === null
  }

  add(waiter: PartitionWaiter): void {
    waiter.watch = this
    waiter.behind = this.first
    waiter.before = null
    if (this.first !== null) this.first.before = waiter
    this.first = waiter
  }

  remove(waiter: PartitionWaiter): void {
    if (waiter.before === null) this.first = waiter.behind
    else waiter.before.behind = waiter.behind
    if (waiter.behind !== null) waiter.behind.before = waiter.before
    waiter.watch = null
    waiter.before = null
    waiter.behind = null
    if (this.first === null) this.emptySinceUs = this.clock.monotonicUs()
  }

  private fire(): void {
    for (let waiter = this.first; waiter !== null; waiter = waiter.behind) waiter.moved()
  }
}

/** The watches of a listener, by replica. */
export class PartitionWatches {
  private readonly clock: Clock
  private readonly watches = new Map<Replica, Watch>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  get size(): number {
    return this.watches.size
  }

  add(replica: Replica, waiter: PartitionWaiter): void {
    let watch = this.watches.get(replica)
    if (watch === undefined) {
      watch = new Watch(replica, this.clock)
      this.watches.set(replica, watch)
    }
    watch.add(waiter)
  }

  /** Gives up watches that nobody uses; called now and then. */
  sweep(nowUs: number): void {
    for (const [replica, watch] of this.watches) {
      if (!watch.empty || nowUs - watch.emptySinceUs < IDLE_US) continue
      watch.undo()
      this.watches.delete(replica)
    }
  }

  stop(): void {
    for (const watch of this.watches.values()) watch.undo()
    this.watches.clear()
  }
}
