import type { Random } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { includesVoter, sameVoter, type createRaft, type VoterId } from '@millrace/raft'
import { Group, voterName, voterOf, type Member } from '@millrace/raft/model'
import { Violation } from '../../seams.ts'
import { Agenda } from '../agenda.ts'
import { pick } from '../chance.ts'
import { Chores } from './chores.ts'
import { Links } from './links.ts'
import { Nemesis } from './nemesis.ts'
import { Rounds } from './rounds.ts'

/** The invariant that what does not converge is reported under. */
export const RAFT = 'raft core'

export interface StormOptions {
  readonly seed: number
  readonly create?: typeof createRaft
  /** Weights of kinds of faults, instead of drawn ones. */
  readonly faults?: Readonly<Record<string, number>>
  readonly trace?: (line: string) => void
}

export interface StormResult {
  readonly events: number
  readonly checks: number
  readonly committed: number
  readonly confirmedRounds: number
  readonly counts: ReadonlyMap<string, number>
}

const SECOND_US = 1_000_000
const TICK_US = 10_000

/**
 * A whole group on virtual time under a seeded storm: messages are lost, doubled and reordered, links are cut one way or both, connections break, nodes crash
 * with unsynced writes and come back, are wiped and swapped in again, voters are removed and added, leadership is handed around. The invariants
 * are looked at after every output of every machine.
 */
export class Storm {
  readonly agenda: Agenda
  readonly random: Random
  readonly group: Group
  readonly links: Links
  readonly size: number
  readonly counts = new Map<string, number>()
  readonly chores: Chores
  faulty = true
  private readonly rounds: Rounds
  private readonly trace: ((line: string) => void) | undefined
  private proposals = 0

  constructor({ seed, create, faults: weights, trace }: StormOptions) {
    const random = new SeededRandom(`raft core ${seed}`)
    this.random = random
    this.trace = trace
    this.agenda = new Agenda(random.fork('agenda'))
    this.size = pick(random, [3, 5])
    const rate = (most: number): number => (random.below(2) === 0 ? 0 : random.below(most + 1))
    const faults = { lost: rate(8), doubled: rate(4), reordered: rate(10) }
    const delays = { delayUs: pick(random, [500, 3000, 15_000]), ...faults }
    this.links = new Links({ agenda: this.agenda, random: random.fork('links') }, delays, (envelope) => {
      trace?.(this.at(`${voterName(envelope.from)} > ${voterName(envelope.to)} ${told(envelope.message)}`))
      this.group.deliver(envelope)
    })
    const machines = random.fork('machines')
    const paces = { laziness: pick(random, [0, 0, 30, 80]), syncUs: pick(random, [200, 2000, 10_000]) }
    this.chores = new Chores(this, random.fork('chores'), paces)
    this.group = new Group({
      random: (n) => machines.below(n),
      carrier: this.links,
      lazy: (member) => this.chores.leavesForLater(member),
      settled: (member) => this.chores.look(member),
      ...(create === undefined ? {} : { create }),
      config: {
        maxTailBytes: pick(random, [200, 2000, 100_000]),
        maxUncommittedBytes: 600,
        maxInflightAppends: 1 + random.below(5),
        maxBytesPerAppend: pick(random, [1, 40, 200]),
      },
    })
    this.group.form(Array.from({ length: this.size }, (_, at) => voterOf(String(at + 1))))
    this.rounds = new Rounds(this.group)
    this.begin()
    void new Nemesis(this, random.fork('nemesis'), weights)
  }

  private begin(): void {
    const { random } = this
    for (let id = 1; id <= this.size; id++)
      this.every(TICK_US - 1000 + random.below(2000), () => this.group.member(id).step({ kind: 'tick' }))
    this.every(pick(random, [500, 2000, 10_000]), () => this.propose())
    this.every(pick(random, [50_000, 500_000]), () => this.any()?.takeSnapshot(random.below(20)))
    this.every(5_000, () => this.rounds.check())
    this.every(20_000, () => this.swap())
    // Of several that believe that they lead, the one that does not is the one to ask.
    this.every(pick(random, [3_000, 50_000]), () => this.group.all.forEach((member) => this.rounds.begin(member)))
  }

  /** Runs one seed: the storm, then healing, then everybody must agree and serve. */
  run(faultyUs = 5 * SECOND_US): StormResult {
    const { agenda } = this
    while (agenda.nowUs < faultyUs) agenda.step()
    this.heal()
    this.within(60, 'no convergence', () => this.agree())
    const leader = this.group.leader()
    if (leader !== null) this.group.propose(leader, 'the end')
    // A late message of the storm may still cost a leader its office: then the next one takes the proposal.
    this.within(20, 'the last proposal never reaches everybody', () => {
      if (this.random.below(50) === 0) this.proposeTo(this.group.leader(), 'the end')
      return this.group.all.every((member) => member.applied.at(-1) === 'the end')
    })
    const { checks, committedEntries } = this.group.invariants
    const { confirmed } = this.rounds
    const { counts } = this
    return { events: agenda.events, checks, committed: committedEntries.length, confirmedRounds: confirmed, counts }
  }

  private heal(): void {
    this.tell('everything is healed')
    this.faulty = false
    this.links.calm()
    this.chores.calm()
    this.group.cuts.clear()
    for (const member of this.group.all) if (!member.up) this.restart(member)
  }

  private within(seconds: number, otherwise: string, holds: () => boolean): void {
    const untilUs = this.agenda.nowUs + seconds * SECOND_US
    while (!holds()) {
      if (this.agenda.nowUs > untilUs) {
        const states = this.group.all.map((member) => JSON.stringify(member.machine?.status()))
        throw new Violation(RAFT, `${otherwise} within ${seconds} s:\n${states.join('\n')}`)
      }
      for (let events = 0; events < 100; events++) this.agenda.step()
    }
  }

  private agree(): boolean {
    const { group } = this
    const leader = group.leader()
    if (leader === null || leader.machine?.status().transferringTo !== null) return false
    const voters = leader.output?.voters ?? []
    const { appliedIndex } = leader
    return (
      voters.length === this.size &&
      appliedIndex >= group.invariants.committedEntries.length &&
      group.all.every(
        (member) =>
          (member === leader || member.output?.role === 'follower') &&
          includesVoter(voters, member.voter) &&
          member.appliedIndex >= appliedIndex &&
          member.applied[leader.applied.length - 1] === leader.applied.at(-1),
      )
    )
  }

  /** Again and again, each time after about so long, as long as the run lasts. */
  every(periodUs: number, run: () => void): void {
    this.agenda.after((periodUs >>> 1) + this.random.below(periodUs), () => {
      run()
      this.every(periodUs, run)
    })
  }

  any(): Member | null {
    const up = this.group.all.filter((member) => member.up)
    return up[this.random.below(Math.max(1, up.length))] ?? null
  }

  private propose(): void {
    if (this.faulty)
      this.proposeTo(this.random.below(10) === 0 ? this.any() : this.group.leader(), `x${++this.proposals}`)
  }

  private proposeTo(member: Member | null, value: string): void {
    if (member !== null) this.group.propose(member, value)
  }

  crash(member: Member): void {
    if (!member.up) return
    this.tell(`crash of ${voterName(member.voter)}`)
    this.chores.end(member)
    this.group.crash(member)
    // Half of them while the election that their end began is still under way.
    const soonUs = pick(this.random, [10_000, SECOND_US / 2])
    this.agenda.after(this.random.below(soonUs), () => this.restart(member))
  }

  /** Unless it is up again, or was wiped meanwhile. */
  private restart(member: Member): void {
    if (member.up || this.group.members.get(member.voter.id) !== member) return
    this.count('restart')
    this.tell(`restart of ${voterName(member.voter)}`)
    this.group.restart(member)
  }

  /** What the node around the machine does: strangers are learners, and learners that caught up replace who they were. */
  private swap(): void {
    const leader = this.group.leader()
    if (leader === null) return
    for (const member of this.group.all) {
      const voters = leader.output?.voters ?? []
      if (includesVoter(voters, member.voter) || !member.up) continue
      leader.step({ kind: 'learner', learner: member.voter, present: true })
      const peer = leader.machine?.status().peers.find((other) => sameVoter(other.peer, member.voter))
      if (member !== leader && peer?.caughtUp !== true) continue
      const former = voters.find((voter) => voter.id === member.voter.id)
      this.change(leader, former === undefined ? { add: member.voter } : { remove: former })
    }
  }

  change(leader: Member, change: { add: VoterId } | { remove: VoterId }): void {
    leader.settle()
    const answer = leader.machine?.changeVoters(change)
    if (typeof answer === 'object') this.count('add' in change ? 'voters added' : 'voters removed')
    leader.settle()
  }

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  tell(what: string): void {
    this.trace?.(this.at(what))
  }

  private at(what: string): string {
    return `${(this.agenda.nowUs / 1000).toFixed(3)} ${what}`
  }
}

function told(message: object): string {
  return JSON.stringify(message, (_, value: unknown) => (value instanceof Uint8Array ? `${value.length} bytes` : value))
}
