import { MillraceError, type RaftStoreState, type Uuid, type VoterId } from '@millrace/base'
import { sameVoter } from '@millrace/raft'
import { FIRST_STORE, type Formation, type Identity, type IdentityAnswer } from './identity.ts'

/** What a node finds on its disk when it starts. */
export interface StartFacts {
  readonly nodeId: number
  /** Of the metadata directory, by its `meta.properties`. */
  readonly directoryId: Uuid
  /** By `meta.properties`; null before a cluster was formed or met. */
  readonly clusterId: Uuid | null
  /** Whether this node is the only configured voter: then nobody could give back what it lost. */
  readonly alone: boolean
  readonly identity: IdentityAnswer
  readonly store: RaftStoreState
  /** As the log's first entry or a snapshot tells it. */
  readonly formation: Formation | null
  /** Cluster and point of the newest readable snapshot. */
  readonly snapshot: { readonly clusterId: Uuid; readonly index: number } | null
}

export type StartPlan =
  /** Blank, and promised nothing to anybody: the node waits until a cluster forms or is met. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'run'; readonly identity: Identity; readonly write: boolean }
  /** The store forgot promises that this identity made: the node goes on as another voter, with what is left. */
  | {
      readonly kind: 'renew'
      readonly clusterId: Uuid
      readonly formation: Formation | null
      readonly reason: string
    }
  | { readonly kind: 'refuse'; readonly error: MillraceError }

/**
 * Decides who a starting node is.
 *
 * An identity, (node id, directory id), is a voter that never forgets: its terms, votes and acknowledged entries. The store's
 * first write precedes the identity file, and the identity file precedes the first message. So:
 *
 * - A blank store without an identity file has promised nothing. It may found a cluster, or act as the founding member that it
 *   is in somebody's formation, however late: a formation names a voter before that voter has written anything, so the
 *   voter must be able to begin at any later time, or a crash in the middle of the formation would leave a cluster without
 *   quorum for good.
 * - A blank store with an identity file, or with a cluster id in `meta.properties`, was not always blank. Its identity may have
 *   voted and acknowledged, so it must never vote again. The node draws a new directory id and joins as a learner; the leader
 *   swaps it in for its former self by two committed changes of the voter set. The majority that commits the removal does
 *   not contain the forgetful identity, so it holds everything that was ever committed.
 * - The same holds for a store that says it is damaged and for a log whose snapshot is unreadable. To vote only in later
 *   terms would not be enough: the lost entries may be committed with this node's acknowledgement, and a vote without
 *   them could elect a leader that lacks them.
 */
export function planStart(facts: StartFacts): StartPlan {
  const { identity, store } = facts
  if (identity.kind === 'future') return refuse(`quorum-identity.json has version ${identity.version}`, 'STORE_DAMAGED')
  const known = identity.kind === 'read' ? identity.identity : null
  const foreign = foreignCluster(facts, known)
  if (foreign !== null) return refuse(foreign, 'DIRECTORY_FOREIGN')
  const loss = lossOf(facts, known)
  if (loss !== null) return renew(facts, known, loss)
  if (known !== null) return { kind: 'run', identity: known, write: false }
  // The first write of a node that only joins promises nothing either.
  const begun = store.lastIndex > 0 || store.firstIndex > 1 || (store.hardState?.term ?? 0) > 0
  if (!begun) return { kind: 'wait' }
  return adoptOwnLog(facts)
}

/** Between the store's first write and the identity file the node crashed: the log tells what the file would. */
function adoptOwnLog(facts: StartFacts): StartPlan {
  const { formation, nodeId: id, directoryId } = facts
  if (formation === null) return renew(facts, null, 'the identity file is gone')
  const self: VoterId = { id, directoryId }
  if (!formation.voters.some((voter) => sameVoter(voter, self))) return renew(facts, null, 'the identity file is gone')
  const identity = { directoryId, clusterId: formation.clusterId, formation, store: FIRST_STORE }
  return { kind: 'run', identity, write: true }
}

function lossOf(facts: StartFacts, known: Identity | null): string | null {
  const { identity, store, snapshot, clusterId } = facts
  if (identity.kind === 'damaged') return 'the identity file is damaged'
  const member = known !== null || clusterId !== null
  if (store.damage !== null) return member ? store.damage.reason : null
  const blank = store.hardState === null && store.lastIndex === 0 && store.firstIndex === 1
  if (blank) return member ? 'the log is gone' : null
  if (store.firstIndex - 1 > (snapshot?.index ?? 0)) return 'the log begins after the newest readable snapshot'
  return null
}

function renew(facts: StartFacts, known: Identity | null, reason: string): StartPlan {
  const formation = known?.formation ?? facts.formation
  const clusterId = known?.clusterId ?? facts.clusterId ?? formation?.clusterId ?? facts.snapshot?.clusterId ?? null
  if (clusterId === null) return refuse(`the quorum's store cannot be read and its cluster is unknown: ${reason}`)
  if (facts.alone) return refuse(`the only voter lost the metadata log: ${reason}`)
  return { kind: 'renew', clusterId, formation, reason }
}

function foreignCluster(facts: StartFacts, known: Identity | null): string | null {
  const ids = [facts.clusterId, known?.clusterId, facts.formation?.clusterId, facts.snapshot?.clusterId]
  const distinct = new Set(ids.filter((id) => id !== null && id !== undefined))
  return distinct.size > 1 ? `the directory holds files of several clusters: ${[...distinct].join(', ')}` : null
}

function refuse(message: string, code: 'STORE_DAMAGED' | 'DIRECTORY_FOREIGN' = 'STORE_DAMAGED'): StartPlan {
  const fix =
    code === 'DIRECTORY_FOREIGN'
      ? 'give every node a metadata directory of its own, or empty it to join anew'
      : 'restore the metadata directory from a backup, or start the release that wrote it'
  return { kind: 'refuse', error: new MillraceError(code, message, { fix }) }
}
