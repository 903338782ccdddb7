import type { Rebalance, RebalanceCause } from '../seams.ts'
import type { StorySoFar } from '../story-so-far.ts'
import { assignedPartitions } from './consumer-protocol.ts'
import type { ClassicMember } from './member.ts'
import { Moves } from '../moves.ts'

/** More causes than people read; a rebalance that never ends must not remember all that happens in it. */
const MAX_CAUSES = 100
const MAX_KEPT = 20
/** A client's reason may be as long as a request. */
const MAX_DETAIL = 255

/** Who had which bytes of an assignment. */
type Division = readonly { readonly identity: string; readonly assignment: Uint8Array }[]

/** Why a classic group rebalances, from the first cause until it is stable or empty. Lost with the coordinator. */
export class RebalanceStory {
  private begun: { readonly startedMs: number; readonly causes: RebalanceCause[] } | null = null
  /** The assignments of the last generation that there were any of. */
  private before: Division = []
  private kept: Rebalance[] = []

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
    this.begun = begun === null ? null : { startedMs: begun.startedMs, causes: [...begun.causes] }
  }

  cause(cause: RebalanceCause, nowMs: number): void {
    this.begun ??= { startedMs: nowMs, causes: [] }
    const detail = cause.detail.slice(0, MAX_DETAIL)
    if (this.begun.causes.length < MAX_CAUSES) this.begun.causes.push({ ...cause, detail })
  }

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
    const { begun, before } = this
    this.before = division(members)
    this.begun = null
    if (begun === null) return null
    const { startedMs, causes } = begun
    const moved = readable ? movedBetween(before, this.before) : null
    const facts = { moved: moved?.count ?? null, moves: moved?.list ?? [] }
    const rebalance = { ...what, startedMs, causes, members: this.before.length, ...facts }
    this.kept = [...this.kept.slice(1 - MAX_KEPT), rebalance]
    return rebalance
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
