import { IoError, randomUuid, type FatalCode, type Random, type Uuid, type World } from '@millrace/base'
import {
  DirectNetwork,
  MemoryDisk,
  MemoryLogger,
  MemoryRaftStores,
  memoryWorld,
  SeededRandom,
  SystemClock,
} from '@millrace/host'
import { Hello } from '@millrace/rpc'
import { createQuorum } from '../../src/quorum/quorum.ts'
import type { Leadership, Quorum, QuorumConfig } from '../../src/quorum/types.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What outlives an incarnation: the disk, the store and `meta.properties`. */
class Machine {
  readonly disk = new MemoryDisk({ clock: new SystemClock() })
  readonly stores = new MemoryRaftStores()
  readonly directoryId: Uuid
  clusterId: Uuid | null = null

  constructor(random: Random) {
    this.directoryId = randomUuid(random)
  }
}

export interface ClusterOptions {
  readonly nodes: number
  readonly snapshotMaxBytes?: number
  readonly configured?: (node: number) => readonly number[]
}

/** Quorum members in this process, each on a machine of its own, and a list of texts as their state machine. */
export class Cluster {
  readonly network = new DirectNetwork()
  readonly log = new MemoryLogger(100_000)
  readonly members = new Map<number, TestMember>()
  /** Told when a node learns its cluster's id, in that very moment. */
  onFormed: (id: number) => void = () => {}
  readonly #machines = new Map<number, Machine>()
  readonly #options: ClusterOptions
  readonly #random: SeededRandom
  #lives = 0

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#random = new SeededRandom(`quorum test ${Math.random()}`)
  }

  get ids(): readonly number[] {
    return Array.from({ length: this.#options.nodes }, (_, at) => at + 1)
  }

  start(...ids: readonly number[]): void {
    for (const id of ids.length > 0 ? ids : this.ids) this.members.set(id, this.#makeMember(id))
  }

  member(id: number): TestMember {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`node ${id} is not up`)
    return member
  }

  machine(id: number): Machine {
    let machine = this.#machines.get(id)
    if (machine === undefined) this.#machines.set(id, (machine = new Machine(this.#random)))
    return machine
  }

  /** The process dies: nothing more runs in it, and its peers see broken streams. */
  kill(id: number): void {
    this.member(id).kill()
    this.network.kill(nodeName(id))
    this.members.delete(id)
  }

  /** The node's disk is replaced by an empty one. */
  wipe(id: number): void {
    this.#machines.delete(id)
  }

  get leader(): TestMember | null {
    const leaders = [...this.members.values()].filter((member) => member.leadership.kind === 'leader')
    return leaders.toSorted((a, b) => b.leadership.term - a.leadership.term)[0] ?? null
  }

  async leads(): Promise<TestMember> {
    await this.until(() => this.leader !== null, 'a leader')
    return this.leader as TestMember
  }

  /** Proposes at whoever leads until it is accepted, and waits until everybody who is up has applied it. */
  async commit(text: string): Promise<void> {
    await this.until(
      () => this.leader?.quorum.propose(encoder.encode(text)) !== null && this.leader !== null,
      'a taker',
    )
    await this.until(
      () => [...this.members.values()].every((member) => member.applied.includes(text)),
      `${text} everywhere`,
    )
  }

  async until(condition: () => boolean, what: string, limitMs = 15_000): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`still waiting for ${what}: ${this.describe()}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  async pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms))
  }

  describe(): string {
    const states = [...this.members.values()].map(
      (member) => `\n${member.id}: ${JSON.stringify(member.leadership)} ${JSON.stringify(member.quorum.status)}`,
    )
    const lines = this.log.lines.slice(-30).map(({ fields, event }) => `\n  ${event} ${JSON.stringify(fields)}`)
    return states.join('') + lines.join('')
  }

  async stop(): Promise<void> {
    for (const id of this.members.keys()) this.kill(id)
    await this.pause(5)
  }

  #makeMember(id: number): TestMember {
    const machine = this.machine(id)
    const configured = this.#options.configured?.(id) ?? this.ids
    const name = nodeName(id)
    const holder: { member: TestMember | null } = { member: null }
    const world = memoryWorld({
      name,
      seed: `${this.#random.uint32()} ${++this.#lives}`,
      network: this.network,
      disk: machine.disk,
      raftStore: machine.stores,
      log: this.log.child({ node: id }),
      fatal: (code, cause) => holder.member?.die(code, cause),
    })
    const config: QuorumConfig = {
      nodeId: id,
      directoryId: machine.directoryId,
      voters: configured.map((other) => ({ id: other, address: { host: 'test', port: 9000 + other } })),
      directory: '/meta/quorum',
      clusterId: machine.clusterId,
      electionTimeoutMs: 300,
      heartbeatMs: 40,
      snapshotMaxBytes: this.#options.snapshotMaxBytes ?? 1_000_000,
    }
    holder.member = new TestMember(world, config, (clusterId) => {
      machine.clusterId = clusterId
      this.onFormed(id)
    })
    return holder.member
  }
}

export function nodeName(id: number): string {
  return `node-${id}`
}

/** One incarnation of a member. */
export class TestMember {
  readonly id: number
  readonly quorum: Quorum
  readonly config: QuorumConfig
  applied: string[] = []
  appliedIndex = 0
  restores = 0
  leadership: Leadership = { kind: 'other', term: -1, leader: null }
  readonly told: Leadership[] = []
  fatal: { readonly code: FatalCode; readonly cause: unknown } | null = null
  #dead = false

  constructor(world: World, config: QuorumConfig, formed: (clusterId: Uuid) => void) {
    this.id = config.nodeId
    this.config = config
    const guarded = this.#guard(world)
    this.quorum = createQuorum(guarded, config, {
      clusterId: formed,
      committed: (index, term, payload) => this.#commit(index, term, payload),
      restore: (snapshot, index) => {
        this.restores++
        this.applied = JSON.parse(decoder.decode(snapshot)) as string[]
        this.appliedIndex = index
      },
      takeSnapshot: () => encoder.encode(JSON.stringify(this.applied)),
      leadership: (state) => {
        this.leadership = state
        this.told.push(state)
      },
    })
    const own = config.voters.find((voter) => voter.id === config.nodeId)
    const address = own?.address ?? { host: 'test', port: 9000 + config.nodeId }
    world.peers.listen(
      address,
      (hello, lane, stream) => this.quorum.accept(Hello.decode(hello), lane, stream),
      (error) => {
        if (error !== null) throw error
        if (!this.#dead) this.quorum.start()
      },
    )
  }

  propose(text: string): ReturnType<Quorum['propose']> {
    return this.quorum.propose(encoder.encode(text))
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.quorum.stop((error) => (error === null ? resolve() : reject(error)))
    })
  }

  kill(): void {
    this.#dead = true
  }

  die(code: FatalCode, cause: unknown): void {
    this.fatal = { code, cause }
    this.#dead = true
  }

  #commit(index: number, term: number, payload: Uint8Array): void {
    if (index <= this.appliedIndex) throw new Error(`node ${this.id} was handed ${index} after ${this.appliedIndex}`)
    if (this.leadership.kind === 'leader' && term > this.leadership.term) throw new Error('an entry of the future')
    this.appliedIndex = index
    this.applied.push(decoder.decode(payload))
  }

  /** A killed process hears of nothing: no timer, no disk, no store answers any more. `fatal` ends it too, but returns here. */
  #guard(world: World): World {
    const unlessDead =
      <A extends readonly unknown[]>(run: (...args: A) => void) =>
      (...args: A): void => {
        if (!this.#dead) run(...args)
      }
    return {
      ...world,
      fatal: (code, cause) => {
        this.die(code, cause)
        return undefined as never
      },
      timers: {
        after: (delayUs, run) => world.timers.after(delayUs, unlessDead(run)),
        endOfTurn: (run) => world.timers.endOfTurn(unlessDead(run)),
      },
      disk: {
        ...bound(world.disk),
        open: (path, how, done) => world.disk.open(path, how, unlessDead(done)),
        list: (path, done) => world.disk.list(path, unlessDead(done)),
        rename: (from, to, done) => world.disk.rename(from, to, unlessDead(done)),
        syncDir: (path, done) => world.disk.syncDir(path, unlessDead(done)),
      },
      raftStore: {
        open: (path, done) =>
          world.raftStore.open(
            path,
            unlessDead((error: IoError | null, store) =>
              done(error, {
                load: (done) => store.load(unlessDead(done)),
                write: (change, done) => store.write(change, unlessDead(done)),
                read: (from, to, maxBytes, done) => store.read(from, to, maxBytes, unlessDead(done)),
                close: (done) => store.close(unlessDead(done)),
              }),
            ),
          ),
      },
    }
  }
}

function bound(disk: World['disk']): World['disk'] {
  return {
    open: disk.open.bind(disk),
    openNow: disk.openNow.bind(disk),
    list: disk.list.bind(disk),
    mkdir: disk.mkdir.bind(disk),
    rename: disk.rename.bind(disk),
    renameNow: disk.renameNow.bind(disk),
    remove: disk.remove.bind(disk),
    syncDir: disk.syncDir.bind(disk),
    freeBytes: disk.freeBytes.bind(disk),
  }
}
