import type { Uuid } from '@millrace/base'
import { Chronicle } from '../chronicle.ts'
import { Moves } from '../moves.ts'
import type { Rebalance } from '../seams.ts'

/** Members by topic and partition, as they are known across restarts; null: nobody. */
type Owners = ReadonlyMap<Uuid, Map<number, string | null>>

/** Why a group rebalances, from the first cause until all members have what they are to have. */
export class RebalanceStory extends Chronicle {
  /** Whose each partition was that has changed hands in the rebalance that is under way. */
  private owners = new Map<Uuid, Map<number, string | null>>()

  /** A partition changes hands; `owner` had it. */
  leaves(topic: Uuid, partition: number, owner: string | null): void {
    if (!this.underWay) return
    const partitions = this.owners.get(topic)
    if (partitions === undefined) this.owners.set(topic, new Map([[partition, owner]]))
    else if (!partitions.has(partition)) partitions.set(partition, owner)
  }

  /** Null when nothing began. */
  end(
    what: Pick<Rebalance, 'groupId' | 'generation' | 'members' | 'endedMs'>,
    ownerOf: (topic: Uuid, partition: number) => string | null,
  ): Rebalance | null {
    const { count, list } = movedOf(this.owners, ownerOf)
    this.owners = new Map()
    return this.close({ ...what, moved: count, moves: list })
  }
}

/** The partitions that have another owner than they had; who has none now has not moved. */
function movedOf(owners: Owners, ownerOf: (topic: Uuid, partition: number) => string | null): Moves {
  const moves = new Moves()
  for (const [topic, partitions] of owners) {
    for (const [partition, before] of partitions) {
      const now = ownerOf(topic, partition)
      if (now !== null && now !== before) moves.add({ topicId: topic }, partition, { from: before, to: now })
    }
  }
  return moves
}
