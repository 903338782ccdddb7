import type { VoterId } from '@millrace/base'
import type { Progress } from './progress.ts'

/** What a leader keeps for the length of its term. */
export interface Leadership {
  /** The no-op that began the term: nothing counts as committed before it is. */
  readonly firstIndex: number
  readonly progress: Map<string, Progress>
  /** Log end at the last heartbeat: who holds it has caught up. */
  heartbeatEnd: number
  heartbeatElapsed: number
  round: number
  confirmedRound: number
  /** Sizes of the proposals beyond the commit index, in order. */
  uncommitted: { readonly index: number; readonly bytes: number }[]
  uncommittedBytes: number
  transfer: Transfer | null
}

export interface Transfer {
  readonly to: VoterId
  elapsed: number
  asked: boolean
}
