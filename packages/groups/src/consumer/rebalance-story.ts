import type { Uuid } from '@millrace/base'
import { Moves } from '../moves.ts'
import type { Rebalance, RebalanceCause } from '../seams.ts'
import type { StorySoFar } from '../story-so-far.ts'

/** More causes than people read; a rebalance that never ends must not remember all that happens in it. */
const MAX_CAUSES = 100
const MAX_KEPT = 20

interface Begun {
  readonly startedMs: number
  readonly causes: RebalanceCause[]
  /** Whose each partition was that has changed hands since, by who that is across restarts. */
  readonly owners: Map<Uuid, Map<number, string | null>>
}

/** Why a group rebalances, from the first cause until all members have what they are to have. Lost with the coordinator. */
export class RebalanceStory {
  private begun: Begun | null = null
  private kept: Rebalance[] = []

  get underWay(): boolean {
    return this.begun !== null
  }

  /** The last ones that ended, oldest first. */
  get last(): readonly Rebalance[] {
    return this.kept
  }

  /** What is told so far, for the group that this one becomes. */
  get soFar(): StorySoFar {
    return { kept: this.kept, begun: this.begun }
  }

  /** Goes on with what another group's story told. */
  goOn({ kept, begun }: StorySoFar): void {
    this.kept = [...kept]
    this.begun = begun === null ? null : { ...begun, causes: [...begun.causes], owners: new Map() }
  }

  cause(cause: RebalanceCause, nowMs: number): void {
    this.begun ??= { startedMs: nowMs, causes: [], owners: new Map() }
    if (this.begun.causes.length < MAX_CAUSES) this.begun.causes.push(cause)
  }

  /** A partition changes hands; `owner` had it. */
  leaves(topic: Uuid, partition: number, owner: string | null): void {
    const owners = this.begun?.owners
    if (owners === undefined) return
    const partitions = owners.get(topic)
    if (partitions === undefined) owners.set(topic, new Map([[partition, owner]]))
    else if (!partitions.has(partition)) partitions.set(partition, owner)
  }

  end(
    what: Pick<Rebalance, 'groupId' | 'generation' | 'members' | 'endedMs'>,
    ownerOf: (topic: Uuid, partition: number) => string | null,
  ): Rebalance | null {
    const { begun } = this
    if (begun === null) return null
    this.begun = null
    const { startedMs, causes } = begun
    const { count: moved, list: moves } = movedOf(begun, ownerOf)
    const rebalance = { ...what, startedMs, causes, moved, moves }
    this.kept = [...this.kept.slice(1 - MAX_KEPT), rebalance]
    return rebalance
  }
}

/** The partitions that have another owner than they had; who has none now has not moved. */
function movedOf(begun: Begun, ownerOf: (topic: Uuid, partition: number) => string | null): Moves {
  const moves = new Moves()
  for (const [topic, partitions] of begun.owners) {
    for (const [partition, before] of partitions) {
      const now = ownerOf(topic, partition)
      if (now !== null && now !== before) moves.add({ topicId: topic }, partition, { from: before, to: now })
    }
  }
  return moves
}
