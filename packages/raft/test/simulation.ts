import { includesVoter, sameVoter, type VoterId } from '../src/index.ts'
import { LogImage } from './disk.ts'
import { Group, nameOf } from './group.ts'
import type { Member } from './member.ts'
import { seeded } from './random.ts'
import { voterName, voterOf } from './voters-codec.ts'

interface PendingRead {
  readonly leader: Member
  readonly term: number
  readonly round: number
  readonly commitIndex: number
  /** Entries that anyone knew to be committed when the round started. */
  readonly committed: number
}

/**
 * A whole group under a seeded storm: messages are lost, doubled and reordered, links are cut one way or both, connections
 * break, nodes crash with unsynced writes and come back, are wiped and swapped in again, voters are removed and added,
 * leadership is handed around. The invariants are looked at after every event.
 */
export class Simulation {
  readonly seed: number
  readonly size: number
  readonly group: Group
  readonly #random: (n: number) => number
  readonly #rates: Readonly<Record<string, number>>
  readonly #actions: readonly (readonly [name: string, run: () => void])[]
  readonly #weights: number[]
  #proposals = 0
  #generation = 0
  #calm = false
  #reads: PendingRead[] = []
  readonly counts = new Map<string, number>()
  events = 0
  confirmedReads = 0

  constructor(seed: number, size: number) {
    this.seed = seed
    this.size = size
    this.#random = seeded(seed)
    const batching = [0, 0, 30, 80][this.#random(4)] as number
    const tail = [200, 2000, 100_000][this.#random(3)] as number
    this.group = new Group({
      random: this.#random,
      lazy: () => !this.#calm && this.#random(100) < batching,
      config: {
        maxTailBytes: tail,
        maxUncommittedBytes: 600,
        maxInflightAppends: 1 + this.#random(5),
        maxBytesPerAppend: [1, 40, 200][this.#random(3)] as number,
      },
    })
    this.group.form(Array.from({ length: size }, (_, at) => voterOf(String(at + 1))))
    this.#rates = this.#drawRates()
    this.#actions = Object.entries(this.#table())
    this.#weights = this.#actions.map(([name]) => this.#rates[name] ?? 0)
  }

  /** One random event. */
  step(): void {
    this.events++
    let at = this.#random(this.#weights.reduce((sum, weight) => sum + weight, 0))
    for (const [index, weight] of this.#weights.entries()) {
      at -= weight
      if (at >= 0) continue
      const [name, run] = this.#actions[index] as readonly [string, () => void]
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
      run()
      break
    }
    this.#checkReads()
  }

  /** Faults end, everyone comes back: within so many rounds all must agree and serve. */
  converge(rounds: number): void {
    this.#calm = true
    this.group.cuts.clear()
    for (const member of this.group.all) if (!member.up) this.group.restart(member)
    for (let round = 0; round < rounds; round++) {
      this.#calmRound()
      if (this.#settled()) {
        this.#proveService()
        return
      }
    }
    const states = this.group.all.map((member) => JSON.stringify(member.machine?.status()))
    throw new Error(`no convergence within ${rounds} rounds:\n${states.join('\n')}`)
  }

  /** How often each kind of fault happens differs from seed to seed; one seed in four has none. */
  #drawRates(): Readonly<Record<string, number>> {
    const calm = this.#random(4) === 0
    const fault = (most: number): number => (calm ? 0 : this.#random(most + 1))
    return {
      tick: 100 + this.#random(400),
      deliver: 1000 + this.#random(3000),
      reorder: fault(300),
      lose: fault(200),
      double: fault(100),
      sync: 300 + this.#random(1500),
      read: 500,
      propose: 50 + this.#random(300),
      snapshot: this.#random(30),
      fetch: 100,
      crash: fault(8),
      restart: 40,
      breakLink: fault(20),
      cutLink: fault(10),
      healLinks: 10 + this.#random(20),
      wipe: fault(3),
      swap: 100,
      remove: fault(5),
      transfer: fault(10),
      upheaval: fault(60),
      crashLeader: fault(10),
      settle: 300,
      round: 30,
    }
  }

  #table(): Readonly<Record<string, () => void>> {
    return {
      tick: () => this.#any()?.step({ kind: 'tick' }),
      deliver: () => this.#deliverInOrder(),
      reorder: () => this.#deliver(this.#random(this.group.network.length)),
      lose: () => this.group.network.splice(this.#random(this.group.network.length), 1),
      double: () => this.#double(),
      sync: () => this.#sync(),
      read: () => this.group.all.find((member) => member.reads.length > 0)?.answerRead(),
      propose: () => this.#propose(),
      snapshot: () => this.#any()?.takeSnapshot(this.#random(20)),
      fetch: () => this.#fetch(this.#any()),
      crash: () => this.#crash(),
      restart: () => this.#restart(),
      breakLink: () => this.group.breakConnection(1 + this.#random(this.size), 1 + this.#random(this.size)),
      cutLink: () => this.#cutLink(),
      healLinks: () => this.group.cuts.clear(),
      wipe: () => this.#wipe(),
      swap: () => this.#swap(),
      remove: () => this.#remove(),
      transfer: () => this.group.leader()?.step({ kind: 'transferLeadership', to: this.#any()?.voter ?? null }),
      upheaval: () => this.#upheaval(),
      crashLeader: () => this.#crashLeader(),
      settle: () => this.#any()?.settle(),
      round: () => this.#startRound(),
    }
  }

  #any(): Member | null {
    const up = this.group.all.filter((member) => member.up)
    return up[this.#random(up.length)] ?? null
  }

  #deliver(at: number): void {
    const [envelope] = this.group.network.splice(at, 1)
    if (envelope !== undefined) this.group.deliver(envelope)
  }

  /** The oldest message of a random link: order holds on a connection, not between connections. */
  #deliverInOrder(): void {
    const any = this.group.network[this.#random(this.group.network.length)]
    if (any === undefined) return
    this.#deliver(this.group.network.findIndex(({ from, to }) => sameVoter(from, any.from) && sameVoter(to, any.to)))
  }

  #double(): void {
    const envelope = this.group.network[this.#random(this.group.network.length)]
    if (envelope !== undefined && this.group.network.length < 500) this.group.network.push(envelope)
  }

  #sync(): void {
    const waiting = this.group.all.filter((member) => member.writes.length > 0)
    const member = waiting[this.#random(waiting.length)]
    member?.sync(1 + this.#random(member.writes.length))
  }

  #propose(): void {
    const member = this.#random(10) === 0 ? this.#any() : this.group.leader()
    if (member !== null) this.group.propose(member, `x${++this.#proposals}`)
  }

  #fetch(member: Member | null): void {
    const wanted = member?.wants ?? null
    if (member === null || wanted === null) return
    const source = this.group.all.find((other) => sameVoter(other.voter, wanted.from))
    const snapshot = source?.disk.snapshot ?? null
    if (source === undefined || !source.up || this.group.isCut(source.voter.id, member.voter.id)) return
    if (snapshot !== null && snapshot.index === wanted.index) member.install(snapshot)
  }

  #crash(): void {
    const member = this.#any()
    if (member === null) return
    if (this.#random(2) === 0) member.sync(this.#random(member.writes.length + 1))
    this.group.crash(member)
  }

  /** Everybody loses sight of the leader, and one or two want to be the next. */
  #upheaval(): void {
    const leader = this.group.leader()
    for (const member of this.group.all)
      if (leader !== null && member !== leader) member.step({ kind: 'connectionBroken', peer: leader.voter })
    for (let at = this.#random(2); at >= 0; at--) this.#any()?.step({ kind: 'campaign' })
  }

  #crashLeader(): void {
    const leader = this.group.leader()
    if (leader !== null) this.group.crash(leader)
  }

  #restart(): void {
    const down = this.group.all.filter((member) => !member.up)
    const member = down[this.#random(down.length)]
    if (member !== undefined) this.group.restart(member)
  }

  #cutLink(): void {
    const [a, b] = [1 + this.#random(this.size), 1 + this.#random(this.size)]
    this.group.cut(a, b)
    if (this.#random(2) === 0) this.group.cut(b, a)
    if (this.#random(4) === 0) for (let other = 1; other <= this.size; other++) this.group.cut(a, other)
  }

  /** One disk may be lost at a time: only once the newest wiped node is a voter again for everybody who counts. */
  #wipe(): void {
    const leader = this.group.leader()
    if (leader === null || this.size < 3) return
    const status = leader.machine?.status()
    if (!this.#whole(leader) || status?.votersIndex === undefined || status.votersIndex > status.commitIndex) return
    const victim = this.group.member(1 + this.#random(this.size))
    this.group.crash(victim)
    const letters = ++this.#generation
    const directoryId = String.fromCodePoint(98 + (letters % 25)).repeat(1 + Math.floor(letters / 25))
    this.group.add({ id: victim.voter.id, directoryId }, new LogImage(), true)
  }

  /** Every voter is a node that still has its disk. */
  #whole(leader: Member): boolean {
    return this.group.all.every((member) => includesVoter(leader.output?.voters ?? [], member.voter))
  }

  /** What the node around the machine does: strangers are learners, and learners that caught up replace who they were. */
  #swap(): void {
    const leader = this.group.leader()
    if (leader === null || leader.machine === null) return
    for (const member of this.group.all) {
      if (includesVoter(leader.output?.voters ?? [], member.voter) || !member.up) continue
      leader.step({ kind: 'learner', learner: member.voter, present: true })
      const peer = leader.machine?.status().peers.find((other) => sameVoter(other.peer, member.voter))
      if (member !== leader && peer?.caughtUp !== true) continue
      const former = (leader.output?.voters ?? []).find((voter) => voter.id === member.voter.id)
      this.#change(leader, former === undefined ? { add: member.voter } : { remove: former })
    }
  }

  #remove(): void {
    const leader = this.group.leader()
    const victim = this.#any()
    if (leader === null || victim === null || !this.#whole(leader)) return
    this.#change(leader, { remove: victim.voter })
  }

  #change(leader: Member, change: { add: VoterId } | { remove: VoterId }): void {
    leader.settle()
    const answer = leader.machine?.changeVoters(change)
    if (typeof answer === 'object') this.#count('add' in change ? 'voters added' : 'voters removed')
    leader.settle()
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  #startRound(): void {
    const leader = this.#any()
    if (leader === null || leader.machine === null || leader.output?.role !== 'leader') return
    const { commitIndex, term } = leader.machine.status()
    if (leader.memory.term(commitIndex) !== term) return // Read-index needs a commit of the own term first.
    leader.step({ kind: 'startRound' })
    const { round } = leader.machine.status()
    const committed = this.group.invariants.committedEntries.length
    this.#reads.push({ leader, term, round, commitIndex, committed })
  }

  /** A confirmed round proves that nobody had committed more than this leader when the round began. */
  #checkReads(): void {
    if (this.#reads.length === 0 || this.events % 4 > 0) return
    this.#reads = this.#reads.filter((read) => {
      const status = read.leader.machine?.status()
      if (status?.role !== 'leader' || status.term !== read.term) return false
      if (status.confirmedRound < read.round) return true
      this.confirmedReads++
      if (read.commitIndex < read.committed)
        throw new Error(`${nameOf(read.leader)} confirmed a round and missed entry ${read.committed}`)
      return false
    })
  }

  #calmRound(): void {
    for (const member of this.group.all) member.settle()
    for (const member of this.group.all) member.step({ kind: 'tick' })
    for (let guard = 0; guard < 10_000 && !this.#quiet(); guard++) {
      this.#deliver(0)
      for (const member of this.group.all) {
        if (member.writes.length > 0) member.sync()
        if (member.reads.length > 0) member.answerRead()
        if (member.wants !== null) this.#fetch(member)
      }
    }
    this.#swap()
  }

  #quiet(): boolean {
    return (
      this.group.network.length === 0 && this.group.all.every(({ writes, reads }) => writes.length + reads.length === 0)
    )
  }

  #settled(): boolean {
    const leader = this.group.leader()
    if (leader === null || leader.machine?.status().transferringTo !== null) return false
    if (this.group.all.filter((member) => member.output?.role === 'leader').length !== 1) return false
    const voters = leader.output?.voters ?? []
    return (
      voters.length === this.size &&
      this.group.all.every(
        (member) =>
          includesVoter(voters, member.voter) &&
          member.appliedIndex === leader.memory.lastIndex &&
          member.applied.join() === leader.applied.join(),
      )
    )
  }

  /** A late message of the storm may still cost a leader its office: then the next one takes the proposal. */
  #proveService(): void {
    for (let round = 0; round < 200; round++) {
      const leader = this.group.leader()
      if (round % 50 === 0 && leader !== null) this.group.propose(leader, 'the end')
      this.#calmRound()
      if (this.group.all.every((member) => member.applied.at(-1) === 'the end')) return
    }
    throw new Error('the last proposal never reaches everybody')
  }

  describe(): string {
    const members = this.group.all.map((member) => voterName(member.voter)).join(' ')
    return `seed ${this.seed}, nodes ${members}, ${this.events} events`
  }
}
