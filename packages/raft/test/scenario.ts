import type { LogPosition, RaftMessage, RaftRefusal } from '../src/index.ts'
import { sameVoter } from '../src/index.ts'
import { entryText, LogImage } from '../src/model/disk.ts'
import { Group, nameOf, type Envelope } from '../src/model/group.ts'
import type { Member } from '../src/model/member.ts'
import { voterName, voterOf } from '../src/model/voters-codec.ts'

type Command = (...words: readonly string[]) => readonly string[]

/**
 * The command language of the scenarios. `deliver` runs the group until it is quiet and prints every message on the way;
 * `quietly …` prints only what became of the members.
 */
export class Scenario {
  #group = new Group({ random: () => 0 })
  readonly #slowDisks = new Set<number>()
  readonly #told = new Map<number, string>()

  run(line: string): readonly string[] {
    const [name = '', ...words] = line.split(' ').filter(Boolean)
    if (name === 'quietly') return this.run(words.join(' ')).filter((text) => !text.includes(' → '))
    const command = this.#commands[name]
    if (command === undefined) throw new Error(`unknown command: ${line}`)
    const printed = command(...words)
    return [...printed, ...this.#news()]
  }

  readonly #commands: Readonly<Record<string, Command>> = {
    nodes: (count, ...options) => this.#form(Number(count), options),
    campaign: (id) => this.#step(id, { kind: 'campaign' }),
    elect: (id) => this.#elect(this.#at(id)),
    tick: (id, count = '1') => this.#tick(id, Number(count)),
    deliver: (...filter) => this.#deliver(filter),
    drop: (...filter) => this.#drop(filter),
    duplicate: (...filter) => this.#duplicate(filter),
    messages: () => this.#group.network.map(describe),
    propose: (id, value) => this.#propose(id, value),
    state: () => this.#group.all.map(stateLine),
    log: (...ids) => (ids.length > 0 ? ids.map((id) => this.#at(id)) : this.#group.all).map(logLine),
    peers: (id) => this.#peers(id),
    disk: (id, mode) => this.#diskMode(id, mode),
    sync: (id, count) => this.#sync(this.#at(id), count),
    crash: (id) => this.#crash(this.#at(id)),
    restart: (id) => this.#restart(this.#at(id)),
    cut: (a, b) => this.#cut(a, b),
    heal: () => this.#heal(),
    break: (a, b) => this.#break(a, b),
    learner: (id, peer, gone) => this.#learner(id, peer, gone !== 'gone'),
    add: (id, peer) => this.#change(id, { add: voterOf(peer) }),
    remove: (id, peer) => this.#change(id, { remove: voterOf(peer) }),
    transfer: (id, to) => this.#step(id, { kind: 'transferLeadership', to: to === undefined ? null : voterOf(to) }),
    snapshot: (id, keep = '0') => this.#snapshot(this.#at(id), Number(keep)),
    fetch: (id) => this.#fetch(this.#at(id)),
    wipe: (name) => this.#wipe(name),
    blank: (name) => this.#blank(name),
    damage: (name) => this.#damage(name),
    round: (id) => this.#round(id),
  }

  #form(count: number, options: readonly string[]): readonly string[] {
    const config: Record<string, number> = {}
    for (const option of options) {
      const [key = '', value] = option.split('=')
      config[key] = Number(value)
    }
    this.#group = new Group({ random: () => 0, config })
    this.#group.form(Array.from({ length: count }, (_, at) => voterOf(String(at + 1))))
    this.#told.clear()
    for (const member of this.#group.all) this.#told.set(member.voter.id, describeRole(member))
    return []
  }

  /** An election as scenario 01 tells it, without the telling. */
  #elect(member: Member): readonly string[] {
    member.step({ kind: 'campaign' })
    this.#syncFastDisks()
    this.#deliver([])
    this.#news()
    return [`${nameOf(member)} is ${describeRole(member)}, its log ends at ${member.memory.lastIndex}`]
  }

  #at(id: string | undefined): Member {
    return this.#group.member(Number.parseInt(id ?? '', 10))
  }

  #step(id: string | undefined, input: Parameters<Member['step']>[0]): readonly string[] {
    this.#at(id).step(input)
    this.#syncFastDisks()
    return []
  }

  #tick(id: string, count: number): readonly string[] {
    const members = id === 'all' ? this.#group.all : [this.#at(id)]
    for (let at = 0; at < count; at++) for (const member of members) member.step({ kind: 'tick' })
    this.#syncFastDisks()
    return []
  }

  #matching(filter: readonly string[]): readonly Envelope[] {
    const [pair, kind] = filter
    return this.#group.network.filter(({ from, to, message }) => {
      const onPair = pair === undefined || pair === '*' || pair === `${from.id}>${to.id}`
      return onPair && (kind === undefined || kind === message.kind)
    })
  }

  #take(envelope: Envelope): void {
    this.#group.network.splice(this.#group.network.indexOf(envelope), 1)
  }

  #deliver(filter: readonly string[]): readonly string[] {
    const printed: string[] = []
    for (;;) {
      const [envelope] = this.#matching(filter)
      if (envelope === undefined) return printed
      this.#take(envelope)
      const arrived = this.#group.deliver(envelope)
      printed.push(describe(envelope) + (arrived ? '' : '  (lost)'), ...this.#news())
      this.#syncFastDisks()
      printed.push(...this.#news())
      if (printed.length > 500) throw new Error('the group does not come to rest')
    }
  }

  #drop(filter: readonly string[]): readonly string[] {
    return this.#matching(filter).map((envelope) => {
      this.#take(envelope)
      return `${describe(envelope)}  (dropped)`
    })
  }

  #duplicate(filter: readonly string[]): readonly string[] {
    const doubles = this.#matching(filter)
    this.#group.network.push(...doubles)
    return doubles.map((envelope) => `${describe(envelope)}  (twice)`)
  }

  #propose(id: string | undefined, value: string): readonly string[] {
    const answer = this.#group.propose(this.#at(id), value)
    this.#syncFastDisks()
    return [outcome(answer)]
  }

  #change(
    id: string | undefined,
    change: Parameters<NonNullable<Member['machine']>['changeVoters']>[0],
  ): readonly string[] {
    const member = this.#at(id)
    const answer = member.machine?.changeVoters(change) ?? 'down'
    member.settle()
    this.#syncFastDisks()
    return [outcome(answer)]
  }

  #diskMode(id: string | undefined, mode: string): readonly string[] {
    if (mode === 'slow') this.#slowDisks.add(this.#at(id).voter.id)
    else this.#slowDisks.delete(this.#at(id).voter.id)
    this.#syncFastDisks()
    return []
  }

  #sync(member: Member, most: string | undefined): readonly string[] {
    const count = most === undefined ? member.writes.length : Number(most)
    member.sync(count)
    this.#syncFastDisks()
    return [`${nameOf(member)} synced ${count} write${count === 1 ? '' : 's'}`]
  }

  #syncFastDisks(): void {
    for (const member of this.#group.all) {
      while (member.up && member.reads.length > 0) member.answerRead()
      while (!this.#slowDisks.has(member.voter.id) && member.writes.length > 0) member.sync()
    }
  }

  #crash(member: Member): readonly string[] {
    const lost = member.writes.length
    member.crash()
    return lost > 0 ? [`${nameOf(member)} lost ${lost} unsynced write${lost === 1 ? '' : 's'}`] : []
  }

  #restart(member: Member): readonly string[] {
    this.#group.restart(member)
    this.#syncFastDisks()
    return []
  }

  #cut(a: string, b: string): readonly string[] {
    if (b === undefined) {
      const [from, to] = a.split('>').map(Number)
      this.#group.cut(from as number, to as number)
      return []
    }
    this.#group.cut(Number(a), Number(b))
    this.#group.cut(Number(b), Number(a))
    return []
  }

  #heal(): readonly string[] {
    this.#group.cuts.clear()
    return []
  }

  #break(a: string | undefined, b: string | undefined): readonly string[] {
    this.#group.breakConnection(Number(a), Number(b))
    this.#syncFastDisks()
    return []
  }

  #learner(id: string | undefined, peer: string, present: boolean): readonly string[] {
    return this.#step(id, { kind: 'learner', learner: voterOf(peer), present })
  }

  #snapshot(member: Member, keep: number): readonly string[] {
    const snapshot = member.takeSnapshot(keep)
    this.#syncFastDisks()
    if (snapshot === null) return ['nothing new to take']
    return [`${nameOf(member)} holds a snapshot at ${snapshot.index}, term ${snapshot.term}`, logLine(member)]
  }

  #fetch(member: Member): readonly string[] {
    const wanted = member.wants
    if (wanted === null) return [`${nameOf(member)} wants no snapshot`]
    const source = this.#group.all.find((other) => sameVoter(other.voter, wanted.from))
    const snapshot = source?.disk.snapshot ?? null
    if (snapshot === null || snapshot.index !== wanted.index) return [`the snapshot at ${wanted.index} is gone`]
    const installed = member.install(snapshot)
    this.#syncFastDisks()
    return [`${nameOf(member)} ${installed ? 'installed' : 'refused'} the snapshot at ${snapshot.index}`]
  }

  #wipe(name: string): readonly string[] {
    const old = this.#at(name)
    old.crash()
    return this.#blank(name)
  }

  #damage(name: string): readonly string[] {
    const member = this.#at(name)
    member.crash()
    this.#group.invariants.forgot(member)
    return this.#blank(name, false)
  }

  #blank(name: string, mayVote = true): readonly string[] {
    const member = this.#group.add(voterOf(name), new LogImage(), mayVote)
    this.#told.set(member.voter.id, describeRole(member))
    return [stateLine(member)]
  }

  #peers(id: string | undefined): readonly string[] {
    return (this.#at(id).machine?.status().peers ?? []).map((peer) => {
      const kind = peer.voter ? 'voter' : 'learner'
      const caughtUp = peer.caughtUp ? ', caught up' : ''
      return `${voterName(peer.peer)}: ${kind}, ${peer.state}, match ${peer.match}, next ${peer.next}${caughtUp}`
    })
  }

  #round(id: string | undefined): readonly string[] {
    const member = this.#at(id)
    member.step({ kind: 'startRound' })
    const status = member.machine?.status()
    return [`round ${status?.round} started, confirmed is ${status?.confirmedRound}`]
  }

  /** Role changes since the last line. */
  #news(): readonly string[] {
    const news: string[] = []
    for (const member of this.#group.all) {
      const now = describeRole(member)
      if (this.#told.get(member.voter.id) === now) continue
      this.#told.set(member.voter.id, now)
      news.push(`** ${nameOf(member)} is ${now}`)
    }
    return news
  }
}

function describeRole(member: Member): string {
  if (member.output === null) return 'down'
  const { role, term } = member.output
  return `${role} in term ${term}`
}

function stateLine(member: Member): string {
  const status = member.machine?.status()
  const { lastIndex } = member.memory
  if (status === undefined) return `${nameOf(member)}: down, log to ${lastIndex}`
  const leader = status.leader === null ? '' : `, follows ${voterName(status.leader)}`
  const voters = status.voters.map(voterName).join(' ')
  return (
    `${nameOf(member)}: ${status.role} in term ${status.term}${status.role === 'leader' ? '' : leader}, ` +
    `log to ${status.lastIndex}, committed to ${status.commitIndex}, voters ${voters || 'unknown'}`
  )
}

function logLine(member: Member): string {
  const { snapshot, entries } = member.memory
  const status = member.machine?.status()
  const parts = entries.map((entry) => {
    const known = status === undefined || entry.index > status.commitIndex ? '' : '!'
    return `${entry.index}:${entryText(entry)}@${entry.term}${known}`
  })
  const before = snapshot === null ? '' : `[snapshot to ${snapshot.index}] `
  return `${nameOf(member)}: ${before}${parts.join('  ')}`.trimEnd()
}

function outcome(answer: LogPosition | RaftRefusal | 'down'): string {
  return typeof answer === 'string' ? `refused: ${answer}` : `accepted at index ${answer.index} of term ${answer.term}`
}

function describe({ from, to, message }: Envelope): string {
  return `${voterName(from)} → ${voterName(to)}  ${describeMessage(message)}`
}

function describeMessage(message: RaftMessage): string {
  switch (message.kind) {
    case 'preVote':
    case 'vote': {
      const asked = message.kind === 'vote' ? 'vote for me in' : 'would you vote for me in'
      const transfer = message.kind === 'vote' && message.transfer ? ', the leader asked me to' : ''
      return `${asked} term ${message.term}? my log ends at ${message.lastIndex} of term ${message.lastTerm}${transfer}`
    }
    case 'preVoteReply':
      return message.granted ? `I would, in term ${message.term}` : `I would not (I am in term ${message.term})`
    case 'voteReply':
      return message.granted ? `you have my vote in term ${message.term}` : `no vote in term ${message.term}`
    case 'append': {
      const entries = message.entries.map((entry) => `${entry.index}:${entryText(entry)}@${entry.term}`).join('  ')
      const what = entries === '' ? 'nothing new' : entries
      return `term ${message.term}: after ${message.prevIndex}@${message.prevTerm} comes ${what}; committed ${message.commitIndex}`
    }
    case 'appendReply':
      if (!message.success && message.refusedIndex === 0) return `term ${message.term}: not there yet`
      return message.success
        ? `term ${message.term}: durable to ${message.index}`
        : `term ${message.term}: refused after ${message.refusedIndex}, try ${message.index}@${message.hintTerm}`
    case 'snapshotOffer':
      return `term ${message.term}: fetch my snapshot at ${message.index}@${message.snapshotTerm}`
    case 'timeoutNow':
      return `term ${message.term}: start an election now`
    default:
      return message satisfies never
  }
}
