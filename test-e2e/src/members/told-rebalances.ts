// Each rebalance with its cause, as the coordinator tells it, and its pauses, as the members felt them.
import type { ProcessCluster } from '../process-cluster.ts'
import { longestWithin, median, type Span } from './pauses.ts'
import { causesText, type LoggedRebalance, rebalancesOf } from './rebalance-lines.ts'
import type { GroupStage } from './stage.ts'

export interface ToldRebalance extends LoggedRebalance {
  /** Of each member that read before and after, in milliseconds. */
  readonly pausesMs: readonly number[]
  /** The longest that a record waited which was read first during the rebalance or within a second of it: of a killed member, its session. */
  readonly waitedMs: number
}

const AFTER_MS = 1_000

/** Those that ended within the span. Readings must be fresh. */
export function toldRebalances(
  cluster: ProcessCluster,
  stage: GroupStage,
  { startedMs, endedMs }: Span,
): ToldRebalance[] {
  return rebalancesOf(cluster, stage.group)
    .filter((rebalance) => rebalance.endedMs >= startedMs && rebalance.endedMs <= endedMs)
    .map((rebalance) => ({
      ...rebalance,
      pausesMs: stage.pausesOver(rebalance).map((pauses) => longestWithin(pauses, rebalance)),
      waitedMs: stage.longestWait({ startedMs: rebalance.startedMs, endedMs: rebalance.endedMs + AFTER_MS }),
    }))
}

/** A table, one line each, with a heading. */
export function rebalanceLines(rebalances: readonly ToldRebalance[]): string[] {
  const rows = rebalances.map((rebalance) => [
    rebalance.generation,
    rebalance.members,
    rebalance.moved ?? '?',
    rebalance.endedMs - rebalance.startedMs,
    median(rebalance.pausesMs),
    worstPause(rebalance),
    rebalance.waitedMs,
  ])
  const names = ['generation', 'members', 'moved', 'lasted ms', 'pause ms', 'worst', 'a record waited ms']
  const causes = rebalances.map((rebalance) => `  ${causesText(rebalance.causes)}`)
  return [names, ...rows].map(
    (row, at) =>
      row.map((cell, column) => String(cell).padStart((names[column] as string).length + 2)).join('') +
      (at === 0 ? '  cause' : (causes[at - 1] as string)),
  )
}

/** Of the member that stood still longest, in milliseconds. */
export function worstPause({ pausesMs }: ToldRebalance): number {
  return Math.max(0, ...pausesMs)
}
