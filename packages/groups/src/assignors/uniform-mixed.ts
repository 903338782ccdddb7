import type { Uuid } from '@millrace/base'
import { AssignmentDraft, compareText } from './assignment.ts'
import type { Assignment, AssignorMember, PartitionCounts } from './assignment.ts'
import { retained } from './retained.ts'

/**
 * Members with different subscriptions. Partitions of a topic are alike, so this is a semi-matching of partitions and members, and it is
 * optimal when no chain of moves leads from a member to one that has at least two less (Harvey, Ladner, Lovász, Tamir: "Semi-matchings for bipartite graphs and load
 * balancing"): member A gives a partition of one topic to B, who gives one of another topic to C. What nobody has goes to the emptiest subscriber first;
 * then the fullest members give along the shortest chains, one partition at a time, so that little is moved.
 */
export function uniformMixed(members: readonly AssignorMember[], counts: PartitionCounts): Map<string, Assignment> {
  const table = new LoadTable(members, counts)
  table.placeRest()
  table.level()
  return table.finish()
}

/** Steps over the edges of the graph after which what is there is good enough: about a tenth of a second. */
const LEVEL_STEPS = 20_000_000

interface TopicRow {
  readonly id: Uuid
  readonly subscribers: readonly number[]
  /** Partitions by member, in the order in which they are given away from the end. */
  readonly owned: Map<number, number[]>
  readonly free: number[]
}

/** How a member was reached: `from` gives it a partition of `topic`. */
interface Step {
  readonly from: number
  readonly topic: number
}

class LoadTable {
  private readonly members: readonly AssignorMember[]
  private readonly topics: readonly TopicRow[]
  /** By member, its topics. */
  private readonly topicsOf: readonly number[][]
  private readonly load: Int32Array
  private steps = 0

  constructor(members: readonly AssignorMember[], counts: PartitionCounts) {
    this.members = members
    this.load = new Int32Array(members.length)
    this.topicsOf = members.map(() => [])
    this.topics = this.rows(counts)
    this.keepPrevious(counts)
  }

  private rows(counts: PartitionCounts): TopicRow[] {
    const subscribers = new Map<Uuid, number[]>()
    this.members.forEach((member, at) => {
      for (const topic of member.topics) {
        const others = subscribers.get(topic)
        if (others === undefined) subscribers.set(topic, [at])
        else others.push(at)
      }
    })
    const ids = [...subscribers.keys()].filter((id) => (counts.get(id) ?? 0) > 0).sort(compareText)
    return ids.map((id, at) => {
      const row = { id, subscribers: subscribers.get(id) ?? [], owned: new Map<number, number[]>(), free: [] }
      for (const member of row.subscribers) this.topicsOf[member]?.push(at)
      return row
    })
  }

  private keepPrevious(counts: PartitionCounts): void {
    const byId = new Map(this.topics.map((row, at) => [row.id, at]))
    const taken = this.topics.map((row) => new Uint8Array(counts.get(row.id) ?? 0))
    retained(this.members, counts).forEach((kept, member) => {
      for (const { topic, partition } of kept) {
        const at = byId.get(topic) as number
        this.give(at, member, partition)
        const marks = taken[at]
        if (marks !== undefined) marks[partition] = 1
      }
    })
    this.topics.forEach((row, at) => taken[at]?.forEach((mark, partition) => mark === 0 && row.free.push(partition)))
  }

  private give(topic: number, member: number, partition: number): void {
    const owned = (this.topics[topic] as TopicRow).owned
    const partitions = owned.get(member)
    if (partitions === undefined) owned.set(member, [partition])
    else partitions.push(partition)
    this.load[member] = this.loadOf(member) + 1
  }

  private loadOf(member: number): number {
    return this.load[member] as number
  }

  /** Topics with few subscribers first: they have the least choice. */
  placeRest(): void {
    const order = this.topics.map((_, at) => at)
    const choice = (at: number): number => (this.topics[at] as TopicRow).subscribers.length
    order.sort((a, b) => choice(a) - choice(b) || a - b)
    for (const at of order) this.placeTopic(at)
  }

  /** Fills the emptiest subscribers up, level by level. */
  private placeTopic(topic: number): void {
    const { subscribers, free } = this.topics[topic] as TopicRow
    const byLoad = [...subscribers].sort((a, b) => this.loadOf(a) - this.loadOf(b) || a - b)
    let next = 0
    let reach = 1
    while (next < free.length) {
      const level = this.loadOf(byLoad[reach - 1] as number)
      while (reach < byLoad.length && this.loadOf(byLoad[reach] as number) <= level) reach++
      for (let at = 0; at < reach && next < free.length; at++) {
        const member = byLoad[at] as number
        if (this.loadOf(member) > level) continue
        this.give(topic, member, free[next++] as number)
      }
    }
    free.length = 0
  }

  /** Until no member can be relieved; a member that nothing could be done for stays so, because later moves only make the others fuller. */
  level(): void {
    const settled = new Uint8Array(this.members.length)
    for (let at = this.fullest(settled); at !== -1 && this.steps < LEVEL_STEPS; at = this.fullest(settled)) {
      if (!this.relieve(at)) settled[at] = 1
    }
  }

  private fullest(settled: Uint8Array): number {
    let best = -1
    for (let at = 0; at < this.members.length; at++) {
      if (settled[at] === 0 && (best === -1 || this.loadOf(at) > this.loadOf(best))) best = at
    }
    return best
  }

  /** Gives one partition away along the shortest chain to a member that has at least two less, the emptiest of those as near. */
  private relieve(from: number): boolean {
    const reached = new Map<number, Step>([[from, { from: -1, topic: -1 }]])
    const seen = new Uint8Array(this.topics.length)
    let ring = [from]
    while (ring.length > 0) {
      const next: number[] = []
      for (const member of ring) this.reachFrom(member, { seen, reached, next })
      const end = this.emptiest(next)
      if (end !== -1 && this.loadOf(end) <= this.loadOf(from) - 2) {
        this.moveAlong(reached, end)
        return true
      }
      ring = next
    }
    return false
  }

  private reachFrom(
    member: number,
    search: { readonly seen: Uint8Array; readonly reached: Map<number, Step>; readonly next: number[] },
  ): void {
    for (const topic of this.topicsOf[member] ?? []) {
      this.steps++
      if (search.seen[topic] === 1) continue
      const row = this.topics[topic] as TopicRow
      if ((row.owned.get(member)?.length ?? 0) === 0) continue
      search.seen[topic] = 1
      for (const subscriber of row.subscribers) {
        this.steps++
        if (search.reached.has(subscriber)) continue
        search.reached.set(subscriber, { from: member, topic })
        search.next.push(subscriber)
      }
    }
  }

  private emptiest(members: readonly number[]): number {
    let best = -1
    for (const at of members) {
      if (best === -1 || this.loadOf(at) < this.loadOf(best) || (this.loadOf(at) === this.loadOf(best) && at < best))
        best = at
    }
    return best
  }

  private moveAlong(reached: ReadonlyMap<number, Step>, end: number): void {
    let to = end
    for (let step = reached.get(to) as Step; step.from !== -1; step = reached.get(to) as Step) {
      const partition = (this.topics[step.topic] as TopicRow).owned.get(step.from)?.pop() as number
      this.load[step.from] = this.loadOf(step.from) - 1
      this.give(step.topic, to, partition)
      to = step.from
    }
  }

  finish(): Map<string, Assignment> {
    const drafts = this.members.map(() => new AssignmentDraft())
    for (const row of this.topics) {
      for (const [member, partitions] of row.owned) {
        for (const partition of partitions) drafts[member]?.add(row.id, partition)
      }
    }
    return new Map(this.members.map((member, at) => [member.memberId, (drafts[at] as AssignmentDraft).finish()]))
  }
}
