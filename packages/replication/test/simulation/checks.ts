import type { PartitionInput, PartitionState } from '../../src/types.ts'
import type { ModelLog, ModelRecord } from '../model/model-log.ts'
import type { ModelNode } from '../model/node.ts'

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

export class Violation extends Error {
  override readonly name = 'Violation'
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
  private readonly watermarks = new Map<string, number>()
  private readonly epochs = new Map<string, number>()
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
    const who = `${broker.id}#${broker.incarnation}`
    this.demand(machine.leaderEpoch >= (this.epochs.get(who) ?? -1), `the epoch of ${who} regressed`)
    this.epochs.set(who, machine.leaderEpoch)
    this.demand(machine.highWatermark <= broker.log.endOffset, `the watermark of ${who} is above its log`)
    const known = this.watermarks.get(who) ?? machine.highWatermark
    this.watermarks.set(who, machine.highWatermark)
    if (machine.role === 'leader') this.led(broker, who, Math.min(known, machine.highWatermark))
    else if (input.kind === 'fromLeader') this.followed(broker, who)
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
        this.holdsCommitted(broker, 0, `begins to lead epoch ${machine.leaderEpoch}`)
    }
    this.demand(led.incarnation === who, `epoch ${machine.leaderEpoch} is led by ${led.incarnation} and by ${who}`)
    this.demand(machine.highWatermark >= led.highWatermark, `the watermark of leader ${who} fell`)
    if (led.timely && machine.latestKnown && machine.leaderEpoch > this.uncleanEpoch)
      this.demand(machine.highWatermark >= led.committedBefore, `${who} serves "latest" below what was committed`)
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
        this.demand(same(record, known), `${who} commits ${show(record)} at ${offset}, which was ${show(known)}`)
        continue
      }
      this.demand(record !== undefined, `${who} commits ${offset}, which it does not hold`)
      this.committed[offset] = record as ModelRecord
      this.counts.commits += 1
      const { seen } = broker
      const enough = seen !== null && seen.isr.length >= seen.minInsyncReplicas
      this.demand(enough, `${who} commits ${offset} though it knows that too few are in sync`)
    }
    if (this.fsync)
      this.demand(broker.log.syncedEnd >= to, `${who} commits ${to}, but its disk ends at ${broker.log.syncedEnd}`)
    const { isr, elr } = this.state()
    for (const member of this.brokers())
      if (isr.includes(member.id) || elr.includes(member.id))
        this.holdsCommitted(
          member,
          from,
          `is in ISR ${isr.join(',')} or ELR ${elr.join(',')} when ${who} commits up to ${to}`,
        )
  }

  /** StrongIsr: whoever may be elected cleanly holds every committed record; in fsync mode on its disk. */
  private holdsCommitted(broker: Observed, from: number, why: string): void {
    if (broker.unaccounted) return
    for (
      let offset = Math.max(from, this.deletedBelow, broker.log.logStart);
      offset < this.committed.length;
      offset++
    ) {
      const known = this.committed[offset]
      const record = broker.log.record(offset)
      this.demand(
        same(record, known),
        `${broker.id} has ${show(record)} at ${offset}, not the committed ${show(known)}; it ${why}`,
      )
      if (this.fsync)
        this.demand(same(broker.log.syncedRecord(offset), known), `${broker.id} has ${offset} not on disk; it ${why}`)
    }
    this.demand(
      broker.log.endOffset >= this.committed.length,
      `${broker.id} ends at ${broker.log.endOffset}, committed is ${this.committed.length}; it ${why}`,
    )
  }

  private followed(broker: Observed, who: string): void {
    if (this.uncleanEpoch > 0) return
    const { highWatermark } = (broker.node as ModelNode).machine
    this.demand(highWatermark <= this.committed.length, `the watermark of follower ${who} is above what is committed`)
    const last = highWatermark - 1
    if (last >= Math.max(this.deletedBelow, broker.log.logStart))
      this.demand(
        same(broker.log.record(last), this.committed[last]),
        `follower ${who} vouches for a wrong record at ${last}`,
      )
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
      this.demand(
        !same(broker.log.record(offset), this.committed[offset]),
        `${broker.id} truncates to ${to} and loses the committed record at ${offset}`,
      )
  }

  decided(): void {
    const { isr, elr, replicas, leader } = this.state()
    this.demand(
      isr.every((id) => replicas.includes(id)),
      'the ISR is within the replicas',
    )
    this.demand(!elr.some((id) => isr.includes(id)), 'ISR and ELR are apart')
    this.demand(leader === -1 || isr.includes(leader), 'the leader is in sync')
    for (const broker of this.brokers())
      if (isr.includes(broker.id) || elr.includes(broker.id))
        this.holdsCommitted(broker, 0, `is in ISR ${isr.join(',')} or ELR ${elr.join(',')} by decision`)
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

  demand(holds: boolean, what: string): void {
    if (!holds) throw new Violation(what)
  }
}

function same(a: ModelRecord | undefined, b: ModelRecord | undefined): boolean {
  return a !== undefined && b !== undefined && a.epoch === b.epoch && a.value === b.value
}

function show(record: ModelRecord | undefined): string {
  return record === undefined ? 'nothing' : `${record.value}/${record.epoch}`
}
