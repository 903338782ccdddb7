import * as fc from 'fast-check'
import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { ConsumerHeartbeatResponse } from '../../src/seams.ts'
import { GroupHarness, REBALANCE_MS, SESSION_MS } from './harness.ts'

interface Subscription {
  readonly topics: readonly string[]
  readonly byRegex: boolean
  readonly instanceId: string | null
}

/**
 * A consumer as a client library is one: what it is told to give up it owns until it got around to it, some heartbeats say what it owns and some do not,
 * answers get lost. One that nobody answered for a session, or that did not give up in the rebalance timeout, gives up everything by itself.
 */
class SlowConsumer {
  memberId: string
  readonly owned = new Set<string>()
  private readonly group: GroupHarness
  readonly subscription: Subscription
  private epoch = 0
  private told = new Set<string>()
  private heardMs: number
  private askedMs = Number.POSITIVE_INFINITY

  constructor(group: GroupHarness, memberId: string, subscription: Subscription) {
    this.group = group
    this.memberId = memberId
    this.subscription = subscription
    this.heardMs = group.nowMs
  }

  beat(how: { readonly whole: boolean; readonly lost: boolean }): void {
    const { memberId, group, epoch } = this
    const { instanceId } = this.subscription
    const isWhole = how.whole || epoch === 0
    const more = isWhole ? { ...this.said(), rebalanceTimeoutMs: REBALANCE_MS, owned: this.report() } : {}
    const response = group.say({ memberId, instanceId, memberEpoch: epoch, ...more })
    if (response.assignment !== null && this.mustGiveUp(partitionsOf(response)))
      this.askedMs = Math.min(this.askedMs, group.nowMs)
    if (!how.lost) this.hear(response, isWhole)
  }

  private said(): { topicNames: readonly string[] } | { topicRegex: string } {
    const { topics, byRegex } = this.subscription
    return byRegex ? { topicRegex: topics.join('|') } : { topicNames: topics }
  }

  /** A static member's process ends, and another one takes over. */
  restart(memberId: string): void {
    const { instanceId } = this.subscription
    if (instanceId === null) return
    if (this.epoch > 0) this.group.say({ memberId: this.memberId, memberEpoch: -2, instanceId })
    this.giveUp()
    this.memberId = memberId
  }

  private hear(response: ConsumerHeartbeatResponse, saidAll: boolean): void {
    this.heardMs = this.group.nowMs
    if (response.error !== ErrorCode.NONE) {
      this.giveUp()
      return
    }
    this.epoch = response.memberEpoch
    if (saidAll && response.assignment !== null && !this.mustGiveUp(partitionsOf(response)))
      this.askedMs = Number.POSITIVE_INFINITY
    if (response.assignment === null) return
    this.told = partitionsOf(response)
    for (const partition of this.told) this.owned.add(partition)
  }

  private mustGiveUp(assignment: ReadonlySet<string>): boolean {
    return [...this.owned].some((partition) => !assignment.has(partition))
  }

  /** Gives up what it was told to; its time runs on until it has said so. */
  settle(): void {
    for (const partition of this.owned) if (!this.told.has(partition)) this.owned.delete(partition)
  }

  giveUp(): void {
    this.epoch = 0
    this.owned.clear()
    this.told.clear()
    this.heardMs = this.group.nowMs
    this.askedMs = Number.POSITIVE_INFINITY
  }

  /** To be asked before time passes. */
  giveUpIfLate(afterMs: number): void {
    const nowMs = this.group.nowMs + afterMs
    if (nowMs - this.heardMs >= SESSION_MS || nowMs - this.askedMs >= REBALANCE_MS) this.giveUp()
  }

  private report(): { topicId: string; partitions: number[] }[] {
    return [...this.owned].map((one) => ({ topicId: one.slice(0, 22), partitions: [Number(one.slice(23))] }))
  }
}

function partitionsOf({ assignment }: ConsumerHeartbeatResponse): Set<string> {
  return new Set((assignment ?? []).flatMap(({ topicId, partitions }) => partitions.map((one) => `${topicId}-${one}`)))
}

class World {
  readonly group: GroupHarness
  readonly consumers = new Map<string, SlowConsumer>()
  readonly topics = ['t', 'u', 'v']
  private made = 0

  constructor(assignmentIntervalMs: number) {
    this.group = new GroupHarness({ assignmentIntervalMs })
    for (const name of this.topics) this.group.topics.set(name, 3)
  }

  pick(at: number): SlowConsumer | undefined {
    return [...this.consumers.values()][at % Math.max(1, this.consumers.size)]
  }

  join(at: number, isStatic: boolean): void {
    if (this.consumers.size >= 5) return
    const memberId = `m${this.made++}`
    const topics = this.topics.filter((_, topic) => ((at + 1) >> topic) & 1)
    const instanceId = isStatic ? `i${memberId}` : null
    const consumer = new SlowConsumer(this.group, memberId, { topics, instanceId, byRegex: at % 3 === 0 })
    this.consumers.set(memberId, consumer)
    consumer.beat({ whole: true, lost: false })
  }

  restart(at: number): void {
    const consumer = this.pick(at)
    if (consumer === undefined) return
    this.consumers.delete(consumer.memberId)
    consumer.restart(`m${this.made++}`)
    this.consumers.set(consumer.memberId, consumer)
  }

  /** What is decided can not be written: nobody hears of it, and the coordinator is made anew from the log. */
  fail(decide: () => void): void {
    const { log } = this.group
    const written = log.length
    decide()
    log.length = written
    this.group.reload()
  }

  pass(ms: number): void {
    for (const consumer of this.consumers.values()) consumer.giveUpIfLate(ms)
    this.group.tick(ms)
  }
}

function checkOwners({ consumers }: World): void {
  const owners = new Map<string, string>()
  for (const { owned, memberId } of consumers.values()) {
    for (const partition of owned) {
      expect(owners.get(partition), `${partition} is ${memberId}'s and`).toBeUndefined()
      owners.set(partition, memberId)
    }
  }
}

function checkReplay({ group }: World): void {
  const before = plain(group)
  group.reload()
  expect(plain(group)).toEqual(before)
}

function plain({ group }: GroupHarness): unknown {
  const { members, ...rest } = group.describe()
  return { ...rest, members: [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1)) }
}

type Step = readonly [kind: string, at: number, flag: boolean]

const STEPS: Readonly<Record<string, (world: World, at: number, flag: boolean) => void>> = {
  join: (world, at, flag) => world.join(at, flag),
  beat: (world, at, flag) => world.pick(at)?.beat({ whole: flag, lost: false }),
  lose: (world, at, flag) => world.pick(at)?.beat({ whole: flag, lost: true }),
  settle: (world, at) => world.pick(at)?.settle(),
  restart: (world, at) => world.restart(at),
  fail: (world, at, flag) =>
    world.fail(() => (flag ? world.group.tick(1) : world.pick(at)?.beat({ whole: true, lost: true }))),
  leave(world, at) {
    const consumer = world.pick(at)
    if (consumer === undefined) return
    world.consumers.delete(consumer.memberId)
    world.group.say({ memberId: consumer.memberId, memberEpoch: -1 })
  },
  vanish(world, at) {
    const consumer = world.pick(at)
    if (consumer !== undefined) world.consumers.delete(consumer.memberId)
  },
  grow: (world, at) => world.group.topics.set(world.topics[at % 3] as string, 1 + (at % 9)),
  delete: (world, at) => world.group.topics.delete(world.topics[at % 3] as string),
  pass: (world, _, flag) => world.pass(flag ? 20_000 : 300),
  reload: (world) => checkReplay(world),
}

const OFTEN = ['join', 'beat', 'beat', 'beat', 'beat', 'beat', 'lose', 'settle', 'settle', 'pass']
const kinds = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...OFTEN) }, fc.constantFrom(...Object.keys(STEPS)))
const steps = fc.array(fc.tuple(kinds, fc.nat(50), fc.boolean()), { minLength: 10, maxLength: 150 })

describe('whatever happens to a group', () => {
  test('no partition is owned twice, epochs only rise, the log tells it all, and it comes to rest with everything assigned', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(0, 500), (all: readonly Step[], intervalMs) => {
        const world = new World(intervalMs)
        let epoch = 0
        for (const [kind, at, flag] of all) {
          STEPS[kind]?.(world, at, flag)
          checkOwners(world)
          expect(world.group.group.generation).toBeGreaterThanOrEqual(epoch)
          epoch = world.group.group.generation
        }
        comeToRest(world)
      }),
      { numRuns: 400, seed: 848 },
    )
  })
})

/** Everybody is heard of for long enough: silent members go, and all partitions of subscribed topics have one owner. */
function comeToRest(world: World): void {
  const { group, consumers } = world
  for (let round = 0; round < 30; round++) {
    world.pass(4000)
    for (const consumer of consumers.values()) {
      consumer.settle()
      consumer.beat({ whole: true, lost: false })
    }
    checkOwners(world)
  }
  expect([group.group.state, group.group.members]).toEqual([consumers.size === 0 ? 'Empty' : 'Stable', consumers.size])
  const subscribed = new Set([...consumers.values()].flatMap(({ subscription }) => subscription.topics))
  const all = [...subscribed].flatMap((name) => {
    const topic = group.topics.byName(name)
    return topic === null ? [] : Array.from({ length: topic.partitions }, (_, at) => `${topic.id}-${at}`)
  })
  const owned = [...consumers.values()].flatMap((consumer) => [...consumer.owned])
  expect(owned.sort()).toEqual(all.sort())
}
