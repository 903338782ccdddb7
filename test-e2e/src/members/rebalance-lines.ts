// The rebalances of a group as the nodes logged them, and as its coordinator tells them over HTTP.
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

type Told = Pick<LoggedRebalance, 'generation' | 'members' | 'moved' | 'causes'>

/** What the coordinator tells of the group otherwise than the log did: it remembers the last ones since it coordinates. Empty when they agree. */
export async function toldOtherwise(cluster: ProcessCluster, coordinator: number, group: string): Promise<string[]> {
  const path = `/groups/${encodeURIComponent(group)}/rebalances`
  const answer = await fetch(`http://127.0.0.1:${cluster.node(coordinator).httpPort}${path}`)
  if (!answer.ok) return [`${path} of node ${coordinator} answered ${answer.status}`]
  const { rebalances } = (await answer.json()) as { readonly rebalances: readonly Told[] }
  const logged = rebalancesOf(cluster, group).filter(({ node }) => node === coordinator)
  return rebalances
    .filter((told) => !logged.some((line) => factsOf(line) === factsOf(told)))
    .map((told) => `node ${coordinator} tells of a rebalance that it did not log: ${factsOf(told)}`)
}

function factsOf({ generation, members, moved, causes }: Told): string {
  return `generation ${generation}, ${members} members, ${moved} moved, ${causesText(causes)}`
}

/** `joined member-3, session-timeout member-1`. */
export function causesText(causes: readonly Cause[]): string {
  const told = causes.map(({ reason, clientId }) => (clientId === '' ? reason : `${reason} ${clientId}`))
  return [...new Set(told)].join(', ') || 'no cause'
}
