import { ErrorCode } from '@millrace/base'
import { Backoff } from './tick-clock.ts'
import type { AlterPartition, AlterResult } from './types.ts'

const FIRST_RETRY_US = 100_000
const LONGEST_RETRY_US = 5_000_000

interface Pending {
  request: AlterPartition
  readonly isr: readonly number[]
  readonly joining: readonly number[]
  /** `sent`: an answer is due. `inDoubt`: it is sent again at the next tick that the backoff allows. */
  state: 'sent' | 'inDoubt'
}

/** What a reply did. `reverted`: the controller is certain not to have applied it. `again`: send `request` now. */
export type ReplyEffect = 'none' | 'committed' | 'reverted' | 'again'

/**
 * The ISR as the leader may count on it (KIP-497). A proposal may be applied at the controller long before the leader hears of it,
 * and the controller may elect any member meanwhile, so until its fate is known both readings hold: the maximal set is the confirmed
 * one together with what was proposed. One proposal is in flight; it is resolved by its reply, or by metadata with a later partition
 * epoch, after which it can no longer be applied because it names an earlier one.
 *
 * A reply may overtake the metadata that it belongs to, and with it a changed min.insync.replicas or ELR. So a reply tells what to
 * propose next, but the watermark goes on counting the confirmed members until metadata has caught up with it.
 */
export class InSyncSet {
  /** As the latest of metadata and replies has it. */
  committed: readonly number[]
  /** As metadata has it. */
  confirmed: readonly number[]
  maximal: readonly number[]
  /** Of `committed`. */
  partitionEpoch: number
  pending: Pending | null = null
  readonly backoff = new Backoff(FIRST_RETRY_US, LONGEST_RETRY_US)
  private readonly nextRequestId: () => number

  constructor(isr: readonly number[], partitionEpoch: number, nextRequestId: () => number) {
    this.committed = isr
    this.confirmed = isr
    this.maximal = isr
    this.partitionEpoch = partitionEpoch
    this.nextRequestId = nextRequestId
  }

  propose(leaderEpoch: number, members: AlterPartition['isr']): AlterPartition {
    const isr = members.map((member) => member.brokerId)
    const request: AlterPartition = {
      requestId: this.nextRequestId(),
      leaderEpoch,
      partitionEpoch: this.partitionEpoch,
      isr: members,
    }
    const joining = isr.filter((id) => !this.committed.includes(id))
    this.pending = { request, isr, joining, state: 'sent' }
    this.widen()
    return request
  }

  /** Metadata, never older than what metadata said before. */
  confirm(isr: readonly number[], partitionEpoch: number): void {
    this.confirmed = isr
    if (partitionEpoch >= this.partitionEpoch) this.commit(isr, partitionEpoch)
    else this.widen()
  }

  private commit(isr: readonly number[], partitionEpoch: number): void {
    this.committed = isr
    this.partitionEpoch = partitionEpoch
    if (this.pending !== null && this.pending.request.partitionEpoch < partitionEpoch) {
      this.pending = null
      this.backoff.succeeded()
    }
    this.widen()
  }

  private widen(): void {
    this.maximal = [...new Set([...this.confirmed, ...this.committed, ...(this.pending?.joining ?? [])])]
  }

  reply(requestId: number, result: AlterResult, leaderEpoch: number, nowUs: number): ReplyEffect {
    const pending = this.pending
    if (pending === null || pending.request.requestId !== requestId) return 'none'
    if (result.kind === 'lost') {
      this.again(pending)
      return 'again'
    }
    if (result.kind === 'applied') return this.applied(pending, result, leaderEpoch, nowUs)
    this.backoff.failed(nowUs)
    if (!NOT_APPLIED.has(result.error)) {
      pending.state = 'inDoubt'
      return 'none'
    }
    this.pending = null
    this.widen()
    return 'reverted'
  }

  private applied(
    pending: Pending,
    result: AlterResult & { readonly kind: 'applied' },
    leaderEpoch: number,
    nowUs: number,
  ): ReplyEffect {
    if (result.leaderEpoch !== leaderEpoch || result.partitionEpoch < this.partitionEpoch) {
      // Somebody leads already, or the answer is of another time: metadata will tell.
      pending.state = 'inDoubt'
      this.backoff.failed(nowUs)
      return 'none'
    }
    this.commit(result.isr, result.partitionEpoch)
    // A proposal equal to the state is applied without a new partition epoch.
    this.pending = null
    this.backoff.succeeded()
    this.widen()
    return 'committed'
  }

  /** The proposal whose fate is open, with a new request id; it is the same one, so at most one of the two is ever applied. */
  retryInDoubt(nowUs: number): AlterPartition | null {
    if (this.pending === null || this.pending.state !== 'inDoubt' || nowUs < this.backoff.retryAtUs) return null
    return this.again(this.pending)
  }

  private again(pending: Pending): AlterPartition {
    pending.request = { ...pending.request, requestId: this.nextRequestId() }
    pending.state = 'sent'
    return pending.request
  }
}

/**
 * Answers that say: the partition epoch of the request was the present one, and the change was refused. After any other error the
 * request, or an earlier copy of it whose answer was lost, may have been applied.
 */
const NOT_APPLIED: ReadonlySet<number> = new Set([
  ErrorCode.INELIGIBLE_REPLICA,
  ErrorCode.OPERATION_NOT_ATTEMPTED,
  ErrorCode.INVALID_REQUEST,
])
