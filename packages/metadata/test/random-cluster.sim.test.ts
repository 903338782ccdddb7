import { ErrorCode } from '@millrace/base'
import type { Random, Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import {
  createControllerMachine,
  createImage,
  isReassigning,
  minInsyncReplicas,
  neededInSync,
  originOf,
  targetOf,
  UNASSIGNED,
} from '../src/index.ts'
import type { FollowedImage, PartitionImage, RegisterBroker } from '../src/index.ts'
import { directory, Harness, plain } from './harness.ts'
import { seeded } from './seeded.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 12)
const STEPS = 600
const FIRST = Number(process.env['SEED'] ?? 1)

/** What brokers hold, which the controller cannot see: how many acknowledged records there are in each broker's directory. */
interface Log {
  acked: number
  readonly held: Map<string, number>
}

function placeOf(partition: PartitionImage, brokerId: number): string {
  return `${brokerId}/${partition.directories[partition.replicas.indexOf(brokerId)]}`
}

/** Drives a machine with everything that brokers, operators and failures do, beside a model of the data. */
class World {
  readonly harness: Harness
  readonly random: Random
  readonly logs = new Map<string, Log>()
  readonly shadow = new Map<string, PartitionImage>()
  readonly directories = new Map<number, Uuid[]>()
  readonly modes = new Map<number, 'fsync' | 'pagecache'>()
  unclean = false
  begun = 0
  moves = 0
  /** Whom a leader's proposal brought into the ISR in this step. */
  joined: readonly number[] = []
  readonly restarts: (() => void)[] = []
  names = 0

  constructor(seed: number) {
    this.random = seeded(seed)
    const pagecache = this.chance(0.3)
    this.harness = new Harness({
      'min.insync.replicas': String(1 + this.random.below(2)),
      'default.replication.factor': '3',
    })
    for (let id = 1; id <= 5; id++) {
      this.directories.set(id, this.chance(0.6) ? [directory(id), directory(id, 1)] : [directory(id)])
      this.modes.set(id, pagecache || this.chance(0.1) ? 'pagecache' : 'fsync')
    }
  }

  chance(probability: number): boolean {
    return this.random.uint32() < probability * 0x1_0000_0000
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random.below(Math.max(1, items.length))]
  }

  partitions(): PartitionImage[] {
    return [...this.harness.image.topics.values()].flatMap((topic) => topic.partitions)
  }

  log(partition: PartitionImage): Log {
    const key = nameOf(partition)
    let log = this.logs.get(key)
    if (log === undefined) {
      log = { acked: 0, held: new Map() }
      this.logs.set(key, log)
    }
    return log
  }

  step(): string {
    const actions: readonly [number, string, () => void][] = [
      [6, 'register', () => this.register()],
      [10, 'heartbeat', () => this.heartbeat()],
      [3, 'fence', () => this.harness.fence(1 + this.random.below(5))],
      [3, 'create', () => this.create()],
      [1, 'delete', () => this.remove()],
      [1, 'grow', () => this.grow()],
      [12, 'write', () => this.write()],
      [12, 'isr', () => this.alterIsr()],
      [2, 'quarantine', () => this.quarantine()],
      [this.restarts.length > 0 ? 40 : 1, 'blank', () => this.blank()],
      [2, 'config', () => this.configure()],
      [1, 'elect', () => this.elect()],
      [4, 'reassign', () => this.reassign()],
      [1, 'cancel', () => this.cancel()],
      [1, 'balance', () => void this.harness.ask({ kind: 'balanceLeaders', limit: this.random.below(5) })],
      [1, 'ids', () => this.producerIds()],
      [
        0.3,
        'unregister',
        () => void this.harness.ask({ kind: 'unregisterBroker', brokerId: 1 + this.random.below(5) }),
      ],
    ]
    let left = (this.random.uint32() / 0x1_0000_0000) * actions.reduce((sum, [weight]) => sum + weight, 0)
    this.unclean = false
    this.joined = []
    for (const [weight, name, run] of actions) {
      left -= weight
      if (left > 0) continue
      this.harness.changes = null
      run()
      return name
    }
    return 'nothing'
  }

  register(): void {
    const brokerId = 1 + this.random.below(5)
    const old = this.harness.image.brokers.get(brokerId)
    const clean = this.chance(0.3)
    const lost = this.chance(0.1)
    const more: Partial<RegisterBroker> = { flushMode: this.modes.get(brokerId) as 'fsync' }
    if (clean && old !== undefined) Object.assign(more, { previousBrokerEpoch: old.epoch })
    if (lost) this.directories.set(brokerId, [directory(brokerId, this.random.below(3))])
    if (this.chance(0.1) && old !== undefined) Object.assign(more, { incarnationId: old.incarnationId })
    const restarts = more.incarnationId === undefined
    const damaged = restarts && !clean ? this.lose(brokerId, old?.flushMode ?? 'fsync') : []
    this.harness.register(brokerId, { directories: this.directories.get(brokerId) as Uuid[], damaged, ...more })
  }

  /** What an unclean restart may cost this broker's replicas; those that it notices are told as damaged. */
  lose(brokerId: number, mode: 'fsync' | 'pagecache'): { topicId: Uuid; partition: number }[] {
    const damaged: { topicId: Uuid; partition: number }[] = []
    for (const partition of this.harness.image.partitionsOf(brokerId)) {
      const log = this.log(partition)
      const place = placeOf(partition, brokerId)
      const held = log.held.get(place) ?? 0
      const told = this.chance(0.05)
      if (told) damaged.push(partition)
      if (told || (mode === 'pagecache' && this.chance(0.5))) log.held.set(place, this.random.below(held + 1))
    }
    return damaged
  }

  heartbeat(): void {
    const brokerId = 1 + this.random.below(5)
    const offline = this.chance(0.1) ? [this.pick(this.directories.get(brokerId) as Uuid[]) as Uuid] : []
    this.harness.heartbeat(brokerId, {
      wantFence: this.chance(0.05),
      wantShutdown: this.chance(0.05),
      offlineDirectories: offline,
      appliedIndex: this.chance(0.8) ? this.harness.index : 0,
    })
  }

  create(): void {
    if (this.harness.image.topics.size > 8) return
    const [result] = this.harness.ask({
      kind: 'createTopics',
      validateOnly: this.chance(0.1),
      topics: [
        {
          name: `t${this.names++}`,
          partitions: 1 + this.random.below(4),
          replicationFactor: 1 + this.random.below(4),
          assignments: [],
          configs: this.chance(0.2) ? [{ name: 'min.insync.replicas', value: String(1 + this.random.below(3)) }] : [],
        },
      ],
    })
    must(
      [0, ErrorCode.INVALID_REPLICATION_FACTOR].includes(result?.error as number),
      'a topic is made or has too many replicas',
    )
  }

  remove(): void {
    const topic = this.pick([...this.harness.image.topics.values()])
    if (topic !== undefined) this.harness.ask({ kind: 'deleteTopics', topics: [{ name: null, topicId: topic.id }] })
  }

  grow(): void {
    const topic = this.pick([...this.harness.image.topics.values()])
    if (topic !== undefined && topic.partitions.length < 8)
      this.harness.ask({
        kind: 'createPartitions',
        validateOnly: false,
        topics: [{ topic: topic.name, count: topic.partitions.length + 2, assignments: null }],
      })
  }

  /** The leader acknowledges a record once all in-sync replicas have it, and there are enough of them. */
  write(): void {
    for (const partition of this.partitions()) {
      if (partition.leader === -1 || this.chance(0.5)) continue
      const log = this.log(partition)
      const enough = neededInSync(partition, minInsyncReplicas(this.harness.image, partition.topic))
      if (partition.isr.length < enough) continue
      log.acked++
      for (const member of partition.isr) log.held.set(placeOf(partition, member), log.acked)
    }
  }

  /** Followers that caught up join, some members leave; sometimes with old epochs. */
  alterIsr(): void {
    const partition = this.pick(this.partitions().filter(({ leader }) => leader !== -1))
    if (partition === undefined) return
    const log = this.log(partition)
    const isr = partition.replicas.filter((id) => {
      if (id === partition.leader) return true
      if (!this.chance(0.6)) return false
      return this.harness.image.brokers.has(id)
    })
    const stale = this.chance(0.1)
    const oldMember = this.chance(0.1)
    // What the follower holds is equal to the leader's log before it is proposed.
    const before = new Map(log.held)
    const led = log.held.get(placeOf(partition, partition.leader)) ?? 0
    for (const id of isr) log.held.set(placeOf(partition, id), led)
    const [answer] = this.harness.ask({
      kind: 'alterPartitions',
      brokerId: partition.leader,
      brokerEpoch: this.harness.epoch(partition.leader),
      items: [
        {
          topicId: partition.topicId,
          partition: partition.partition,
          requestId: 9,
          leaderEpoch: partition.leaderEpoch,
          partitionEpoch: partition.partitionEpoch - (stale ? 1 : 0),
          isr: isr.map((brokerId) => ({
            brokerId,
            brokerEpoch: this.harness.epoch(brokerId) - (oldMember ? 1 : 0),
          })),
        },
      ],
    })
    if (answer?.error !== ErrorCode.NONE) return restore(log.held, before)
    this.joined = isr
    if (answer.partitionEpoch !== partition.partitionEpoch)
      must(!stale && !oldMember, 'only present epochs change the ISR')
  }

  /** To any brokers, also ones that are away or do not exist, and while another move is under way. */
  reassign(): void {
    const partition = this.pick(this.partitions())
    if (partition === undefined) return
    const target = [...new Set(Array.from({ length: 1 + this.random.below(4) }, () => 1 + this.random.below(6)))]
    this.move(partition, target)
    const now = this.harness.image.partition(partition.topicId, partition.partition) as PartitionImage
    if (this.harness.records.length > 0) must(equal(targetOf(now), target), 'the partition is on its way to the target')
  }

  cancel(): void {
    const partition = this.pick(this.partitions().filter(isReassigning))
    if (partition !== undefined) this.move(partition, null)
  }

  move(partition: PartitionImage, replicas: readonly number[] | null): void {
    const [result] = this.harness.ask({
      kind: 'alterReassignments',
      partitions: [{ topic: partition.topic, partition: partition.partition, replicas }],
      mayChangeFactor: this.chance(0.8),
    })
    const { INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR } = ErrorCode
    must(
      [0, INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR].includes(result?.error as number),
      'a partition moves or cannot',
    )
  }

  quarantine(): void {
    const partition = this.pick(this.partitions())
    const brokerId = this.pick(partition?.replicas ?? [])
    if (partition === undefined || brokerId === undefined) return
    this.report(partition, brokerId, false)
    if (this.harness.image.brokers.has(brokerId)) this.log(partition).held.set(placeOf(partition, brokerId), 0)
  }

  /** All brokers of a partition that nobody ever wrote to restart before they made its folder, one step at a time. */
  blank(): void {
    const next = this.restarts.shift()
    if (next !== undefined) return next()
    const chosen = this.pick(this.partitions().filter(({ replicas }) => replicas.length > 1))
    if (chosen === undefined) return
    const { topicId, partition: number, replicas } = chosen
    const register = (id: number) => (): void =>
      void this.harness.register(id, { directories: this.directories.get(id) as Uuid[] })
    const report = (id: number) => (): void => {
      const now = this.harness.image.partition(topicId, number)
      if (now === null || this.log(now).acked > 0) return
      this.report(this.chance(0.1) ? { ...now, partitionEpoch: now.partitionEpoch - 1 } : now, id, true)
    }
    this.restarts.push(...replicas.map(register), ...replicas.map(report))
  }

  report(partition: PartitionImage, brokerId: number, blank: boolean): void {
    const brokerEpoch = this.harness.epoch(brokerId)
    this.harness.ask({ kind: 'quarantine', brokerId, brokerEpoch, partitions: [{ ...partition, blank }] })
  }

  configure(): void {
    const settings = this.chance(0.5)
      ? { 'min.insync.replicas': String(1 + this.random.below(3)) }
      : { 'unclean.leader.election.enable': String(this.chance(0.3)) }
    const topic = this.pick([...this.harness.image.topics.values()])
    if (this.chance(0.5) || topic === undefined) this.harness.configure('broker', '', settings)
    else this.harness.configure('topic', topic.name, settings)
  }

  elect(): void {
    const election = this.chance(0.5) ? 'preferred' : 'unclean'
    this.unclean = election === 'unclean'
    this.harness.ask({ kind: 'electLeaders', election, partitions: null })
  }

  producerIds(): void {
    const brokerId = 1 + this.random.below(5)
    const before = this.harness.image.nextProducerId
    const { error, first, count } = this.harness.ask({
      kind: 'allocateProducerIds',
      brokerId,
      brokerEpoch: this.harness.epoch(brokerId),
    })
    if (error !== ErrorCode.NONE) return
    must(
      first === before && this.harness.image.nextProducerId === first + count,
      'blocks of producer ids follow each other',
    )
  }
}

function must(condition: unknown, what: string): void {
  if (condition !== true) throw new Error(`broken: ${what}`)
}

function restore(held: Map<string, number>, before: ReadonlyMap<string, number>): void {
  held.clear()
  for (const [place, records] of before) held.set(place, records)
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at])
}

function nameOf({ topicId, partition }: { topicId: Uuid; partition: number }): string {
  return `${topicId}-${partition}`
}

/** What must hold of every partition after every step. */
function checkPartition(world: World, partition: PartitionImage): void {
  const { image } = world.harness
  const { replicas, isr, elr, leader, directories } = partition
  must(directories.length === replicas.length, 'every replica has a directory')
  must(new Set(isr).size === isr.length, 'nobody is in sync twice')
  must(
    isr.every((id) => replicas.includes(id)),
    'only replicas are in sync',
  )
  must(
    elr.every((id) => replicas.includes(id) && !isr.includes(id)),
    'the eligible are replicas that are not in sync',
  )
  const { addingReplicas, removingReplicas } = partition
  must(replicas.length > 0 && new Set(replicas).size === replicas.length, 'there are replicas, each once')
  must(
    [...addingReplicas, ...removingReplicas].every((id) => replicas.includes(id)),
    'who comes or goes is a replica',
  )
  must(!addingReplicas.some((id) => removingReplicas.includes(id)), 'nobody comes and goes')
  must(originOf(partition).length > 0 && targetOf(partition).length > 0, 'a move has two ends')
  must(
    !isReassigning(partition) ||
      partition.leaderRecovery === 'recovering' ||
      !targetOf(partition).every((id) => isr.includes(id)),
    'a move ends when the target is in sync',
  )
  must((leader === -1) === (isr.length === 0), 'no leader exactly when nobody is in sync')
  must(leader === -1 || isr.includes(leader), 'the leader is in sync')
  for (const id of isr) {
    const broker = image.brokers.get(id)
    must(broker?.fenced === false && !broker.shuttingDown, `broker ${id} may be in sync`)
    must(broker?.directories.includes(directories[replicas.indexOf(id)] as Uuid), `the directory of ${id} is online`)
  }
  const enough = neededInSync(partition, minInsyncReplicas(image, partition.topic))
  must(isr.length < enough || elr.length === 0, 'nobody is eligible where enough are in sync')
}

/** Leader epochs tell leaders apart, epochs never fall, and a clean leader has all that was acknowledged. */
function checkHistory(world: World, partition: PartitionImage): void {
  const key = nameOf(partition)
  const old = world.shadow.get(key)
  world.shadow.set(key, partition)
  const log = world.log(partition)
  if (old === undefined || old === partition) return
  const { leader, leaderEpoch } = partition
  must(partition.partitionEpoch === old.partitionEpoch + 1, 'the partition epoch rises by one')
  const moved = leader !== old.leader
  const removed = old.replicas.filter((id) => !partition.replicas.includes(id))
  if (isReassigning(old) && !isReassigning(partition)) world.moves++
  checkRemoval(world, partition, old, removed)
  must(
    leaderEpoch === old.leaderEpoch + (moved || removed.length > 0 ? 1 : 0),
    'the leader epoch rises exactly with the leader, and when a replica goes',
  )
  if (leader === -1 || !moved) return
  const held = log.held.get(placeOf(partition, leader)) ?? 0
  const same = placeOf(old, leader) === placeOf(partition, leader)
  if (same && (old.isr.includes(leader) || old.elr.includes(leader) || world.joined.includes(leader))) {
    must(held === log.acked, `${key}: leader ${leader} holds ${held} of ${log.acked} acknowledged records`)
    return
  }
  const assigned = old.directories.filter((one) => one !== UNASSIGNED)
  const blank = log.acked === 0 && assigned.length < 2
  if (old.replicas.length > 1 && (blank || partition.leaderRecovery === 'recovered')) {
    must(log.acked === 0, 'only a partition that nobody wrote to begins without ISR and ELR')
    world.begun++
    return
  }
  must(mayLeadUncleanly(world, old, leader, same), 'an election outside ISR and ELR was allowed')
  must(partition.replicas.length === 1 || partition.leaderRecovery === 'recovering', 'it shows')
  log.acked = held
  for (const [place, records] of log.held) log.held.set(place, Math.min(records, held))
}

/** Who goes takes its log along; somebody who surely has all records stays, unless those who go never had any. */
// oxlint-disable-next-line max-params -- a step of a partition.
function checkRemoval(world: World, partition: PartitionImage, old: PartitionImage, removed: readonly number[]): void {
  if (removed.length === 0) return
  const log = world.log(partition)
  const held = removed.some((id) => (log.held.get(placeOf(old, id)) ?? 0) > 0)
  must([...partition.isr, ...partition.elr].length > 0 || !held, 'one who has all records stays')
  must(partition.leader !== -1 || old.leader === -1, 'no leader is taken away')
  for (const id of removed) log.held.delete(placeOf(old, id))
}

function mayLeadUncleanly(world: World, old: PartitionImage, leader: number, sameDirectory: boolean): boolean {
  if (world.unclean) return true
  if (!sameDirectory) return false
  const { image } = world.harness
  const name = 'unclean.leader.election.enable'
  const own = image.configs({ kind: 'topic', name: old.topic }).get(name)
  return old.lastKnownElr.includes(leader) || (own ?? image.configs({ kind: 'broker', name: '' }).get(name)) === 'true'
}

/** The changes that an entry tells are exactly those that it made. */
class Follower {
  readonly partitions = new Map<string, PartitionImage>()

  follow(world: World): void {
    const { changes } = world.harness
    if (changes === null) return
    for (const topic of changes.deletedTopics) for (const one of topic.partitions) this.partitions.delete(nameOf(one))
    for (const topic of changes.createdTopics) for (const one of topic.partitions) this.partitions.set(nameOf(one), one)
    for (const one of changes.partitions) this.partitions.set(nameOf(one), one)
  }

  check(image: FollowedImage): void {
    const all = [...image.topics.values()].flatMap((topic) => topic.partitions)
    must(
      this.partitions.size === all.length && all.every((one) => this.partitions.get(nameOf(one)) === one),
      'the changes add up to the image',
    )
  }
}

function checkCopies({ harness }: World): void {
  const speculative = plain(harness.image)
  expect(plain(harness.committed)).toEqual(speculative)
  const loaded = createImage()
  expect(loaded.load(harness.index, harness.committed.snapshot()).all).toBe(true)
  expect(plain(loaded)).toEqual(speculative)
  expect(loaded.index).toBe(harness.index)
  const machine = createControllerMachine({ random: seeded(3), properties: new Map() }, harness.committed)
  expect(plain(machine.image)).toEqual(speculative)
}

describe('a cluster to which anything may happen', () => {
  let begun = 0
  let moves = 0

  test.each(Array.from({ length: SEEDS }, (_, at) => FIRST + at))(
    'keeps its invariants and every acknowledged record (seed %i)',
    (seed) => {
      const world = new World(seed)
      const follower = new Follower()
      const trail: string[] = []
      expect(world.harness.image.clusterId).toBe('harness')
      try {
        for (let step = 0; step < STEPS; step++) {
          trail.push(world.step())
          follower.follow(world)
          for (const partition of world.partitions()) {
            checkPartition(world, partition)
            checkHistory(world, partition)
          }
          if (step % 20 === 0) checkCopies(world)
          if (step % 20 === 0) follower.check(world.harness.committed)
        }
        begun += world.begun
        moves += world.moves
      } catch (error) {
        throw new Error(`seed ${seed}, step ${trail.length}: ${trail.slice(-8).join(' ')}`, { cause: error })
      }
    },
    30_000,
  )

  test.runIf(SEEDS >= 12)('has partitions that move', () => {
    expect(moves).toBeGreaterThan(20)
  })

  test.runIf(SEEDS >= 12)('has partitions that begin because all their replicas are blank', () => {
    expect(begun).toBeGreaterThan(0)
  })
})
