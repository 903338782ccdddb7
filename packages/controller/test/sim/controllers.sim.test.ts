import { randomUuid } from '@millrace/base'
import type { Random } from '@millrace/base'
import { createImage } from '@millrace/metadata'
import { SeededRandom } from '@millrace/host'
import { describe, expect, test } from 'vitest'
import { Machine, mortal, Node } from '../trio.ts'
import { Dials, VirtualTime, virtualWorld } from '../virtual-world.ts'
import { fingerprint, Member, SharedLog } from './shared-log.ts'
import { VirtualNetwork } from './virtual-network.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 8)
const FIRST = Number(process.env['SEED'] ?? 1)
const STEPS = 250
const IDS = [1, 2, 3]

/** Controllers and brokers in virtual time, on a log that behaves as Raft promises, and everything that may go wrong. */
class Simulation {
  readonly time = new VirtualTime()
  readonly random: Random
  readonly network: VirtualNetwork
  readonly log: SharedLog
  readonly nodes = new Map<number, Node>()
  private readonly machines = new Map<number, Machine>()
  private readonly epochs = new Map<number, { incarnation: string; epoch: number }>()
  private topics = 0

  constructor(seed: number) {
    this.random = new SeededRandom(`controllers ${seed}`)
    this.network = new VirtualNetwork(this.time, this.random.fork('network'))
    this.log = new SharedLog(this.time, this.random.fork('log'))
    for (const id of IDS) this.machines.set(id, new Machine(randomUuid(this.random)))
    for (const id of IDS) this.start(id)
    this.time.pass(5)
    this.log.elect(1)
    this.time.pass(500)
    for (const id of IDS) this.time.turn(() => this.create(id))
    this.time.pass(100)
  }

  start(id: number): void {
    const alive = { dead: false }
    const name = `node-${id}`
    const random = this.random.fork(`${name} ${this.time.nowUs}`)
    const base = { ...virtualWorld(this.time, new Dials()), random, peers: this.network.peers(name) }
    const machine = this.machines.get(id) as Machine
    // A broker may start with what it had, or with nothing.
    if (this.random.below(2) === 0) machine.image = createImage()
    const makeQuorum = (_world: unknown, _config: unknown, listener: ConstructorParameters<typeof Member>[2]): Member =>
      new Member(this.log, id, listener)
    this.time.turn(() => {
      const node = new Node({ id, world: mortal(base, alive), alive, machine, snapshotMaxBytes: 1, makeQuorum })
      node.heard = (frame) => {
        if (frame.kind === 'registered') this.checkEpoch(node, frame.brokerEpoch)
      }
      this.nodes.set(id, node)
    })
  }

  kill(id: number): void {
    const node = this.nodes.get(id)
    if (node === undefined) return
    node.alive.dead = true
    const member = this.log.members.get(id)
    if (member !== undefined) member.dead = true
    this.network.kill(`node-${id}`)
    this.nodes.delete(id)
  }

  step(): string {
    const id = IDS[this.random.below(3)] as number
    const other = IDS[this.random.below(3)] as number
    const actions: readonly [string, () => void][] = [
      ['kill', () => this.nodes.size > 1 && this.kill(id)],
      ['start', () => !this.nodes.has(id) && this.start(id)],
      ['start', () => !this.nodes.has(id) && this.start(id)],
      ['elect', () => this.log.elect(id)],
      ['break', () => this.network.break(`node-${id}`, `node-${other}`)],
      ['cut', () => this.network.cut(`node-${id}`, `node-${other}`)],
      ['heal', () => this.network.heal()],
      ['heal', () => this.network.heal()],
      ['create', () => this.create(id)],
      ['create', () => this.create(id)],
      ['propose', () => this.propose(id)],
      ['propose', () => this.propose(id)],
      ['propose', () => this.propose(id)],
      ['wait', () => this.time.pass(this.random.below(5) === 0 ? 4000 : 400)],
      ['sleep', () => this.random.below(6) === 0 && this.time.sleep(20_000)],
    ]
    const [name, run] = actions[this.random.below(actions.length)] as [string, () => void]
    this.time.turn(run)
    this.time.pass(this.random.below(300))
    if (this.log.leader?.dead === true && this.random.below(3) > 0) this.log.elect(this.someoneAlive())
    this.check()
    return `${name}${id}`
  }

  someoneAlive(): number {
    const ids = [...this.nodes.keys()]
    return ids[this.random.below(ids.length)] as number
  }

  create(id: number): void {
    if (this.log.reference.topics.size < 12)
      this.nodes.get(id)?.createTopic(`t${this.topics++}`, 1 + this.random.below(4), 1 + this.random.below(3))
  }

  /** A leader, as it sees itself, proposes an ISR by chance. */
  propose(id: number): void {
    const node = this.nodes.get(id)
    if (node === undefined) return
    const led = [...node.image.partitionsOf(id)].filter(({ leader }) => leader === id)
    const partition = led[this.random.below(Math.max(1, led.length))]
    if (partition === undefined) return
    const members = partition.replicas.filter((one) => one === id || this.random.below(2) === 0)
    const { topicId, leaderEpoch, partitionEpoch } = partition
    const isr = members.map((brokerId) => ({ brokerId, brokerEpoch: node.image.brokers.get(brokerId)?.epoch ?? -1 }))
    const items = [{ topicId, partition: partition.partition, requestId: 1, leaderEpoch, partitionEpoch, isr }]
    node.send({ kind: 'alterPartitions', brokerEpoch: node.epoch, items })
  }

  /** No two incarnations share an epoch, and epochs rise. */
  private checkEpoch(node: Node, epoch: number): void {
    const last = this.epochs.get(node.id)
    if (last?.incarnation === node.incarnationId) must(epoch === last.epoch, 'an incarnation keeps its epoch')
    else must(epoch > (last?.epoch ?? 0), 'a new incarnation has a higher epoch')
    this.epochs.set(node.id, { incarnation: node.incarnationId, epoch })
  }

  /** Whatever a node shows was committed, as it was then; whatever was answered is in the log where the answer says. */
  check(): void {
    for (const node of this.nodes.values()) {
      must(this.log.states.get(node.image.index) === fingerprint(node.image), `node ${node.id} follows the log`)
      const { image } = node.controller
      must(
        this.log.states.get(image.index) === fingerprint(image as Node['image']),
        `controller ${node.id} follows the log`,
      )
      for (const { index, response } of node.replies.splice(0)) {
        if (typeof response === 'number') continue
        for (const { errorCode, topicId } of response.topics)
          must(errorCode !== 0 || this.log.createdAt.get(topicId) === index, 'an answer is committed where it says')
      }
    }
  }

  /** Ends all faults; within seconds everybody serves, and every partition has a leader. */
  settle(): void {
    this.network.heal()
    for (const id of IDS) if (!this.nodes.has(id)) this.start(id)
    this.time.pass(500)
    if (this.log.leader === null || this.log.leader.dead) this.log.elect(2)
    this.time.pass(15_000)
    this.check()
    const { reference } = this.log
    for (const node of this.nodes.values()) {
      must(node.image.index === reference.index, `node ${node.id} has everything`)
      const broker = reference.brokers.get(node.id)
      must(broker?.fenced === false && broker.epoch === node.epoch, `broker ${node.id} serves`)
    }
    for (const topic of reference.topics.values())
      for (const { leader, partition } of topic.partitions) must(leader !== -1, `${topic.name}-${partition} is led`)
    must([...this.nodes.values()].filter(({ controller }) => controller.active).length === 1, 'one controller decides')
  }

  /** In a cluster at rest, a process that dies is out of every leadership at once. */
  failFast(): void {
    const victim = IDS.find((id) => id !== this.log.leader?.id) as number
    this.kill(victim)
    this.time.pass(60)
    const { reference } = this.log
    must(reference.brokers.get(victim)?.fenced, 'a dead broker is fenced at once')
    must(
      [...reference.partitionsOf(victim)].every(({ leader }) => leader !== victim),
      'a dead broker leads nothing',
    )
  }
}

function must(condition: unknown, what: string): void {
  if (condition !== true) throw new Error(`broken: ${what}`)
}

describe('controllers to which anything may happen', () => {
  test.each(Array.from({ length: SEEDS }, (_, at) => FIRST + at))(
    'show and answer only what is committed, and come to rest (seed %i)',
    (seed) => {
      const simulation = new Simulation(seed)
      const trail: string[] = []
      try {
        for (let step = 0; step < STEPS; step++) trail.push(simulation.step())
        simulation.settle()
        simulation.failFast()
      } catch (error) {
        throw new Error(`seed ${seed}, step ${trail.length}: ${trail.slice(-12).join(' ')}`, { cause: error })
      }
      expect(simulation.log.committed.length).toBeGreaterThan(STEPS / 10)
    },
    30_000,
  )
})
