import { OFFSETS_TOPIC } from '@millrace/base'
import type { ReplicaInspection } from '@millrace/broker'
import { isReassigning, neededInSync, type PartitionImage } from '@millrace/metadata'
import { BatchList, batchText } from './batch-list.ts'
import { demand } from './demand.ts'
import { partitionText } from './metadata-checks.ts'
import { Promises } from './promises.ts'
import { producersFrom } from './producers-text.ts'
import type { ReplicaMirror } from './replica-mirror.ts'

/** One leader epoch as it was led. */
interface Leadership {
  readonly life: string
  highWatermark: number
  /** Where the committed log ended, as far as earlier leaders had brought it, when it began. */
  readonly committedBefore: number
}

/** A replica in service, as it was after its last step. */
export class ReplicaWatch {
  readonly replica: ReplicaInspection
  readonly model: PartitionModel
  readonly mirror: ReplicaMirror
  /** The incarnation of the node. */
  readonly life: string
  /** The incarnation as the controller numbered it. */
  brokerEpoch = -1
  steps = -1
  pass = 0
  leaderEpoch = -1
  highWatermark = 0
  logStart = 0
  generation = -1
  enoughInSync = false
  /** The epoch that it leads; -1 for none. */
  leads = -1
  checked = 0

  constructor(parts: Pick<ReplicaWatch, 'replica' | 'model' | 'mirror' | 'life'>) {
    this.replica = parts.replica
    this.model = parts.model
    this.mirror = parts.mirror
    this.life = parts.life
  }

  get name(): string {
    return `${this.life} ${this.model.name}`
  }
}

/** Offsets in [from, to). */
interface Part {
  readonly from: number
  readonly to: number
}

const ALL: Part = { from: 0, to: Number.POSITIVE_INFINITY }

/** What the checks of all partitions share. */
export interface PartitionRules {
  /** Every broker syncs before it promises. */
  readonly fsync: boolean
  /** Whether metadata permits, for this topic, to elect a leader that may lack records. */
  uncleanElection(topic: string): boolean
  minInsyncReplicas(topic: string): number
  /** Whether records of the topic are deleted by age or size: then starts of logs move by themselves, a moment apart. */
  limited(topic: string): boolean
  /** Of the incarnation that is registered. */
  brokerEpoch(id: number): number | undefined
  readonly counts: PartitionCounts
}

export interface PartitionCounts {
  batches: number
  commits: number
  elections: number
  uncleanElections: number
  elrElections: number
  leaderless: number
  belowMinimum: number
  truncations: number
  quarantines: number
}

/**
 * One partition over all its replicas and lives: what was committed, by whom, and who must hold it. A record is committed once the watermark of
 * some leader has passed it; from then on it belongs to the model log, in which nothing ever changes unless an operator permits the election of
 * a leader that may lack records.
 */
export class PartitionModel {
  readonly name: string
  state: PartitionImage
  /** The committed log. */
  readonly committed = new BatchList()
  /** By the leader of which epoch each of its batches was committed. */
  readonly by: number[] = []
  readonly mirrors = new Map<number, ReplicaMirror>()
  readonly watches = new Set<ReplicaWatch>()
  readonly promises: Promises
  /** The first epoch of the last unclean election; -1 while there was none. */
  uncleanEpoch = -1
  private readonly leaderships = new Map<number, Leadership>()
  private readonly elected = new Map<number, number>()
  /** Who wrote what where: epoch and CRC by base offset. */
  private readonly written = new Map<number, { readonly epoch: number; readonly crc: number }[]>()
  private readonly rules: PartitionRules
  /** Nodes that were taken off the partition and have not been in sync since: what they held is gone. */
  private readonly left = new Set<number>()

  constructor(state: PartitionImage, rules: PartitionRules) {
    this.state = state
    this.rules = rules
    this.name = `${state.topic}-${state.partition}`
    this.promises = new Promises(this.name)
    this.elected.set(state.leaderEpoch, state.leader)
  }

  /** The offset after the last committed record: the highest watermark of any leader, as long as no loss was accepted. */
  end = 0

  /** Nothing was ever committed. */
  get blank(): boolean {
    return this.committed.length === 0 && this.uncleanEpoch < 0
  }

  // What the controller decides.

  decided(now: PartitionImage, old: PartitionImage): void {
    this.state = now
    this.elected.set(now.leaderEpoch, now.leader)
    this.count(now, old)
    // A partition that nobody wrote to begins with any replica, once all of them turn out to be blank.
    const begins = now.leaderRecovery === 'recovered' && this.committed.length === 0
    // An entry may hold several decisions, of which only the last state is seen here.
    const several = now.partitionEpoch > old.partitionEpoch + 1
    const told = several && now.leaderRecovery === 'recovered'
    // The change that brings the last of a reassignment's target into the ISR may elect it at once; that it holds everything is checked below.
    const arrives = isReassigning(old) && !isReassigning(now) && now.leaderRecovery === 'recovered'
    const clean = old.isr.includes(now.leader) || old.elr.includes(now.leader) || begins || told || arrives
    if (now.leader !== -1 && now.leaderEpoch !== old.leaderEpoch && !clean) this.electedUncleanly(now, old)
    else if (!several) this.keepsEligible(now, old)
    for (const id of [...now.isr, ...now.elr]) {
      if (old.isr.includes(id) || old.elr.includes(id)) continue
      this.left.delete(id)
      this.mustHold(id, ALL, () => `it enters ISR or ELR: ${partitionText(now)} after ${partitionText(old)}`)
    }
    for (const id of old.replicas) if (!now.replicas.includes(id)) this.left.add(id)
    const leader = [...this.watches].find(({ leads }) => leads === now.leaderEpoch)
    this.promises.decided(now, old, { leader, brokerEpoch: (id) => this.rules.brokerEpoch(id) })
  }

  private count(now: PartitionImage, old: PartitionImage): void {
    const { counts } = this.rules
    const enough = neededInSync(now, this.rules.minInsyncReplicas(now.topic))
    if (now.leader === -1 && old.leader !== -1) counts.leaderless++
    if (now.leader !== -1 && !old.isr.includes(now.leader) && old.elr.includes(now.leader)) counts.elrElections++
    if (now.isr.length < enough && old.isr.length >= enough) counts.belowMinimum++
  }

  /**
   * Whoever leaves the ISR while it is, or thereby becomes, smaller than the minimum holds everything that was committed, and may lead: it
   * stays eligible, unless its copy is in doubt (KIP-966).
   */
  private keepsEligible(now: PartitionImage, old: PartitionImage): void {
    const enough = neededInSync(now, this.rules.minInsyncReplicas(now.topic))
    if (now.isr.length >= enough || this.committed.length === 0 || !this.rules.fsync) return
    for (const id of [...old.isr, ...old.elr]) {
      if (now.isr.includes(id) || now.elr.includes(id) || !now.replicas.includes(id)) continue
      const mirror = this.mirrors.get(id)
      demand(
        mirror === undefined || !mirror.counts || mirror.damaged,
        'ElrIsKept',
        () => `${this.name}: n${id} is forgotten: ${partitionText(now)} after ${partitionText(old)}`,
      )
    }
  }

  /** What its leader lacks is lost, once it leads; before that nobody knows what that is. */
  private electedUncleanly(now: PartitionImage, old: PartitionImage): void {
    this.rules.counts.uncleanElections++
    const excused =
      this.rules.uncleanElection(now.topic) ||
      [...this.mirrors.values()].some((mirror) => mirror.damaged || !mirror.counts)
    demand(
      excused || !this.rules.fsync || this.committed.length === 0,
      'NoUncleanElection',
      () => `${this.name}: ${partitionText(now)} after ${partitionText(old)}`,
    )
    this.uncleanEpoch = now.leaderEpoch
    const mirror = this.mirrors.get(now.leader)
    this.acceptLoss(mirror?.list ?? new BatchList(), mirror?.logStart ?? 0)
  }

  private acceptLoss(survivor: BatchList, logStart: number): void {
    let kept = 0
    while (kept < this.committed.length) {
      const base = this.committed.bases[kept] as number
      const at = survivor.find(base)
      if (base >= logStart && (at === -1 || !this.committed.same(kept, survivor, at))) break
      kept++
    }
    this.committed.keep(kept)
    this.by.length = kept
    this.end = this.committed.end
  }

  // What a replica writes.

  /** The batches that a replica's log got since it was last looked at. */
  wrote(watch: ReplicaWatch): void {
    const { mirror } = watch
    const { list, logStart } = mirror
    for (let at = watch.checked; at < list.length; at++) {
      const { base, epoch, crc } = list.at(at)
      if (at > 0) {
        const before = list.at(at - 1)
        const follows = base === before.next && epoch >= before.epoch
        demand(
          follows || mirror.damaged,
          'OffsetsDense',
          () => `${watch.name} holds ${batchText(list, at)} after ${batchText(list, at - 1)}`,
        )
      }
      // What a damaged disk holds nobody need have written, not here at least.
      if (base >= logStart && !mirror.damaged) this.oneWriter(watch, { base, epoch, crc })
    }
    this.rules.counts.batches += list.length - watch.checked
    watch.checked = list.length
  }

  /** An epoch has one leader, and that writes an offset once: two logs that hold a record of one epoch at one place agree. */
  private oneWriter(watch: ReplicaWatch, { base, epoch, crc }: { base: number; epoch: number; crc: number }): void {
    const known = this.written.get(base)
    if (known === undefined) return void this.written.set(base, [{ epoch, crc }])
    const other = known.find((one) => one.epoch === epoch)
    if (other === undefined) known.push({ epoch, crc })
    else
      demand(
        other.crc === crc,
        'EpochHasOneWriter',
        () =>
          `${watch.name} holds CRC ${crc.toString(16)} at ${base} in epoch ${epoch}, which was written as ${other.crc.toString(16)}`,
      )
  }

  /** The log was cut, opened by a new life, or begun anew. `before` is what it held. */
  reread(watch: ReplicaWatch, before: BatchList, how: 'cut' | 'opened' | 'anew'): void {
    const { mirror } = watch
    watch.checked = 0
    if (mirror.damaged || how === 'anew' || this.left.has(mirror.node)) return
    let lost = 0
    for (let at = 0; at < before.length; at++) {
      const held = mirror.list.find(before.bases[at] as number)
      if (held !== -1 && mirror.list.same(held, before, at)) continue
      lost++
      if ((before.bases[at] as number) < mirror.logStart) continue
      if (how === 'cut') this.lostToLeader(watch, before, at)
      else this.lostToCrash(watch, before, at)
    }
    if (lost > 0) this.rules.counts.truncations++
    const { isr, elr } = this.state
    if (isr.includes(mirror.node) || elr.includes(mirror.node))
      this.mustHold(
        mirror.node,
        { from: mirror.logStart, to: this.end },
        () => `its log was ${how} while in ISR ${isr.join()} or ELR ${elr.join()}`,
      )
  }

  /** Up to where a log holds what was committed, and nothing else. */
  agreement(list: BatchList): number {
    for (let at = 0; at < list.length; at++) {
      const committed = this.committed.find(list.bases[at] as number)
      if (committed === -1 || !list.same(at, this.committed, committed)) return list.bases[at] as number
    }
    return list.end
  }

  /** A leader holds what was committed before its epoch; who follows it may lose no more than what came later. */
  private lostToLeader({ mirror, replica, name }: ReplicaWatch, before: BatchList, at: number): void {
    const committed = this.committed.find(before.bases[at] as number)
    if (committed === -1 || !before.same(at, this.committed, committed)) return
    const { leaderEpoch } = replica.machine
    const by = this.by[committed] as number
    demand(
      by > leaderEpoch || this.uncleanEpoch >= 0,
      'NoTruncationOfCommitted',
      () =>
        `${name} truncates to ${mirror.list.end} under epoch ${leaderEpoch} and loses ${batchText(before, at)}, committed under epoch ${by}`,
    )
  }

  /** What was only in memory may go with the power; what was durable may not. */
  private lostToCrash({ mirror, name }: ReplicaWatch, before: BatchList, at: number): void {
    const { durableBefore, logStart, list } = mirror
    demand(
      (before.nexts[at] as number) > durableBefore,
      'DurableSurvives',
      () =>
        `${name} comes back without ${batchText(before, at)}; durable was ${durableBefore}, its log is [${logStart},${list.end})`,
    )
  }

  // What a replica says.

  /** A replica leads: everything a consumer or a producer is told rests on it. */
  led(watch: ReplicaWatch): void {
    const { machine } = watch.replica
    const { leaderEpoch: epoch, highWatermark } = machine
    const led = this.leaderships.get(epoch) ?? this.begins(watch, epoch)
    demand(
      led.life === watch.life,
      'OneLeaderPerEpoch',
      () => `epoch ${epoch} of ${this.name} is led by ${led.life} and by ${watch.life}`,
    )
    demand(
      highWatermark >= led.highWatermark,
      'HighWatermarkMonotonic',
      () => `the watermark of leader ${watch.name} falls from ${led.highWatermark} to ${highWatermark}`,
    )
    demand(
      !machine.latestKnown || highWatermark >= led.committedBefore || epoch <= this.uncleanEpoch,
      'LatestIsCommitted',
      () => `${watch.name} tells ${highWatermark} as the latest, committed is ${led.committedBefore}`,
    )
    if (highWatermark > led.highWatermark) {
      if (epoch >= this.uncleanEpoch) this.advanced(watch, led.highWatermark)
      led.highWatermark = highWatermark
    }
    watch.enoughInSync = this.enough(watch)
  }

  private begins(watch: ReplicaWatch, epoch: number): Leadership {
    const { mirror, replica, name } = watch
    this.rules.counts.elections++
    demand(
      this.elected.get(epoch) === mirror.node,
      'LeaderIsElected',
      () => `${name} leads epoch ${epoch}, elected is ${this.elected.get(epoch) ?? 'nobody'}`,
    )
    if (epoch === this.uncleanEpoch) this.acceptLoss(mirror.list, mirror.logStart)
    if (this.uncleanEpoch >= 0 && epoch >= this.uncleanEpoch) this.adopt(watch, epoch)
    let committedBefore = 0
    for (let at = 0; at < this.committed.length; at++)
      if ((this.by[at] as number) < epoch) committedBefore = this.committed.nexts[at] as number
    if (epoch >= this.uncleanEpoch)
      for (let at = this.committed.above(mirror.logStart); at < this.committed.length; at++)
        if ((this.by[at] as number) < epoch) this.holds(watch, at, 'LeaderCompleteness')
    const led: Leadership = {
      life: watch.life,
      highWatermark: Math.min(replica.machine.highWatermark, Math.max(this.end, mirror.logStart)),
      committedBefore,
    }
    this.leaderships.set(epoch, led)
    watch.enoughInSync = this.enough(watch)
    return led
  }

  /** After a loss a leader may know of more that was committed before it, and goes on promising it. */
  private adopt({ mirror, highWatermark }: ReplicaWatch, epoch: number): void {
    for (let at = mirror.list.above(this.committed.end); at < mirror.list.length; at++) {
      if ((mirror.list.nexts[at] as number) > highWatermark) return
      this.commit(mirror.list, at, epoch)
      this.end = this.committed.end
    }
  }

  private enough({ replica }: ReplicaWatch): boolean {
    const { confirmedIsr, minInsyncReplicas } = replica.machine.inspection
    return confirmedIsr.length >= minInsyncReplicas
  }

  private advanced(watch: ReplicaWatch, from: number): void {
    const { mirror, replica, name } = watch
    const { highWatermark: to, leaderEpoch: epoch, inspection } = replica.machine
    demand(
      watch.enoughInSync || this.enough(watch),
      'MinIsr',
      () =>
        `${name} commits up to ${to} with ISR ${inspection.confirmedIsr.join()} below ${inspection.minInsyncReplicas}`,
    )
    const source = this.sourceOf(watch)
    demand(
      !this.rules.fsync || mirror.durableEnd >= to,
      'CommittedIsDurable',
      () => `${name} commits up to ${to}, its disk ends at ${mirror.durableEnd}`,
    )
    const { list } = source
    demand(
      list.end >= to || source.damaged,
      'CommittedIsHeld',
      () => `${name} commits up to ${to}, its log ends at ${list.end}`,
    )
    for (let at = list.above(from); at < list.length && (list.nexts[at] as number) <= to; at++) {
      const base = list.bases[at] as number
      if (base >= this.committed.end) {
        this.commit(list, at, epoch)
        continue
      }
      const known = this.committed.find(base)
      demand(
        (known !== -1 && list.same(at, this.committed, known)) || base < source.logStart || source.damaged,
        'CommittedIsFinal',
        () => `${name} commits ${batchText(list, at)}; committed was ${batchText(this.committed, known)}`,
      )
    }
    if (to > this.end) this.end = to
    const why = (): string => `${name} commits up to ${to} under epoch ${epoch}; ${partitionText(this.state)}`
    // What later leaders committed is not for this one to ask: it may have slept since it was deposed.
    const part = { from, to }
    for (const id of inspection.maximalIsr) if (id !== mirror.node && !this.wentAway(id)) this.mustHold(id, part, why)
    for (const id of this.state.isr) if (!inspection.maximalIsr.includes(id)) this.mustHold(id, part, why)
    for (const id of this.state.elr) this.mustHold(id, part, why)
    for (const other of this.watches)
      if (other.leads > epoch)
        this.mustHold(other.mirror.node, part, () => `it leads epoch ${other.leads} when ${why()}`)
  }

  /** Whose log tells what the leader commits: its own, unless that cannot be read for damage and somebody else's can. */
  private sourceOf({ mirror, replica }: ReplicaWatch): ReplicaMirror {
    const { highWatermark, inspection } = replica.machine
    if (mirror.list.end >= highWatermark) return mirror
    for (const id of inspection.maximalIsr) {
      const other = this.mirrors.get(id)
      if (other !== undefined && other.list.end >= highWatermark && other.counts) return other
    }
    return mirror
  }

  private commit(list: BatchList, at: number, epoch: number): void {
    this.rules.counts.commits++
    this.committed.push(list.at(at))
    this.by.push(epoch)
  }

  /** A follower vouches for what lies below its watermark. */
  followed(watch: ReplicaWatch, from: number): void {
    if (this.uncleanEpoch >= 0) return
    const { mirror, replica, name } = watch
    const { highWatermark } = replica.machine
    demand(
      highWatermark <= Math.max(this.end, mirror.logStart),
      'FollowerKnowsCommitted',
      () => `the watermark of ${name} is ${highWatermark}, committed is ${this.end}`,
    )
    const { nexts } = this.committed
    let at = this.committed.above(Math.max(from, mirror.logStart))
    for (; at < nexts.length && (nexts[at] as number) <= highWatermark; at++)
      this.holds(watch, at, 'FollowerKnowsCommitted')
  }

  // Who must hold what was committed.

  private holds({ mirror, replica, name }: ReplicaWatch, at: number, invariant: string): void {
    const missing = this.missing(mirror, at)
    if (missing === null) return
    const { role, leaderEpoch, highWatermark } = replica.machine
    const as = `as ${role} of epoch ${leaderEpoch} with watermark ${highWatermark}`
    demand(mirror.damaged, invariant, () => `${name} holds ${missing}, ${as}`)
  }

  /** It acknowledged, and lost its disk then: the controller knows and will not elect it, a leader that has not heard yet may count it. */
  private wentAway(id: number): boolean {
    const { isr, elr } = this.state
    return !isr.includes(id) && !elr.includes(id) && this.mirrors.get(id)?.everWiped === true
  }

  /** StrongIsr: whoever may be elected cleanly holds every committed record of [from, to), on its disk where brokers sync. */
  private mustHold(id: number, { from, to }: Part, why: () => string): void {
    const { committed } = this
    if (committed.length === 0 || committed.end <= from) return
    const mirror = this.mirrors.get(id)
    demand(mirror !== undefined, 'StrongIsr', () => `${this.name}: n${id} holds nothing of [0,${this.end}); ${why()}`)
    if (!mirror.counts) return
    let at = committed.above(Math.max(from, mirror.logStart))
    for (; at < committed.length && (committed.bases[at] as number) < to; at++) {
      const missing = this.missing(mirror, at)
      demand(
        missing === null || mirror.damaged,
        'StrongIsr',
        () => `${this.name}: n${id} holds ${missing ?? ''}; ${why()}`,
      )
      demand(
        !this.rules.fsync || (committed.nexts[at] as number) <= mirror.durableEnd || mirror.damaged,
        'StrongIsr',
        () => `${this.name}: n${id} has on disk [${mirror.logStart},${mirror.durableEnd}); ${why()}`,
      )
    }
  }

  private missing(mirror: ReplicaMirror, at: number): string | null {
    const base = this.committed.bases[at] as number
    const held = mirror.list.find(base)
    // A log that begins in the middle of a batch may lack its first part.
    if (held === -1 && base < mirror.logStart) return null
    if (held !== -1 && this.committed.same(at, mirror.list, held)) return null
    return `${batchText(mirror.list, held)} at ${base}, not the committed ${batchText(this.committed, at)}`
  }

  /** Nothing happens any more: all that are in sync are equal, and their epoch tables tell the truth. */
  quiet(): void {
    for (const id of this.state.isr) this.mustHold(id, ALL, () => `all is quiet; ${partitionText(this.state)}`)
    const leader = [...this.watches].find(({ leads }) => leads === this.state.leaderEpoch)
    for (const watch of this.watches) {
      if (!this.state.isr.includes(watch.mirror.node) || watch.mirror.damaged) continue
      const { highWatermark, logStart } = watch.replica.machine
      demand(
        leader === undefined || logStart >= leader.replica.machine.logStart || this.rules.limited(this.state.topic),
        'QuietIsEqual',
        () => `all is quiet and ${watch.name} begins at ${logStart}, its leader at ${leader?.replica.machine.logStart}`,
      )
      // Coordinators have something to write whenever a member's session ends.
      demand(
        highWatermark === Math.max(this.end, watch.mirror.logStart) || this.state.topic === OFFSETS_TOPIC,
        'QuietIsEqual',
        () => `all is quiet and the watermark of ${watch.name} is ${highWatermark}, committed is ${this.end}`,
      )
      this.epochTable(watch)
      if (leader !== undefined) this.sameProducers(watch, leader)
    }
  }

  /** What a replica knows of producers follows from its log. Batches before the start of one of the logs need not be known to it. */
  private sameProducers(watch: ReplicaWatch, leader: ReplicaWatch): void {
    const start = Math.max(watch.mirror.logStart, leader.mirror.logStart)
    const [known, leaders] = [watch, leader].map(({ replica }) =>
      producersFrom(replica.log.observer?.snapshot(), start),
    )
    demand(
      known === leaders,
      'ProducersFollowLog',
      () => `all is quiet and ${watch.name} knows of producers ${known}, its leader ${leader.name} ${leaders}`,
    )
  }

  private epochTable({ replica, mirror, name }: ReplicaWatch): void {
    const { entries } = replica.log.inspection.epochs
    const { list } = mirror
    for (let at = list.above(mirror.logStart); at < list.length; at++) {
      const base = Math.max(list.bases[at] as number, mirror.logStart)
      const told = entries.findLast(({ startOffset }) => startOffset <= base)?.epoch ?? -1
      demand(
        told === list.epochs[at],
        'EpochTableIsTrue',
        () => `${name} takes offset ${base} for one of epoch ${told}, it is ${batchText(list, at)}`,
      )
    }
  }
}
