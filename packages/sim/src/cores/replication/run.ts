import { Violation } from '../../seams.ts'
import { REPLICATION } from './checks.ts'
import { Faults } from './faults.ts'
import { Group, type GroupOptions, type GroupResult } from './group.ts'

const SECOND_US = 1_000_000

/** Runs one seed: faults, then healing, then everything must agree. Throws `Violation`. */
export function runGroup(options: GroupOptions): GroupResult {
  const group = new Group(options)
  const run = new Faults(group, options)
  void run
  const faultyUs = options.faultyUs ?? 12 * SECOND_US
  while (group.agenda.nowUs < faultyUs) group.step()
  heal(group)
  converge(group, faultyUs + 4 * SECOND_US, 40 * SECOND_US)
  return group.result()
}

function heal(group: Group): void {
  group.trace(() => 'everything is healed')
  group.faulty = false
  group.streams.heal()
  group.streams.delayUs = 2_000
  for (const broker of group.brokers) {
    group.healControl(broker)
    broker.act(() => broker.step({ kind: 'unfit', unfit: false }))
  }
}

/** Clients write for a while yet, then fall silent; after that the replicas have `limitUs` to become equal. */
function converge(group: Group, quietUs: number, limitUs: number): void {
  while (group.agenda.nowUs < quietUs) group.step()
  rescue(group)
  group.quietSinceUs = group.agenda.nowUs
  const before = group.checks.counts.commits
  while (difference(group) !== null) {
    for (let i = 0; i < 50; i++) group.step()
    if (group.agenda.nowUs > quietUs + limitUs)
      throw new Violation(REPLICATION, `does not converge: ${difference(group)}`)
    rescue(group)
  }
  if (before < 0) throw new Violation(REPLICATION, 'nothing was ever committed')
}

/** Where no clean election is possible any more, an operator accepts the loss; a fsync group never comes to that. */
function rescue(group: Group): void {
  const { state } = group.controller
  if (state.leader !== -1 || state.isr.length > 0 || state.elr.length > 0) return
  const alive = group.brokers.find(
    (broker) => state.replicas.includes(broker.id) && !group.controller.isFenced(broker.id),
  )
  if (alive !== undefined) group.electUncleanly(alive)
}

function difference(group: Group): string | null {
  const { state } = group.controller
  if (state.leader === -1) return `nobody leads, ISR ${state.isr.join(',')}, ELR ${state.elr.join(',')}`
  if (state.isr.length < state.replicas.length)
    return `ISR ${state.isr.join(',')} of replicas ${state.replicas.join(',')}, led by ${state.leader}`
  const leader = group.brokers.find((broker) => broker.id === state.leader)
  for (const broker of group.brokers.filter((broker) => state.replicas.includes(broker.id))) {
    if (leader === undefined || broker.node === null) return `${broker.id} is down`
    const { machine, log } = broker.node
    if (machine.leaderEpoch !== state.leaderEpoch) return `${broker.id} is in epoch ${machine.leaderEpoch}`
    if (machine.highWatermark !== leader.log.endOffset)
      return `the watermark of ${broker.id} is ${machine.highWatermark}, the leader's log ends at ${leader.log.endOffset}`
    if (log.endOffset !== leader.log.endOffset) return `${broker.id} ends at ${log.endOffset}`
    // One that begins later heard of a deletion whose leader was gone before the others heard.
    if (log.logStart < leader.log.logStart)
      return `${broker.id} begins at ${log.logStart}, the leader's log at ${leader.log.logStart}`
    for (let offset = Math.max(log.logStart, leader.log.logStart); offset < log.endOffset; offset++) {
      const [mine, leaders] = [log.record(offset), leader.log.record(offset)]
      if (mine?.epoch !== leaders?.epoch || mine?.value !== leaders?.value)
        throw new Violation(
          REPLICATION,
          `${broker.id} and its leader differ at ${offset} though both call it committed`,
        )
    }
  }
  return null
}
