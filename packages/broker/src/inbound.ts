import type { AppendMessage, TypeOf } from '@millrace/rpc'
import { checkReplicatedBatches, type ExpectedBatches } from './batch-check.ts'

type Append = TypeOf<typeof AppendMessage>

/** One session of this follower with a leader. */
export interface FollowedSession {
  /** The broker that leads. */
  readonly leader: number
  readonly session: number
  readonly leaderEpoch: number
}

/** What a leader sent in this turn, checked and not yet written. Several appends in a row become one write. */
export interface InboundAppend {
  readonly from: FollowedSession
  readonly batches: Uint8Array[]
  readonly baseOffset: number
  endOffset: number
  lastEpoch: number
  highWatermark: number
  logStart: number
  bytes: number
}

/** The replicated batches of one partition until the end of the turn. */
export class Inbound {
  private staged: InboundAppend | null = null

  get empty(): boolean {
    return this.staged === null
  }

  /** Whether the message goes on where the staged ones of its session end. */
  continuedBy(from: FollowedSession, message: Append): boolean {
    return this.staged !== null && this.staged.from === from && this.staged.endOffset === message.baseOffset
  }

  /** Checks and stages a message that begins anew or continues what is staged; returns what is wrong with it, or null. */
  stage(from: FollowedSession, message: Append, own: Pick<ExpectedBatches, 'empty'>): string | null {
    const { baseOffset, highWatermark, logStart } = message
    const checked = checkReplicatedBatches(message.batches, {
      endOffset: baseOffset,
      lastEpoch: this.staged?.lastEpoch ?? 0,
      maxEpoch: from.leaderEpoch,
      empty: own.empty && this.staged === null,
    })
    if (checked.problem !== null) return checked.problem
    const { endOffset, lastEpoch, bytes } = checked
    const { staged } = this
    if (staged === null) {
      const batches = [...checked.batches]
      this.staged = { from, batches, baseOffset, endOffset, lastEpoch, highWatermark, logStart, bytes }
      return null
    }
    for (const batch of checked.batches) staged.batches.push(batch)
    Object.assign(staged, { endOffset, lastEpoch, highWatermark, logStart, bytes: staged.bytes + bytes })
    return null
  }

  take(): InboundAppend | null {
    const staged = this.staged
    this.staged = null
    return staged
  }
}
