import type { InSyncSet } from './in-sync-set.ts'
import type { Replica } from './replica.ts'
import { FollowerSession } from './session.ts'
import type { FollowerProgress } from './types.ts'

const NOBODY: readonly FollowerSession[] = Object.freeze([])

/** The other replicas as the leader of one epoch knows them: one record each, spoken or not. */
export class Followers {
  all: readonly FollowerSession[] = NOBODY
  /** Accepted, and their stream is open. */
  streaming: readonly FollowerProgress[] = NOBODY
  private readonly replica: Replica

  constructor(replica: Replica) {
    this.replica = replica
  }

  get(id: number): FollowerSession | undefined {
    for (const follower of this.all) if (follower.brokerId === id) return follower
    return undefined
  }

  /** Members of the ISR have the whole lag time from here on; others are as far behind as can be. */
  know(replicas: readonly number[], isr: InSyncSet): void {
    const others = new Set([...replicas, ...isr.maximal])
    others.delete(this.replica.brokerId)
    for (const follower of this.all) if (!others.has(follower.brokerId)) this.dismiss(follower)
    const { nowUs } = this.replica.clock
    this.all = [...others].map(
      (id) => this.get(id) ?? new FollowerSession(id, isr.committed.includes(id) ? nowUs : -Infinity),
    )
    this.mark(isr)
    this.list()
  }

  mark(isr: InSyncSet): void {
    const { nowUs } = this.replica.clock
    for (const follower of this.all) {
      const inSync = isr.committed.includes(follower.brokerId)
      if (inSync && !follower.inSync) {
        follower.joinBackoff.succeeded()
        follower.caughtUpUs = Math.max(follower.caughtUpUs, nowUs)
      }
      follower.inSync = inSync
      follower.counted = isr.maximal.includes(follower.brokerId)
    }
  }

  forgetStaleIncarnations(): void {
    for (const follower of this.all) {
      const broker = this.replica.brokers.get(follower.brokerId)
      if (follower.brokerEpoch !== -1 && broker?.epoch !== follower.brokerEpoch) follower.forget()
    }
    this.list()
  }

  /** Ends its session from this side. Should the stream still be there, it follows anew. */
  dismiss(follower: FollowerSession): void {
    if (!follower.connected) return
    follower.end()
    this.replica.out.message({ kind: 'refused', to: follower.brokerId, session: follower.session, code: 'retry' })
    this.list()
  }

  list(): void {
    const streaming = this.all.filter((follower) => follower.connected)
    this.streaming = streaming.length === 0 ? NOBODY : streaming
  }
}
