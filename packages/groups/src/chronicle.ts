import type { Rebalance, RebalanceCause } from './seams.ts'

/** More causes than people read; a rebalance that never ends must not remember all that happens in it. */
const MAX_CAUSES = 100
const MAX_KEPT = 20
/** A client's reason may be as long as a request. */
const MAX_DETAIL = 255

/** What a group's rebalances were, handed on to the group of the other type that it becomes. */
export interface StorySoFar {
  /** The last ones that ended, oldest first. */
  readonly kept: readonly Rebalance[]
  readonly begun: { readonly startedMs: number; readonly causes: readonly RebalanceCause[] } | null
}

/** The rebalances of a group: the last ones, and why there is one now. What they moved each type of group knows in its own way. Lost with the coordinator. */
export class Chronicle {
  private begun: { readonly startedMs: number; readonly causes: RebalanceCause[] } | null = null
  private kept: readonly Rebalance[] = []

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
    this.kept = kept
    this.begun = begun === null ? null : { startedMs: begun.startedMs, causes: [...begun.causes] }
  }

  /** The first cause begins a rebalance. */
  cause(cause: RebalanceCause, nowMs: number): void {
    this.begun ??= { startedMs: nowMs, causes: [] }
    const detail = cause.detail.slice(0, MAX_DETAIL)
    if (this.begun.causes.length < MAX_CAUSES) this.begun.causes.push({ ...cause, detail })
  }

  /** Null when none began. */
  protected close(outcome: Omit<Rebalance, 'startedMs' | 'causes'>): Rebalance | null {
    if (this.begun === null) return null
    const rebalance = { ...outcome, ...this.begun }
    this.begun = null
    this.kept = [...this.kept.slice(1 - MAX_KEPT), rebalance]
    return rebalance
  }
}
