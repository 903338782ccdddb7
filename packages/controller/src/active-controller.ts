import { brokerConfigValue, parseBoolean, parseWhole } from '@millrace/base'
import type { Properties, Timer, World } from '@millrace/base'
import { createControllerMachine } from '@millrace/metadata'
import type { ControllerMachine } from '@millrace/metadata'
import type { Hello } from '@millrace/rpc'
import type { PeerStream } from '@millrace/base'
import { Admin } from './admin/admin.ts'
import { BrokerOffice } from './broker-office.ts'
import type { BrokerSession } from './broker-session.ts'
import type { Committed } from './committed.ts'
import { Liveness } from './liveness.ts'
import type { LivenessConfig } from './liveness.ts'
import { Proposals } from './proposals.ts'
import type { Quorum, VoterAddress } from './quorum/types.ts'

export interface ActiveParts {
  readonly world: World
  readonly quorum: Quorum
  readonly committed: Committed
  readonly properties: Properties
  readonly liveness: LivenessConfig
  readonly voters: readonly VoterAddress[]
  readonly clusterId: string
  readonly term: number
  readonly previousLeader: number | null
  /** The quorum took no entry: this term is over for this node. */
  readonly rejected: () => void
}

/** How many leaderships move back at a time; the rest follows soon after. */
const BALANCE_PORTION = 1000
const BALANCE_AGAIN_US = 1_000_000

/** What a node is while it leads the quorum: the decisions of one term, and everybody who waits for them. */
export class ActiveController {
  readonly term: number
  private readonly parts: ActiveParts
  private readonly proposals: Proposals
  private readonly liveness: Liveness
  private readonly office: BrokerOffice
  private balance: Timer | null = null
  private pumping = false
  private over = false

  constructor(parts: ActiveParts) {
    const { world, quorum, committed, properties } = parts
    this.parts = parts
    this.term = parts.term
    const machine: ControllerMachine = createControllerMachine({ random: world.random, properties }, committed.image)
    this.proposals = new Proposals({ world, quorum, machine, index: committed.index, rejected: parts.rejected })
    this.liveness = new Liveness(world, parts.liveness, {
      image: machine.image,
      fence: (brokerId, brokerEpoch, reason) => this.fence(brokerId, brokerEpoch, reason),
      hangUp: (brokerId, reason) => this.office.hangUp(brokerId, reason),
    })
    const admin = new Admin({
      proposals: this.proposals,
      quorum,
      image: machine.image,
      properties,
      voters: parts.voters,
      log: world.log,
    })
    this.office = new BrokerOffice({
      world,
      committed,
      machine,
      admin,
      proposals: this.proposals,
      liveness: this.liveness,
      term: parts.term,
      clusterId: parts.clusterId,
    })
  }

  start(): void {
    this.proposals.ask({ kind: 'formCluster', clusterId: this.parts.clusterId }, () => {})
    this.liveness.start(this.parts.previousLeader)
    if (parseBoolean(this.setting('auto.leader.rebalance.enable'))) this.scheduleBalance(this.balanceIntervalUs())
  }

  accept(hello: Hello, stream: PeerStream): BrokerSession {
    return this.office.open(hello, stream)
  }

  /** An entry of this term is committed and applied to the committed image. */
  committed(index: number): void {
    this.proposals.committed(index)
    if (this.pumping) return
    this.pumping = true
    this.parts.world.timers.endOfTurn(() => {
      this.pumping = false
      if (!this.over) this.office.pump()
    })
  }

  /** Another node leads, or this one stops: every broker is told where to go. */
  end(leader: number | null, term: number): void {
    if (this.over) return
    this.over = true
    this.liveness.stop()
    this.balance?.cancel()
    this.proposals.end()
    this.office.dismiss(leader, term)
  }

  private fence(brokerId: number, brokerEpoch: number, reason: string): void {
    this.parts.world.log.warn({ broker: brokerId, epoch: brokerEpoch, reason }, 'broker fenced')
    this.proposals.ask({ kind: 'fenceBroker', brokerId, brokerEpoch }, () => {})
  }

  private scheduleBalance(delayUs: number): void {
    this.balance = this.parts.world.timers.after(delayUs, () => {
      this.proposals.ask({ kind: 'balanceLeaders', limit: BALANCE_PORTION }, (moved) => {
        if (this.over) return
        if (moved !== null && moved > 0) this.parts.world.log.info({ partitions: moved }, 'leaderships moved back')
        this.scheduleBalance(moved === BALANCE_PORTION ? BALANCE_AGAIN_US : this.balanceIntervalUs())
      })
    })
  }

  private balanceIntervalUs(): number {
    return parseWhole(this.setting('leader.imbalance.check.interval.seconds')) * 1_000_000
  }

  private setting(name: string): string {
    return brokerConfigValue(this.parts.properties, name)
  }
}
