import type { Uuid } from '@millrace/base'
import type { PartitionMoves } from './seams.ts'

/** Partitions of a rebalance that are told one by one; more is not read by anybody, and is kept for every group. */
const MAX_PARTITIONS = 100

/** Gathers which partitions changed hands: those of a topic that went the same way together. */
export class Moves {
  /** All of them, also those that are not told. */
  count = 0
  private readonly found = new Map<string, PartitionMoves & { readonly partitions: number[] }>()

  get list(): readonly PartitionMoves[] {
    return [...this.found.values()]
  }

  add(
    { topic = null, topicId = null }: { readonly topic?: string | null; readonly topicId?: Uuid | null },
    partition: number,
    { from, to }: { readonly from: string | null; readonly to: string },
  ): void {
    if (++this.count > MAX_PARTITIONS) return
    const key = JSON.stringify([topic, topicId, from, to])
    const alike = this.found.get(key)
    if (alike !== undefined) alike.partitions.push(partition)
    else this.found.set(key, { topic, topicId, partitions: [partition], from, to })
  }
}
