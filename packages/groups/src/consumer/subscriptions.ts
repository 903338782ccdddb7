import type { Uuid } from '@millrace/base'
import type { OutcomeBuilder } from '../outcome.ts'
import { Resolution, STEPS_PER_TURN } from '../regex/resolution.ts'
import type { Budget } from '../regex/resolution.ts'
import type { TopicNames } from '../regex/topic-names.ts'
import type { TopicsView } from '../seams.ts'
import type { ConsumerGroupState } from './group-state.ts'
import type { Member } from './member.ts'
import { TopicSet } from './topic-set.ts'

export interface SubscriptionContext {
  readonly groupId: string
  readonly topics: TopicsView
  readonly names: TopicNames
}

/** What the members' subscriptions come to: which topics there are behind the names and regular expressions. */
export class Subscriptions {
  private readonly context: SubscriptionContext
  private readonly state: ConsumerGroupState
  private readonly resolutions = new Map<string, Resolution>()
  private seenVersion = Number.NaN
  /** Null until they were looked at. */
  private set: TopicSet | null = null
  /** Regular expressions were not compared with all names yet: there are many, and other work waits. */
  isIncomplete = false

  constructor(context: SubscriptionContext, state: ConsumerGroupState) {
    this.context = context
    this.state = state
  }

  /** Whether topics changed since the last look, or it was cut short. */
  get isStale(): boolean {
    return this.isIncomplete || this.seenVersion !== this.context.topics.version
  }

  get topics(): TopicSet {
    return this.set ?? new TopicSet()
  }

  /** Looks at topics and members anew. What changed of topics that were seen before, in words. */
  refresh(nowMs: number, out: OutcomeBuilder): string {
    const { topics } = this.context
    this.seenVersion = topics.version
    this.resolve(nowMs, out)
    const before = this.set
    this.set = new TopicSet(this.allNames(), topics)
    return before === null ? '' : this.set.differenceFrom(before)
  }

  private resolve(nowMs: number, out: OutcomeBuilder): void {
    const { state } = this
    for (const regex of state.regexes.keys()) {
      if (state.patterns.of(regex) > 0) continue
      out.record({ name: 'regularExpression', key: { groupId: this.context.groupId, regex }, value: null })
    }
    for (const regex of this.resolutions.keys()) if (state.patterns.of(regex) === 0) this.resolutions.delete(regex)
    this.isIncomplete = false
    const budget: Budget = { steps: STEPS_PER_TURN }
    for (const regex of state.patterns.texts()) {
      this.context.names.refresh()
      if (!this.resolutionOf(regex).advance(this.context.names, budget)) this.isIncomplete = true
      else this.publish(regex, nowMs, out)
    }
  }

  private resolutionOf(regex: string): Resolution {
    const known = this.resolutions.get(regex)
    if (known !== undefined) return known
    const resolution = new Resolution(regex)
    this.resolutions.set(regex, resolution)
    return resolution
  }

  private publish(regex: string, nowMs: number, out: OutcomeBuilder): void {
    const { groupId, topics: view } = this.context
    const topics = this.resolutionOf(regex).topics(view)
    const before = this.state.regexes.get(regex)
    if (before !== undefined && before.length === topics.length && before.every((name, at) => name === topics[at]))
      return
    out.record({
      name: 'regularExpression',
      key: { groupId, regex },
      value: { topics, version: view.version, resolvedMs: nowMs },
    })
  }

  private *allNames(): Iterable<string> {
    yield* this.state.topicNames.texts()
    for (const regex of this.state.patterns.texts()) yield* this.state.regexes.get(regex) ?? []
  }

  isSubscribed(topic: string): boolean {
    if (this.state.topicNames.of(topic) > 0) return true
    for (const regex of this.state.patterns.texts()) {
      if (this.state.regexes.get(regex)?.includes(topic) === true) return true
    }
    return false
  }

  /** The topics of each member; members that subscribe to the same share one set. */
  topicsOf(members: Iterable<Member>): Map<string, ReadonlySet<Uuid>> {
    const sets = new Map<string, ReadonlySet<Uuid>>()
    const result = new Map<string, ReadonlySet<Uuid>>()
    for (const { memberId, facts } of members) {
      const subscription = JSON.stringify([facts.topicRegex, ...facts.topicNames])
      let ids = sets.get(subscription)
      if (ids === undefined) {
        ids = this.idsOf([...facts.topicNames, ...(this.state.regexes.get(facts.topicRegex) ?? [])])
        sets.set(subscription, ids)
      }
      result.set(memberId, ids)
    }
    return result
  }

  private idsOf(names: readonly string[]): ReadonlySet<Uuid> {
    const ids = new Set<Uuid>()
    for (const name of names) {
      const id = this.topics.idOf(name)
      if (id !== null) ids.add(id)
    }
    return ids
  }
}
