import type { Uuid } from '@millrace/base'
import type { Holding } from './holding.ts'

/** Is told whose a partition was, by member id, when that changes. */
export type OnHolderChange = (topic: Uuid, partition: number, before: string | null) => void

/** Which member has each partition, whether it may use it or was told to give it up. */
export class Holders {
  private readonly topics = new Map<Uuid, Map<number, string>>()
  private readonly onChange: OnHolderChange

  constructor(onChange: OnHolderChange) {
    this.onChange = onChange
  }

  of(topic: Uuid, partition: number): string | null {
    return this.topics.get(topic)?.get(partition) ?? null
  }

  /** The member has `after` from now on, where it had `before`. */
  move(memberId: string, before: readonly Holding[], after: readonly Holding[]): void {
    for (const holding of after) this.take(memberId, holding)
    for (const holding of before) this.release(memberId, holding, after)
  }

  private take(memberId: string, holding: Holding): void {
    for (const [topic, partitions] of holding) {
      const holders = this.holdersOf(topic)
      for (const partition of partitions.keys()) {
        const before = holders.get(partition) ?? null
        if (before === memberId) continue
        this.onChange(topic, partition, before)
        holders.set(partition, memberId)
      }
    }
  }

  /** Leaves alone what somebody else has by now: records of two members may be replayed in another order than they were decided in. */
  private release(memberId: string, holding: Holding, except: readonly Holding[]): void {
    for (const [topic, partitions] of holding) {
      const holders = this.topics.get(topic)
      if (holders === undefined) continue
      for (const partition of partitions.keys()) {
        if (holders.get(partition) !== memberId || except.some((kept) => kept.get(topic)?.has(partition))) continue
        this.onChange(topic, partition, memberId)
        holders.delete(partition)
      }
      if (holders.size === 0) this.topics.delete(topic)
    }
  }

  private holdersOf(topic: Uuid): Map<number, string> {
    const known = this.topics.get(topic)
    if (known !== undefined) return known
    const holders = new Map<number, string>()
    this.topics.set(topic, holders)
    return holders
  }
}
