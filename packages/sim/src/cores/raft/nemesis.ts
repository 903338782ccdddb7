import type { Random } from '@millrace/base'
import { includesVoter } from '@millrace/raft'
import { LogImage, type Member } from '@millrace/raft/model'
import { chance, weighted } from '../chance.ts'
import type { Storm } from './storm.ts'

/** What goes wrong, how often; drawn per seed so that seeds differ in kind and not only in order. One seed in eight is calm. */
export class Nemesis {
  private readonly storm: Storm
  private readonly random: Random
  private readonly weights: Readonly<Record<string, number>>
  private readonly meanUs: number
  private wipes = 0

  constructor(storm: Storm, random: Random, weights: Readonly<Record<string, number>> = {}) {
    this.storm = storm
    this.random = random
    this.meanUs = 10_000 + random.below(200_000)
    const calm = random.below(8) === 0
    const weight = (most: number): number => (calm || chance(random, 25) ? 0 : random.below(most + 1))
    this.weights = {
      crash: weight(6),
      crashLeader: weight(6),
      crashAll: weight(1),
      breakLink: weight(10),
      cutLink: weight(6),
      isolateLeader: weight(4),
      slowDisks: weight(2),
      wipe: weight(4),
      remove: weight(3),
      transfer: weight(5),
      upheaval: weight(8),
      brokenElection: weight(6),
      ...weights,
    }
    this.next()
  }

  private next(): void {
    this.storm.agenda.after(1000 + this.random.below(2 * this.meanUs), () => {
      if (!this.storm.faulty) return
      const name = weighted(this.random, this.weights)
      if (name !== null) this.inject(name)
      this.next()
    })
  }

  private inject(name: string): void {
    this.storm.count(name)
    this.storm.tell(`fault: ${name}`)
    this.kinds[name]?.()
  }

  private readonly kinds: Readonly<Record<string, () => void>> = {
    crash: () => this.crash(this.storm.any()),
    crashLeader: () => this.crash(this.storm.group.leader()),
    crashAll: () => this.storm.group.all.forEach((member) => this.crash(member)),
    breakLink: () => this.storm.group.breakConnection(this.id(), this.id()),
    cutLink: () => {
      const [a, b] = [this.id(), this.id()]
      this.storm.group.cut(a, b)
      if (chance(this.random, 50)) this.storm.group.cut(b, a)
      this.healLater()
    },
    isolateLeader: () => {
      const leader = this.storm.group.leader()?.voter.id ?? this.id()
      const deaf = chance(this.random, 50)
      for (let other = 1; other <= this.storm.size; other++) {
        this.storm.group.cut(leader, other)
        if (deaf) this.storm.group.cut(other, leader)
      }
      this.healLater()
    },
    slowDisks: () => {
      const { syncUs } = this.storm.chores
      this.storm.chores.syncUs = Math.max(syncUs, 60_000)
      this.later(() => {
        if (this.storm.faulty) this.storm.chores.syncUs = syncUs
      })
    },
    wipe: () => this.wipe(),
    remove: () => {
      const leader = this.storm.group.leader()
      const victim = this.storm.any()
      if (leader !== null && victim !== null && this.isWhole(leader))
        this.storm.change(leader, { remove: victim.voter })
    },
    transfer: () =>
      this.storm.group.leader()?.step({ kind: 'transferLeadership', to: this.storm.any()?.voter ?? null }),
    upheaval: () => this.upheaval(1 + this.random.below(2)),
    brokenElection: () => {
      this.upheaval(2)
      for (let at = 0; at < 2; at++)
        this.storm.agenda.after(this.random.below(20_000), () => this.crash(this.storm.any()))
    },
  }

  private id(): number {
    return 1 + this.random.below(this.storm.size)
  }

  private later(run: () => void): void {
    this.storm.agenda.after(this.random.below(1_000_000), run)
  }

  private healLater(): void {
    this.later(() => this.storm.group.cuts.clear())
  }

  /** Of the writes under way any number may be on disk, the oldest ones first. */
  private crash(member: Member | null): void {
    if (member === null) return
    if (chance(this.random, 50)) member.sync(this.random.below(member.writes.length + 1))
    this.storm.crash(member)
  }

  /** Everybody loses sight of the leader, and so many want to be the next. */
  private upheaval(candidates: number): void {
    const leader = this.storm.group.leader()
    for (const member of this.storm.group.all)
      if (leader !== null && member !== leader) member.step({ kind: 'connectionBroken', peer: leader.voter })
    for (let at = 0; at < candidates; at++) this.storm.any()?.step({ kind: 'campaign' })
  }

  /** One disk may be lost at a time: only once the newest wiped node is a voter again for everybody who counts. */
  private wipe(): void {
    const { group } = this.storm
    const leader = group.leader()
    if (leader === null) return
    if (!this.isWhole(leader) || this.isUndecided()) return
    const victim = group.member(this.id())
    this.storm.crash(victim)
    this.storm.count('wiped')
    group.add({ id: victim.voter.id, directoryId: identityOf(++this.wipes) }, new LogImage(), true)
  }

  /** Somebody has voters that may not be committed, and would count on them as a leader of tomorrow: a second disk is lost to that one. */
  private isUndecided(): boolean {
    return this.storm.group.all.some(
      ({ machine }) => machine === null || machine.view.votersIndex > machine.view.commitIndex,
    )
  }

  /** Every voter is a node that still has its disk. */
  private isWhole(leader: Member): boolean {
    return this.storm.group.all.every((member) => includesVoter(leader.output?.voters ?? [], member.voter))
  }
}

/** Letters, so that a voter's name reads `3b`; none is given twice. */
function identityOf(wipe: number): string {
  return String.fromCodePoint(98 + (wipe % 25)).repeat(1 + Math.floor(wipe / 25))
}
