import type { RaftWrite } from '@millrace/base'
import { createRaft, sameVoter, type RaftConfig, type RaftMessage, type VoterId } from '../index.ts'
import { LogImage } from './disk.ts'
import { Invariants } from './invariants.ts'
import { Member } from './member.ts'
import { bytes, voterName, votersCodec } from './voters-codec.ts'

export interface Envelope {
  readonly from: VoterId
  readonly to: VoterId
  readonly message: RaftMessage
}

export interface GroupOptions {
  readonly random: (n: number) => number
  readonly config?: Partial<RaftConfig>
  /** Whether a member leaves its output for later after an input, as a node does within a turn. Never, by default. */
  readonly lazy?: (member: Member) => boolean
  /** After every output of a member: it may want a sync, a read, a snapshot. */
  readonly settled?: (member: Member) => void
  /** What carries the messages; the group's own `network`, from which somebody takes them, by default. */
  readonly carrier?: Carrier
  readonly create?: typeof createRaft
}

/** The connections between members. */
export interface Carrier {
  send(envelope: Envelope): void
  /** Both ends are about to notice that their connection broke. */
  broken(a: number, b: number): void
}

/** Members, the messages between them, and the invariants over all of it. Nothing happens by itself. */
export class Group {
  readonly members = new Map<number, Member>()
  readonly invariants = new Invariants()
  /** Messages under way, oldest first. */
  network: Envelope[] = []
  /** Directed pairs of node ids whose messages are lost. */
  readonly cuts = new Set<string>()
  readonly #options: GroupOptions
  readonly #carrier: Carrier
  #all: readonly Member[] = []

  constructor(options: GroupOptions) {
    this.#options = options
    this.#carrier = options.carrier ?? {
      send: (envelope) => this.network.push(envelope),
      broken: (a, b) => {
        const isOn = ({ from, to }: Envelope): boolean =>
          (from.id === a && to.id === b) || (from.id === b && to.id === a)
        this.network = this.network.filter((envelope) => !isOn(envelope))
      },
    }
  }

  get all(): readonly Member[] {
    return this.#all
  }

  /** A group as it is after its formation: every disk holds the same first entry, which names the voters. */
  form(voters: readonly VoterId[]): void {
    for (const voter of voters) {
      const disk = new LogImage()
      disk.hardState = { term: 1, votedFor: null }
      disk.entries = [{ index: 1, term: 1, kind: 'voters', payload: votersCodec.encode(voters) }]
      this.add(voter, disk, true)
    }
  }

  add(voter: VoterId, disk: LogImage, mayVote: boolean): Member {
    const member = new Member(this.#config(voter), this.#hooks(), disk, mayVote)
    this.members.set(voter.id, member)
    this.#all = [...this.members.values()]
    member.start()
    return member
  }

  restart(member: Member): void {
    this.invariants.restarted(member)
    member.start()
  }

  member(id: number): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`there is no node ${id}`)
    return member
  }

  leader(): Member | null {
    let newest: Member | null = null
    for (const member of this.#all)
      if (member.output?.role === 'leader' && member.output.term > (newest?.output?.term ?? 0)) newest = member
    return newest
  }

  isCut(from: number, to: number): boolean {
    return this.cuts.size > 0 && this.cuts.has(`${from}>${to}`)
  }

  cut(from: number, to: number): void {
    this.cuts.add(`${from}>${to}`)
  }

  /** Hands over one message; it is lost when its link is cut, its receiver is down, or a wipe made another of the receiver. */
  deliver(envelope: Envelope): boolean {
    const receiver = this.members.get(envelope.to.id)
    if (receiver === undefined || !receiver.up || !sameVoter(receiver.voter, envelope.to)) return false
    if (this.isCut(envelope.from.id, envelope.to.id)) return false
    receiver.step({ kind: 'message', from: envelope.from, message: envelope.message })
    return true
  }

  /** Both ends notice that their connection broke; what was on it is gone. */
  breakConnection(a: number, b: number): void {
    this.#carrier.broken(a, b)
    const [first, second] = [this.members.get(a), this.members.get(b)]
    if (first === undefined || second === undefined) return
    first.step({ kind: 'connectionBroken', peer: second.voter })
    second.step({ kind: 'connectionBroken', peer: first.voter })
  }

  crash(member: Member): void {
    member.crash()
    for (const other of this.all) if (other !== member) this.breakConnection(other.voter.id, member.voter.id)
  }

  propose(member: Member, value: string): ReturnType<NonNullable<Member['machine']>['propose']> | 'down' {
    const answer = member.machine?.propose(bytes(value)) ?? 'down'
    member.settle()
    return answer
  }

  #hooks(): ConstructorParameters<typeof Member>[1] {
    return {
      lazy: this.#options.lazy ?? (() => false),
      send: (from: Member, to: VoterId, message: RaftMessage) => {
        this.invariants.sent(from, to, message)
        this.#carrier.send({ from: from.voter, to, message })
      },
      writes: (member: Member, write: RaftWrite) => this.invariants.writes(member, write),
      stepped: (member: Member) => {
        this.invariants.stepped(member, this.#all)
        this.#options.settled?.(member)
      },
      create: this.#options.create ?? createRaft,
    }
  }

  #config(self: VoterId): RaftConfig {
    return {
      self,
      electionTicks: 10,
      heartbeatTicks: 2,
      brokenTicks: 2,
      maxBytesPerAppend: 1000,
      maxInflightAppends: 8,
      maxUncommittedBytes: 100_000,
      maxTailBytes: 100_000,
      random: this.#options.random,
      voters: votersCodec,
      ...this.#options.config,
    }
  }
}

export function nameOf(member: Member): string {
  return voterName(member.voter)
}
