import * as fc from 'fast-check'
import { assert, ErrorCode } from '@millrace/base'
import { expect, test } from 'vitest'
import type { JoinGroupResponse, SyncGroupResponse } from '../shapes.ts'
import type { Asked } from '../shard-harness.ts'
import { compacted, REBALANCE_MS, SESSION_MS } from '../shard-harness.ts'
import { assigned, assignmentOf, subscriptionOf } from './consumer-bytes.ts'
import { MigrationHarness } from './migration-harness.ts'

const PARTITIONS = 6
const MODERN_SESSION_MS = 45_000

/** What both kinds of consumers have in common: they own what they were given until they gave it up, or know that they are thought dead. */
abstract class Consumer {
  readonly owned = new Set<number>()
  protected readonly world: World
  protected heardMs: number
  /** When it was asked to give up something, or to join again. */
  protected askedMs = Number.POSITIVE_INFINITY

  constructor(world: World) {
    this.world = world
    this.heardMs = world.nowMs
  }

  /** Does what is next; everything that it says is answered, except for a join that waits. */
  abstract act(): void
  abstract leave(): void
  protected abstract readonly sessionMs: number
  protected abstract forget(): void

  giveUp(): void {
    this.owned.clear()
    this.askedMs = Number.POSITIVE_INFINITY
    this.forget()
  }

  /** To be asked before time passes. */
  giveUpIfLate(afterMs: number): void {
    const atMs = this.world.nowMs + afterMs
    if (atMs - this.heardMs >= this.sessionMs || atMs - this.askedMs >= REBALANCE_MS) this.giveUp()
  }
}

/** A consumer of the newer protocol. */
class Modern extends Consumer {
  readonly memberId: string
  protected readonly sessionMs = MODERN_SESSION_MS
  private epoch = 0

  constructor(world: World, memberId: string) {
    super(world)
    this.memberId = memberId
  }

  act(): void {
    const { harness, topicId } = this.world
    const owned = [{ topicId, partitions: [...this.owned] }]
    const said = { topicNames: ['t'], rebalanceTimeoutMs: REBALANCE_MS, owned: this.epoch === 0 ? [] : owned }
    const { error, memberEpoch, assignment } = harness.beat(this.memberId, this.epoch, said)
    this.heardMs = this.world.nowMs
    if (error !== ErrorCode.NONE) return this.giveUp()
    this.epoch = memberEpoch
    if (assignment === null) return
    const told = new Set(assignment.flatMap(({ partitions }) => partitions))
    const mustGiveUp = [...this.owned].some((partition) => !told.has(partition))
    this.askedMs = mustGiveUp ? Math.min(this.askedMs, this.world.nowMs) : Number.POSITIVE_INFINITY
    this.owned.clear()
    for (const partition of told) this.owned.add(partition)
  }

  leave(): void {
    if (this.epoch > 0) this.world.harness.beat(this.memberId, -1)
    this.giveUp()
  }

  protected forget(): void {
    this.epoch = 0
  }
}

/** A consumer of the classic protocol, that gives up everything before it joins again (eager), or only what it is told to (cooperative). */
class Classic extends Consumer {
  protected readonly sessionMs = SESSION_MS
  private readonly isCooperative: boolean
  private memberId = ''
  private generation = -1
  private joining: Asked<JoinGroupResponse> | null = null
  private syncing: Asked<SyncGroupResponse> | null = null

  constructor(world: World, isCooperative: boolean) {
    super(world)
    this.isCooperative = isCooperative
  }

  act(): void {
    if (this.syncing !== null) return this.awaitSync(this.syncing)
    if (this.joining !== null) return this.awaitJoin(this.joining)
    if (this.generation < 0) return this.join()
    this.heardMs = this.world.nowMs
    this.judge(this.world.harness.heartbeat({ memberId: this.memberId, generation: this.generation }))
  }

  private join(): void {
    if (!this.isCooperative) this.owned.clear()
    const { memberId } = this
    const owned = this.isCooperative ? [...this.owned] : []
    const protocols = [{ name: 'range', metadata: subscriptionOf(['t'], { t: owned }) }]
    this.joining = this.world.harness.join({ memberId, protocols })
    this.awaitJoin(this.joining)
  }

  private awaitJoin(asked: Asked<JoinGroupResponse>): void {
    if (asked.waits) {
      // Whoever waits is alive for the coordinator.
      this.heardMs = this.world.nowMs
      this.askedMs = Number.POSITIVE_INFINITY
      return
    }
    this.joining = null
    this.heardMs = this.world.nowMs
    const { error, memberId, generation, members } = asked.response
    if (error === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = memberId
      return this.join()
    }
    if (error !== ErrorCode.NONE) return this.judge(error)
    Object.assign(this, { memberId, generation })
    this.askedMs = this.world.nowMs
    this.syncing = this.world.harness.sync({ memberId, generation }, this.world.divide(members))
    this.awaitSync(this.syncing)
  }

  private awaitSync(asked: Asked<SyncGroupResponse>): void {
    this.heardMs = this.world.nowMs
    if (asked.waits) return
    this.syncing = null
    const { error, assignment } = asked.response
    if (error !== ErrorCode.NONE) return this.judge(error)
    this.askedMs = Number.POSITIVE_INFINITY
    const told = new Set(assigned(assignment))
    const hasToGiveUp = [...this.owned].some((partition) => !told.has(partition))
    this.owned.clear()
    for (const partition of told) this.owned.add(partition)
    if (hasToGiveUp) this.generation = -1
  }

  private judge(error: ErrorCode): void {
    if (error === ErrorCode.NONE) return
    if (error === ErrorCode.REBALANCE_IN_PROGRESS) {
      this.generation = -1
      this.askedMs = Math.min(this.askedMs, this.world.nowMs)
    } else if (error === ErrorCode.ILLEGAL_GENERATION) {
      this.owned.clear()
      this.generation = -1
    } else this.giveUp()
  }

  /** The coordinator is another one: who waits is told to come again. */
  lostCoordinator(): void {
    if (this.joining?.waits === true || this.syncing?.waits === true) this.generation = -1
    if (this.joining?.waits === true) this.joining = null
    if (this.syncing?.waits === true) this.syncing = null
  }

  leave(): void {
    if (this.memberId !== '') this.world.harness.leave({ memberId: this.memberId })
    this.giveUp()
  }

  protected forget(): void {
    this.memberId = ''
    this.generation = -1
    this.joining = null
    this.syncing = null
  }
}

class World {
  readonly harness = new MigrationHarness({ initialRebalanceDelayMs: 500 })
  readonly topicId = this.harness.topics.set('t', PARTITIONS)
  readonly consumers: Consumer[] = []
  readonly types = new Set<string>()
  private made = 0

  get nowMs(): number {
    return this.harness.nowMs
  }

  join(at: number): void {
    if (this.consumers.length >= 5) return
    const isModern = at % 3 === 0
    this.consumers.push(isModern ? new Modern(this, `m${this.made++}`) : new Classic(this, at % 3 === 1))
    this.consumers.at(-1)?.act()
  }

  pick(at: number): Consumer | undefined {
    return this.consumers[at % Math.max(1, this.consumers.length)]
  }

  leave(at: number): void {
    const consumer = this.pick(at)
    this.consumers.splice(at % Math.max(1, this.consumers.length), 1)
    consumer?.leave()
  }

  vanish(at: number): void {
    this.consumers.splice(at % Math.max(1, this.consumers.length), 1)
  }

  /** All live consumers but one get around to what they have to do before time passes. */
  pass(ms: number, slow: number): void {
    for (const [at, consumer] of this.consumers.entries()) if (at !== slow) consumer.act()
    for (const consumer of this.consumers) consumer.giveUpIfLate(ms)
    this.harness.advance(ms)
  }

  reload(isCompacted: boolean): void {
    this.harness.reload(isCompacted ? compacted(this.harness.log) : this.harness.log)
    for (const consumer of this.consumers) if (consumer instanceof Classic) consumer.lostCoordinator()
  }

  /**
   * A leader divides among those that it is told; what another member says it owns is nobody's until that one gave it up, as cooperative assignors have
   * it: whose subscription does not name a partition is given it in the rebalance that follows.
   */
  divide(members: JoinGroupResponse['members']): Record<string, Uint8Array> {
    const owners = new Map<number, string>()
    for (const { memberId, metadata } of members)
      for (const partition of ownedIn(metadata)) owners.set(partition, memberId)
    const shares = new Map(members.map(({ memberId }) => [memberId, [] as number[]]))
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { memberId } = members[partition % Math.max(1, members.length)] ?? { memberId: '' }
      const owner = owners.get(partition)
      if (owner === undefined || owner === memberId) shares.get(memberId)?.push(partition)
    }
    return Object.fromEntries([...shares].map(([memberId, partitions]) => [memberId, assignmentOf({ t: partitions })]))
  }

  check(): void {
    this.types.add(this.harness.type)
    const owners = new Map<number, Consumer>()
    for (const consumer of this.consumers)
      for (const partition of consumer.owned) {
        assert(!owners.has(partition), `partition ${partition} has two owners`)
        owners.set(partition, consumer)
      }
  }

  /** Everybody is heard of for long enough: who is silent goes, and all partitions have an owner. */
  comeToRest(): void {
    for (let round = 0; round < 80; round++) {
      this.pass(2000, -1)
      this.check()
    }
    const { state, type } = this.harness
    const owned = this.consumers.reduce((sum, consumer) => sum + consumer.owned.size, 0)
    assert(owned === (this.consumers.length === 0 ? 0 : PARTITIONS), `${owned} partitions have an owner`)
    assert(this.consumers.length === 0 || state === 'Stable', `the group comes to rest, and is ${state}`)
    const isClassic = this.consumers.every((consumer) => consumer instanceof Classic)
    assert(this.consumers.length === 0 || type === (isClassic ? 'classic' : 'consumer'), `the group is ${type}`)
  }
}

function ownedIn(metadata: Uint8Array): readonly number[] {
  return assigned(metadata, 'owned')
}

const STEPS: Readonly<Record<string, (world: World, at: number) => void>> = {
  join: (world, at) => world.join(at),
  act: (world, at) => world.pick(at)?.act(),
  pass: (world, at) => world.pass(300 + (at % 5) * 400, at % 8),
  late: (world, at) => world.pass(8000, at % 8),
  leave: (world, at) => world.leave(at),
  vanish: (world, at) => world.vanish(at),
  reload: (world, at) => world.reload(at % 2 === 0),
}

const OFTEN = ['join', 'join', 'act', 'act', 'act', 'pass', 'pass', 'pass', 'leave']
const kinds = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...OFTEN) }, fc.constantFrom(...Object.keys(STEPS)))
const steps = fc.array(fc.tuple(kinds, fc.nat(50)), { minLength: 10, maxLength: 100, size: 'max' })

test('whatever consumers of both protocols do in one group, no partition has two owners, and in the end each has one', () => {
  const types = new Set<string>()
  fc.assert(
    fc.property(steps, (all) => {
      const world = new World()
      for (const [kind, at] of all) {
        STEPS[kind]?.(world, at)
        world.check()
      }
      world.comeToRest()
      for (const type of world.types) types.add(type)
    }),
    { numRuns: 150 },
  )
  expect(types).toEqual(new Set(['none', 'classic', 'consumer']))
}, 60_000)
