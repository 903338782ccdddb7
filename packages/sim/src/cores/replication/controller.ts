import { ErrorCode } from '@millrace/base'
import type { AlterPartition, AlterResult, BrokerState, PartitionState } from '@millrace/replication'

/** What the metadata log says after one entry. */
export interface Version {
  readonly index: number
  readonly state: PartitionState
  readonly brokers: ReadonlyMap<number, BrokerState>
}

interface Registration {
  epoch: number
  directory: number
  fenced: boolean
}

/**
 * The decisions of a controller about one partition: who leads, who is in sync, who is eligible to lead. Every decision is one
 * committed entry; Raft is somebody else's model.
 */
export class ModelController {
  readonly versions: Version[] = []
  state: PartitionState
  /** Offsets may be lost from here on: an operator asked for it, or the last replica's disk is gone. */
  uncleanElections = 0
  private readonly registrations = new Map<number, Registration>()
  private readonly pagecache: boolean
  private readonly committed: () => void

  constructor(replicas: readonly number[], minInsyncReplicas: number, pagecache: boolean, committed: () => void) {
    this.pagecache = pagecache
    this.committed = committed
    this.state = {
      replicas,
      isr: replicas,
      elr: [],
      leader: -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      uncleanlyElected: false,
      minInsyncReplicas,
    }
  }

  get latest(): Version {
    return this.versions.at(-1) as Version
  }

  isRegistered(id: number): boolean {
    return this.registrations.has(id)
  }

  isFenced(id: number): boolean {
    return this.registrations.get(id)?.fenced ?? true
  }

  epochOf(id: number): number {
    return this.registrations.get(id)?.epoch ?? -1
  }

  /** One atomic entry: the old incarnation is fenced, its leadership ends even when it is elected again, and what its disk lost is told. */
  register(id: number, directory: number): number {
    const before = this.registrations.get(id)
    const epoch = this.versions.length + 1
    this.registrations.set(id, { epoch, directory, fenced: true })
    const first = before === undefined
    const wiped = before !== undefined && before.directory !== directory
    const state = first ? this.state : this.without(id)
    // A page-cache broker may have lost what it acknowledged; so has one with another directory, even as the last member.
    const lossy = wiped || (this.pagecache && !first)
    this.commit(
      { ...state, elr: lossy ? state.elr.filter((member) => member !== id) : state.elr },
      !first && this.state.leader === id,
    )
    return epoch
  }

  fence(id: number): void {
    const registration = this.registrations.get(id)
    if (registration === undefined || registration.fenced) return
    registration.fenced = true
    this.commit(this.without(id), this.state.leader === id)
  }

  unfence(id: number): void {
    const registration = this.registrations.get(id)
    if (registration === undefined || !registration.fenced) return
    registration.fenced = false
    this.commit(this.state, false)
  }

  setMinInsyncReplicas(min: number): void {
    const elr = this.state.isr.length >= min ? [] : this.state.elr
    this.commit({ ...this.state, minInsyncReplicas: min, elr }, false)
  }

  /** Moves leadership inside the ISR, as a preferred election does. */
  moveLeadership(to: number): void {
    if (!this.state.isr.includes(to) || this.isFenced(to)) return
    const { leaderEpoch } = this.state
    this.commit({ ...this.state, leader: to, leaderEpoch: leaderEpoch + 1 }, false)
  }

  /** The same broker again, in a new epoch. */
  bumpEpoch(): void {
    this.commit(this.state, true)
  }

  setReplicas(replicas: readonly number[]): void {
    const isr = this.state.isr.filter((id) => replicas.includes(id))
    if (isr.length === 0) return
    const removed = this.state.replicas.some((id) => !replicas.includes(id))
    const elr = this.state.elr.filter((id) => replicas.includes(id))
    const leader = replicas.includes(this.state.leader) ? this.state.leader : -1
    this.commit({ ...this.state, replicas, isr, elr, leader }, removed)
  }

  /** An operator accepts loss: any live replica leads, alone. */
  electUncleanly(id: number): void {
    if (this.isFenced(id)) return
    this.uncleanElections += 1
    const leaderEpoch = this.state.leaderEpoch + 1
    this.commit({ ...this.state, leader: id, leaderEpoch, isr: [id], elr: [], uncleanlyElected: true }, false)
  }

  alter(from: number, brokerEpoch: number, request: AlterPartition): AlterResult {
    const error = this.refusal(from, brokerEpoch, request)
    if (error !== null) return { kind: 'rejected', error }
    const isr = request.isr.map((member) => member.brokerId)
    const { state } = this
    if (request.partitionEpoch === state.partitionEpoch) {
      const left = [...state.elr, ...state.isr].filter((id) => !isr.includes(id))
      const elr = isr.length < state.minInsyncReplicas ? left : []
      // Until every replica is back, some of them may still have to give up what the unclean election gave up.
      const uncleanlyElected = state.uncleanlyElected && isr.length < state.replicas.length
      this.commit({ ...state, isr, elr, uncleanlyElected }, false)
    }
    if (!isr.includes(from)) return { kind: 'rejected', error: ErrorCode.NEW_LEADER_ELECTED }
    return { kind: 'applied', isr, partitionEpoch: this.state.partitionEpoch, leaderEpoch: this.state.leaderEpoch }
  }

  private refusal(from: number, brokerEpoch: number, request: AlterPartition): number | null {
    const { state } = this
    if (this.epochOf(from) !== brokerEpoch) return ErrorCode.STALE_BROKER_EPOCH
    if (request.leaderEpoch < state.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
    if (request.leaderEpoch > state.leaderEpoch || request.partitionEpoch > state.partitionEpoch)
      return ErrorCode.NOT_CONTROLLER
    const isr = request.isr.map((member) => member.brokerId)
    const same = isr.length === state.isr.length && isr.every((id) => state.isr.includes(id))
    if (request.partitionEpoch < state.partitionEpoch) return same ? null : ErrorCode.INVALID_UPDATE_VERSION
    if (isr.length === 0 || state.leader !== from) return ErrorCode.INVALID_REQUEST
    if (!isr.every((id) => state.replicas.includes(id))) return ErrorCode.INVALID_REQUEST
    const ineligible = request.isr.some(
      (member) => this.isFenced(member.brokerId) || this.epochOf(member.brokerId) !== member.brokerEpoch,
    )
    return ineligible ? ErrorCode.INELIGIBLE_REPLICA : null
  }

  private without(id: number): PartitionState {
    const { state } = this
    if (!state.isr.includes(id)) return state
    const isr = state.isr.filter((member) => member !== id)
    return { ...state, isr, elr: isr.length < state.minInsyncReplicas ? [...state.elr, id] : [] }
  }

  private commit(change: PartitionState, raiseEpoch: boolean): void {
    const state = this.elected(change, raiseEpoch)
    if (!sameState(state, this.state) || this.versions.length === 0)
      this.state = { ...state, partitionEpoch: this.state.partitionEpoch + 1 }
    const brokers = new Map<number, BrokerState>()
    for (const [id, { epoch, fenced }] of this.registrations) brokers.set(id, { epoch, eligible: !fenced })
    this.versions.push({ index: this.versions.length + 1, state: this.state, brokers })
    this.committed()
  }

  /** Clean elections only: the first live replica of the ISR, or of the ELR when the ISR is empty. */
  private elected(state: PartitionState, raiseEpoch: boolean): PartitionState {
    const alive = (id: number): boolean => !this.isFenced(id)
    if (state.leader !== -1 && alive(state.leader) && state.isr.includes(state.leader))
      return raiseEpoch ? { ...state, leaderEpoch: state.leaderEpoch + 1 } : state
    const from = state.isr.length > 0 ? state.isr : state.elr
    const leader = state.replicas.find((id) => from.includes(id) && alive(id)) ?? -1
    if (leader === state.leader && !raiseEpoch) return state
    const isr = leader !== -1 && state.isr.length === 0 ? [leader] : state.isr
    return {
      ...state,
      leader,
      leaderEpoch: state.leaderEpoch + 1,
      isr,
      elr: isr.length >= state.minInsyncReplicas ? [] : state.elr.filter((id) => id !== leader),
    }
  }
}

function sameState(a: PartitionState, b: PartitionState): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
