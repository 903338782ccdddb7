import type { Uuid } from '@millrace/base'
import { type PartitionImage, UNASSIGNED } from './image.ts'
import { assigned, type Assignment, isReassigning, neededInSync, originOf, settled, targetOf } from './reassignment.ts'
import type { MetadataRecord } from './records.ts'

/**
 * How a partition's in-sync replicas, eligible leaders (ELR) and leader follow from what happened. The one place where these
 * rules are; every decision goes through it.
 *
 * The ELR (KIP-966) holds replicas that left the ISR while it was, or thereby became, smaller than min.insync.replicas. The
 * watermark stands still in that state, so they hold every record that was acknowledged and may lead without loss. At or above the
 * minimum the ELR is empty. The ISR holds eligible replicas only and may become empty; then there is no leader, and only a member of
 * the ELR may become one cleanly. Unless every replica is known to be blank: then nothing was ever committed, and any may begin.
 *
 * A reassignment ends with whatever change makes the whole target in sync, in the same record: those to be removed leave, and a leader
 * among them hands over.
 */
export interface Wish {
  /** What the ISR shall be, before ineligible replicas are taken out; without it the present one. */
  readonly isr?: readonly number[]
  /** Where the replicas shall be; without it where they are. What may be dropped is the caller's affair. */
  readonly assignment?: Assignment
  /** Brokers whose copy may lack acknowledged records: they leave the ELR and never enter it. */
  readonly untrusted?: ReadonlySet<number>
  /** Those of them that may not even stand in as the last known leader. */
  readonly damaged?: ReadonlySet<number>
  /** Those of the untrusted that never held anything: without a leader, their directory becomes unassigned. */
  readonly blank?: ReadonlySet<number>
  /** `preferred`: the first replica shall lead if it is in sync. `unclean`: any replica that is alive may. */
  readonly election?: 'preferred' | 'unclean'
}

/** What the cluster says about the brokers, as it will be once the decision is replayed. */
export interface Rules {
  /** The broker is unfenced, not shutting down, and this directory of it is online. */
  eligible(broker: number, directory: Uuid): boolean
  /** Where the broker keeps a replica that was in `directory`: there, or elsewhere when that directory is gone. */
  home(broker: number, directory: Uuid, partition: number): Uuid
  readonly minIsr: number
  readonly uncleanElection: boolean
}

interface Outcome {
  isr: readonly number[]
  elr: readonly number[]
  lastKnownElr: readonly number[]
  directories: readonly Uuid[]
  leader: number
  unclean: boolean
}

const NOBODY: ReadonlySet<number> = new Set()

/** The record of the change, or null when everything stays as it is. */
export function changeOf(partition: PartitionImage, wish: Wish, rules: Rules): MetadataRecord | null {
  const { next, outcome } = follow(partition, wish, rules)
  if (outcome.leader !== -1) outcome.directories = rehomed(next, outcome, rules)
  const recovering =
    outcome.isr.length < next.replicas.length && (outcome.unclean || partition.leaderRecovery === 'recovering')
  const changed = {
    isr: unlessSame(outcome.isr, partition.isr),
    elr: unlessSame(outcome.elr, partition.elr),
    lastKnownElr: unlessSame(outcome.lastKnownElr, partition.lastKnownElr),
    directories: unlessSame(outcome.directories, partition.directories),
    replicas: unlessSame(next.replicas, partition.replicas),
    addingReplicas: unlessSame(next.addingReplicas, partition.addingReplicas),
    removingReplicas: unlessSame(next.removingReplicas, partition.removingReplicas),
  }
  const moved = outcome.leader !== partition.leader
  const recovery = recovering !== (partition.leaderRecovery === 'recovering')
  if (!moved && !recovery && Object.values(changed).every((list) => list === null)) return null
  // An unclean leader starts a new epoch even when it led before, because its log may have been cut. So does one that loses a replica: should
  // that come back with an empty log, nothing that it acknowledged before may count.
  const anew = moved || outcome.unclean || partition.replicas.some((broker) => !next.replicas.includes(broker))
  return {
    name: 'partitionChange',
    value: {
      topicId: partition.topicId,
      partition: partition.partition,
      leader: outcome.leader,
      leaderEpoch: partition.leaderEpoch + (anew ? 1 : 0),
      partitionEpoch: partition.partitionEpoch + 1,
      leaderRecovery: recovering ? 1 : 0,
      ...changed,
    },
  }
}

/** The wish, and the end of a reassignment where that follows. Not of an unclean election: the others may have what the leader lacks. */
function follow(partition: PartitionImage, wish: Wish, rules: Rules): { next: PartitionImage; outcome: Outcome } {
  const next = wish.assignment === undefined ? partition : assigned(partition, wish.assignment)
  const outcome = decide(next, wish, rules)
  const target = targetOf(next)
  if (!isReassigning(next) || outcome.unclean || !target.every((broker) => outcome.isr.includes(broker)))
    return { next, outcome }
  const there = assigned(next, settled(target))
  const isr = outcome.isr.filter((broker) => target.includes(broker))
  return { next: there, outcome: decide(there, { ...wish, isr }, rules) }
}

function decide(partition: PartitionImage, wish: Wish, rules: Rules): Outcome {
  const untrusted = wish.untrusted ?? NOBODY
  const { directories } = partition
  const alive = (broker: number): boolean =>
    rules.eligible(broker, directories[partition.replicas.indexOf(broker)] as Uuid)
  const isr = (wish.isr ?? partition.isr).filter(alive)
  // Whoever was in sync or eligible until now holds all that was acknowledged.
  const complete = partition.replicas.filter(
    (broker) => (partition.isr.includes(broker) || partition.elr.includes(broker)) && !untrusted.has(broker),
  )
  const base = { directories, unclean: false, lastKnownElr: [] }
  if (isr.length > 0) {
    const leader = leaderWithin(partition, isr, wish)
    return { ...base, isr, elr: elrOf(partition, isr, complete, rules), leader }
  }
  const heir = complete.find(alive)
  if (heir !== undefined) return { ...base, isr: [heir], elr: elrOf(partition, [heir], complete, rules), leader: heir }
  return withoutCleanLeader(partition, wish, rules, { complete, alive })
}

function leaderWithin(partition: PartitionImage, isr: readonly number[], wish: Wish): number {
  const preferred = partition.replicas[0] as number
  if (wish.election === 'preferred' && isr.includes(preferred)) return preferred
  if (isr.includes(partition.leader)) return partition.leader
  return partition.replicas.find((broker) => isr.includes(broker)) as number
}

function elrOf(
  partition: PartitionImage,
  isr: readonly number[],
  complete: readonly number[],
  rules: Rules,
): readonly number[] {
  return isr.length >= neededInSync(partition, rules.minIsr) ? [] : complete.filter((broker) => !isr.includes(broker))
}

interface Situation {
  readonly complete: readonly number[]
  alive(broker: number): boolean
}

function withoutCleanLeader(partition: PartitionImage, wish: Wish, rules: Rules, situation: Situation): Outcome {
  const { complete, alive } = situation
  const directories = partition.directories.map((one, at) =>
    wish.blank?.has(partition.replicas[at] as number) ? UNASSIGNED : one,
  )
  // Whoever held what was committed would know; so nothing was if nobody ever held anything.
  const unwritten = directories.every((one) => one === UNASSIGNED)
  const untrusted = wish.untrusted ?? NOBODY
  const lastKnown = (partition.isr.length > 0 ? [partition.leader] : partition.lastKnownElr).filter(
    (broker) => !(wish.damaged ?? NOBODY).has(broker),
  )
  // When nobody is left who surely holds everything, the last leader is the best there is (KIP-966).
  const last = complete.length === 0 ? lastKnown.find((broker) => alive(broker) && !untrusted.has(broker)) : undefined
  const forced = wish.election === 'unclean'
  const any =
    forced || rules.uncleanElection ? byAge(partition).find((one) => alive(one) && !untrusted.has(one)) : undefined
  const heir = last ?? any ?? (forced || unwritten ? emptied(partition, directories, rules) : undefined)
  if (heir === undefined)
    return { isr: [], elr: complete, lastKnownElr: lastKnown, directories, leader: -1, unclean: false }
  return {
    isr: [heir],
    elr: [],
    lastKnownElr: [],
    directories: directories.map((one, at) =>
      partition.replicas[at] === heir ? rules.home(heir, one, partition.partition) : one,
    ),
    leader: heir,
    unclean: !unwritten,
  }
}

/** Those that are being added last: they have the least, if anything. */
function byAge(partition: PartitionImage): readonly number[] {
  return [...originOf(partition), ...partition.addingReplicas]
}

/** A replica without its directory: it would lead an empty log, which only an operator may ask for where anything was written. */
function emptied(partition: PartitionImage, directories: readonly Uuid[], rules: Rules): number | undefined {
  return byAge(partition).find((broker) => {
    const directory = directories[partition.replicas.indexOf(broker)] as Uuid
    return rules.eligible(broker, rules.home(broker, directory, partition.partition))
  })
}

/** A led partition moves replicas out of directories that are gone; one that still counts as complete waits for its own. */
function rehomed(partition: PartitionImage, outcome: Outcome, rules: Rules): readonly Uuid[] {
  return outcome.directories.map((directory, at) => {
    const broker = partition.replicas[at] as number
    const waits = outcome.isr.includes(broker) || outcome.elr.includes(broker)
    return waits ? directory : rules.home(broker, directory, partition.partition)
  })
}

function unlessSame<T>(next: readonly T[], old: readonly T[]): readonly T[] | null {
  return next.length === old.length && next.every((one, at) => one === old[at]) ? null : next
}
