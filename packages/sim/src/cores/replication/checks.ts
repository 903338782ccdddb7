import type { PartitionInput, PartitionState } from '@millrace/replication'
import type { ModelLog, ModelNode, ModelRecord } from '@millrace/replication/model'
import { Violation } from '../../seams.ts'

/** What the checks may see of a broker, running or not. */
export interface Observed {
  readonly id: number
  readonly incarnation: number
  readonly node: ModelNode | null
  /** As the running process sees it, or as the next one will find it. */
  readonly log: ModelLog
  /** Its disk lost what it had acknowledged, and the controller has not been told yet. */
  readonly unaccounted: boolean
  /** The metadata that its machine saw last. */
  readonly seen: PartitionState | null
}

/** The invariant that violations of this core are reported under. */
export const REPLICATION = 'replication core'

/** What was last seen of an incarnation. */
interface Last {
  readonly incarnation: number
  readonly who: string
  epoch: number
  /** -1 before the first step. */
  highWatermark: number
}

interface Leadership {
  /** It began before anybody was elected after it; a leader that learns late of its election may lack what was committed since. */
  readonly timely: boolean
  readonly incarnation: string
  highWatermark: number
  readonly committedBefore: number
}

/**
 * The invariants of section 2 of the reliability reference, checked where something changes instead of everywhere each time: when a
 * watermark moves, when a log is cut, when the controller decides, when somebody begins to lead.
 */
export class Checks {
  /** The records below the highest watermark any leader reached; what consumers and producers were promised. */
  readonly committed: ModelRecord[] = []
  /** Records below it were deleted on purpose. */
  deletedBelow = 0
  readonly counts = { commits: 0, truncations: 0, elections: 0 }
  private uncleanEpoch = -1
  private readonly leaderships = new Map<number, Leadership>()
  private readonly last = new Map<number, Last>()
  private readonly fsync: boolean
  private readonly brokers: () => readonly Observed[]
  private readonly state: () => PartitionState

  constructor(fsync: boolean, brokers: () => readonly Observed[], state: () => PartitionState) {
    this.fsync = fsync
    this.brokers = brokers
    this.state = state
  }

  /** After each step of each machine. */
  stepped(broker: Observed, input: PartitionInput): void {
    const { machine } = broker.node as ModelNode
    const { leaderEpoch, highWatermark } = machine
    const last = this.lastOf(broker)
    const { who } = last
    if (leaderEpoch < last.epoch) fail(`the epoch of ${who} regressed`)
    last.epoch = leaderEpoch
    if (highWatermark > broker.log.endOffset) fail(`the watermark of ${who} is above its log`)
    const known = last.highWatermark < 0 ? highWatermark : last.highWatermark
    last.highWatermark = highWatermark
    if (machine.role === 'leader') this.led(broker, who, Math.min(known, highWatermark))
    else if (input.kind === 'fromLeader') this.followed(broker, who)
  }

  private lastOf({ id, incarnation }: Observed): Last {
    const known = this.last.get(id)
    if (known?.incarnation === incarnation) return known
    const fresh = { incarnation, who: `${id}#${incarnation}`, epoch: -1, highWatermark: -1 }
    this.last.set(id, fresh)
    return fresh
  }

  private led(broker: Observed, who: string, known: number): void {
    const { machine } = broker.node as ModelNode
    let led = this.leaderships.get(machine.leaderEpoch)
    if (led === undefined) {
      const timely = machine.leaderEpoch === this.state().leaderEpoch
      if (machine.leaderEpoch === this.uncleanEpoch) this.lossAccepted(broker.log)
      if (this.uncleanEpoch >= 0 && machine.leaderEpoch >= this.uncleanEpoch) this.adopt(broker.log, known)
      const committedBefore = this.committed.length
      led = { timely, incarnation: who, highWatermark: Math.min(known, committedBefore), committedBefore }
      this.leaderships.set(machine.leaderEpoch, led)
      this.counts.elections += 1
      if (timely && machine.leaderEpoch >= this.uncleanEpoch)
        this.holdsCommitted(broker, 0, () => `begins to lead epoch ${machine.leaderEpoch}`)
    }
    if (led.incarnation !== who) fail(`epoch ${machine.leaderEpoch} is led by ${led.incarnation} and by ${who}`)
    if (machine.highWatermark < led.highWatermark) fail(`the watermark of leader ${who} fell`)
    if (led.timely && machine.leaderEpoch > this.uncleanEpoch && machine.highWatermark < led.committedBefore)
      if (machine.latestKnown) fail(`${who} serves "latest" below what was committed`)
    if (machine.highWatermark > led.highWatermark && machine.leaderEpoch >= this.uncleanEpoch)
      this.advanced(broker, who, led.highWatermark)
    led.highWatermark = machine.highWatermark
  }

  private advanced(broker: Observed, who: string, from: number): void {
    const { machine } = broker.node as ModelNode
    const to = machine.highWatermark
    for (let offset = Math.max(from, this.deletedBelow); offset < to; offset++) {
      const record = broker.log.record(offset)
      const known = this.committed[offset]
      if (offset < this.committed.length) {
        if (!same(record, known)) fail(`${who} commits ${show(record)} at ${offset}, which was ${show(known)}`)
        continue
      }
      if (record === undefined) return fail(`${who} commits ${offset}, which it does not hold`)
      this.committed[offset] = record
      this.counts.commits += 1
      const { seen } = broker
      if (seen === null || seen.isr.length < seen.minInsyncReplicas)
        fail(`${who} commits ${offset} though it knows that too few are in sync`)
    }
    if (this.fsync && broker.log.syncedEnd < to)
      fail(`${who} commits ${to}, but its disk ends at ${broker.log.syncedEnd}`)
    const { isr, elr } = this.state()
    for (const member of this.brokers())
      if (isr.includes(member.id) || elr.includes(member.id))
        this.holdsCommitted(member, from, () => `is in ${setsOf(this.state())} when ${who} commits up to ${to}`)
  }

  /** StrongIsr: whoever may be elected cleanly holds every committed record; in fsync mode on its disk. */
  private holdsCommitted(broker: Observed, from: number, why: () => string): void {
    if (broker.unaccounted) return
    const { log } = broker
    const { length } = this.committed
    if (log.endOffset < length) fail(`${broker.id} ends at ${log.endOffset}, committed is ${length}; it ${why()}`)
    for (let offset = Math.max(from, this.deletedBelow, log.logStart); offset < length; offset++) {
      const known = this.committed[offset]
      const record = log.record(offset)
      if (!same(record, known))
        fail(`${broker.id} has ${show(record)} at ${offset}, not the committed ${show(known)}; it ${why()}`)
      if (this.fsync && !same(log.syncedRecord(offset), known))
        fail(`${broker.id} has ${offset} not on disk; it ${why()}`)
    }
  }

  private followed(broker: Observed, who: string): void {
    if (this.uncleanEpoch > 0) return
    const { highWatermark } = (broker.node as ModelNode).machine
    if (highWatermark > this.committed.length) fail(`the watermark of follower ${who} is above what is committed`)
    const last = highWatermark - 1
    if (last < Math.max(this.deletedBelow, broker.log.logStart)) return
    if (!same(broker.log.record(last), this.committed[last]))
      fail(`follower ${who} vouches for a wrong record at ${last}`)
  }

  /** A log is about to be cut at `to`: no committed record may go. */
  truncating(broker: Observed, to: number): void {
    this.counts.truncations += 1
    const { isr, elr, leaderEpoch } = this.state()
    const promised = isr.includes(broker.id) || elr.includes(broker.id)
    // Whoever learns late of an election may follow a leader of the past, as long as nobody counts on it.
    if ((broker.node as ModelNode).machine.leaderEpoch < leaderEpoch && !promised) return
    const end = Math.min(broker.log.endOffset, this.committed.length)
    for (let offset = Math.max(to, this.deletedBelow, broker.log.logStart); offset < end; offset++)
      if (same(broker.log.record(offset), this.committed[offset]))
        fail(`${broker.id} truncates to ${to} and loses the committed record at ${offset}`)
  }

  decided(): void {
    const { isr, elr, replicas, leader } = this.state()
    if (isr.some((id) => !replicas.includes(id))) fail('the ISR is not within the replicas')
    if (elr.some((id) => isr.includes(id))) fail('ISR and ELR are not apart')
    if (leader !== -1 && !isr.includes(leader)) fail('the leader is not in sync')
    for (const broker of this.brokers())
      if (isr.includes(broker.id) || elr.includes(broker.id))
        this.holdsCommitted(broker, 0, () => `is in ${setsOf(this.state())} by decision`)
  }

  /** An operator accepted, by an election in `epoch`, that what `survivor` lacks is lost. Leaders before it promise nothing any more. */
  uncleanElection(epoch: number, survivor: ModelLog): void {
    this.uncleanEpoch = epoch
    this.lossAccepted(survivor)
  }

  private lossAccepted(survivor: ModelLog): void {
    const holds = (offset: number): boolean =>
      same(survivor.record(offset), this.committed[offset]) &&
      (!this.fsync || same(survivor.syncedRecord(offset), this.committed[offset]))
    let kept = Math.min(this.deletedBelow, survivor.endOffset)
    while (kept < this.committed.length && holds(kept)) kept += 1
    this.committed.length = Math.min(kept, this.committed.length)
  }

  /** After a loss a leader may know of more that was committed before it, and goes on promising it. */
  private adopt(survivor: ModelLog, highWatermark: number): void {
    for (let offset = this.committed.length; offset < highWatermark; offset++)
      this.committed[offset] = survivor.record(offset) as ModelRecord
  }
}

function fail(what: string): never {
  throw new Violation(REPLICATION, what)
}

function setsOf({ isr, elr }: PartitionState): string {
  return `ISR ${isr.join(',')} or ELR ${elr.join(',')}`
}

function same(a: ModelRecord | undefined, b: ModelRecord | undefined): boolean {
  if (a === undefined || b === undefined) return false
  // Records are handed on as they are.
  return a === b || (a.epoch === b.epoch && a.value === b.value)
}

function show(record: ModelRecord | undefined): string {
  return record === undefined ? 'nothing' : `${record.value}/${record.epoch}`
}
