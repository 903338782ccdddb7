// The rebalances of a group as the nodes logged them.
import { MILLRACE } from '../node-program.ts'
import type { LogLine, ProcessCluster } from '../process-cluster.ts'

export interface Cause {
  readonly reason: string
  readonly memberId: string
  readonly clientId: string
  readonly detail: string
}

/** Times of the wall clock, in milliseconds. */
export interface LoggedRebalance {
  readonly node: number
  readonly generation: number
  readonly startedMs: number
  readonly endedMs: number
  readonly members: number
  /** Partitions that changed hands; null where the assignment was not understood. */
  readonly moved: number | null
  readonly causes: readonly Cause[]
}

/** In the order of their ends; none where the nodes are another program, which tells nobody. */
export function rebalancesOf(cluster: ProcessCluster, group: string): LoggedRebalance[] {
  return cluster.nodes
    .flatMap((node) => (node.program === MILLRACE ? node.lines() : []))
    .filter((line) => line.event === 'group rebalanced' && line['group'] === group)
    .map(rebalanceOf)
    .toSorted((a, b) => a.endedMs - b.endedMs)
}

function rebalanceOf(line: LogLine): LoggedRebalance {
  const endedMs = Date.parse(line.time)
  return {
    node: line.node,
    generation: line['generation'] as number,
    startedMs: endedMs - (line['durationMs'] as number),
    endedMs,
    members: line['members'] as number,
    moved: line['moved'] as number | null,
    causes: line['causes'] as Cause[],
  }
}

/** `joined member-3, session-timeout member-1`. */
export function causesText(causes: readonly Cause[]): string {
  const told = causes.map(({ reason, clientId }) => (clientId === '' ? reason : `${reason} ${clientId}`))
  return [...new Set(told)].join(', ') || 'no cause'
}
