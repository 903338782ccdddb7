import { FindCoordinatorApi } from '@millrace/protocol'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { mayRetry } from './errors.ts'
import { refuse } from './refusal.ts'
import { retrying } from './retry.ts'

/** The broker that decides about a group, at the address that it advertises. */
export interface Coordinator {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** Asks one coordinator about those of the groups that are its own; the answer has a value for each of them. */
export type Question<T> = (
  connection: Connection,
  groupIds: readonly string[],
  coordinator: Coordinator,
) => Promise<ReadonlyMap<string, T>>

const GROUP = 0
/** From this version on one request can name many groups, in a field of their own. */
const MANY_KEYS = 4

/** Who coordinates which group. What is known is kept until a broker says otherwise or cannot be reached. */
export class Coordinators {
  private readonly cluster: Cluster
  private readonly pool: ConnectionPool
  private readonly known = new Map<string, Coordinator>()

  constructor(cluster: Cluster, pool: ConnectionPool) {
    this.cluster = cluster
    this.pool = pool
  }

  /** A broker told of a group that it coordinates. */
  learn(groupId: string, coordinator: Coordinator): void {
    this.known.set(groupId, coordinator)
  }

  /**
   * Puts the question to the coordinators of all the groups, each broker once; those that failed are asked again, after a new look-up, for as long
   * as the client's retry timeout. Rejects with the first failure that no retry mends.
   */
  async ask<T>(what: string, groupIds: readonly string[], question: Question<T>): Promise<ReadonlyMap<string, T>> {
    const answers = new Map<string, T>()
    await retrying(what, this.cluster.retryRules(), async () => {
      const open = groupIds.filter((groupId) => !answers.has(groupId))
      const places = await Promise.all(open.map((groupId) => this.find(groupId)))
      const asked = Map.groupBy(open.keys(), (at) => places[at]?.id)
      const failures = await Promise.all(
        [...asked.values()].map(async (ats) => {
          const ids = ats.map((at) => open[at] as string)
          try {
            const coordinator = places[ats[0] as number] as Coordinator
            const told = await question(await this.pool.to(coordinator), ids, coordinator)
            for (const [groupId, answer] of told) answers.set(groupId, answer)
            return null
          } catch (error) {
            for (const groupId of ids) this.known.delete(groupId)
            return error as Error
          }
        }),
      )
      const failed = failures.filter((failure) => failure !== null)
      const worst = failed.find((failure) => !mayRetry(failure)) ?? failed[0]
      if (worst !== undefined) throw worst
    })
    return answers
  }

  /** `ask` for a single group. */
  async askOne<T>(groupId: string, question: (connection: Connection) => Promise<T>): Promise<T> {
    const answers = await this.ask(`group ${groupId}`, [groupId], async (connection) => {
      return new Map([[groupId, await question(connection)]])
    })
    return answers.get(groupId) as T
  }

  private async find(groupId: string): Promise<Coordinator> {
    const known = this.known.get(groupId)
    if (known !== undefined) return known
    const answer = await this.cluster.sendToAny(
      FindCoordinatorApi,
      (version) =>
        version < MANY_KEYS
          ? { key: groupId, keyType: GROUP, coordinatorKeys: [] }
          : { key: '', keyType: GROUP, coordinatorKeys: [groupId] },
      { pool: this.pool },
    )
    const single = answer.coordinators.length === 0
    const found = single ? answer : answer.coordinators.find(({ key }) => key === groupId)
    refuse(found, `coordinator of group ${groupId}`)
    const { nodeId, host, port } = found as typeof answer
    const coordinator = { id: nodeId, host, port }
    this.known.set(groupId, coordinator)
    return coordinator
  }
}
