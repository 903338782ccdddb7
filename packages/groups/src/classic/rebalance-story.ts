import { Chronicle } from '../chronicle.ts'
import { Moves } from '../moves.ts'
import type { Rebalance } from '../seams.ts'
import { assignedPartitions } from './consumer-protocol.ts'
import type { ClassicMember } from './member.ts'

/** Who had which bytes of an assignment. */
type Division = readonly { readonly identity: string; readonly assignment: Uint8Array }[]

/** Why a classic group rebalances, from the first cause until it is stable or empty. */
export class RebalanceStory extends Chronicle {
  /** The assignments of the last generation that there were any of. */
  private before: Division = []

  /** What members have is as it is now, without a rebalance. */
  settle(members: Iterable<ClassicMember>): void {
    this.before = division(members)
  }

  /** Ends with what the members have now; null when nothing began. `readable` when their bytes may be understood here. */
  end(
    what: Pick<Rebalance, 'groupId' | 'generation' | 'endedMs'>,
    members: Iterable<ClassicMember>,
    readable: boolean,
  ): Rebalance | null {
    const { before, underWay } = this
    this.before = division(members)
    const moves = underWay && readable ? movedBetween(before, this.before) : null
    return this.close({
      ...what,
      members: this.before.length,
      moved: moves?.count ?? null,
      moves: moves?.list ?? [],
    })
  }
}

function division(members: Iterable<ClassicMember>): Division {
  return Array.from(members, ({ identity, assignment }) => ({ identity, assignment }))
}

/** The partitions that have another owner than they had; who has none now has not moved. Null when an assignment is not understood. */
function movedBetween(before: Division, after: Division): Moves | null {
  const old = ownersOf(before)
  const now = ownersOf(after)
  if (old === null || now === null) return null
  const moves = new Moves()
  for (const [key, { topic, partition, owner }] of now) {
    const from = old.get(key)?.owner ?? null
    if (from !== owner) moves.add({ topic }, partition, { from, to: owner })
  }
  return moves
}

interface Owned {
  readonly topic: string
  readonly partition: number
  readonly owner: string
}

function ownersOf(division: Division): Map<string, Owned> | null {
  const owners = new Map<string, Owned>()
  for (const { identity, assignment } of division) {
    const topics = assignedPartitions(assignment)
    if (topics === null) return null
    for (const { topic, partitions } of topics)
      for (const partition of partitions) owners.set(`${topic}-${partition}`, { topic, partition, owner: identity })
  }
  return owners
}
