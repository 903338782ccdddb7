import { randomUuid } from '@millrace/base'
import type { Address, Lane, PeerStream, Timer, Uuid, World } from '@millrace/base'
import { DirectNetwork, MemoryDisk, MemoryLogger, MemoryRaftStores, memoryWorld, SystemClock } from '@millrace/host'
import { createImage } from '@millrace/metadata'
import type { FollowedImage } from '@millrace/metadata'
import { CreateTopicsApi } from '@millrace/protocol'
import type { CreateTopicsResponse } from '@millrace/protocol'
import { BrokerFrame, ControllerFrame, Hello } from '@millrace/rpc'
import { decode, encodeToBytes } from '@millrace/schema'
import { createController } from '../src/index.ts'
import type { Controller, QuorumFactory } from '../src/index.ts'

const IDS = [1, 2, 3] as const

/** What outlives a process. */
export class Machine {
  readonly disk = new MemoryDisk({ clock: new SystemClock() })
  readonly stores = new MemoryRaftStores()
  clusterId: Uuid | null = null
  image: FollowedImage = createImage()
  readonly directoryId: Uuid

  constructor(directoryId: Uuid) {
    this.directoryId = directoryId
  }
}

/** Three nodes in real time, each a controller with a real quorum and a broker that does nothing but follow. */
export class Trio {
  readonly network = new DirectNetwork()
  readonly log = new MemoryLogger(100_000)
  readonly nodes = new Map<number, Node>()
  private readonly machines = new Map<number, Machine>()
  private readonly snapshotMaxBytes: number
  private lives = 0

  constructor(snapshotMaxBytes = 1_000_000) {
    this.snapshotMaxBytes = snapshotMaxBytes
  }

  start(...ids: readonly number[]): void {
    for (const id of ids.length === 0 ? IDS : ids) {
      const alive = { dead: false }
      const machine = this.machines.get(id)
      const world = mortal(
        memoryWorld({
          name: `node-${id}`,
          seed: `trio ${++this.lives}`,
          network: this.network,
          log: this.log.child({ node: id }),
          ...(machine === undefined ? {} : { disk: machine.disk, raftStore: machine.stores }),
        }),
        alive,
      )
      const known = machine ?? this.format(id, world)
      this.nodes.set(id, new Node({ id, world, alive, machine: known, snapshotMaxBytes: this.snapshotMaxBytes }))
    }
  }

  private format(id: number, world: World): Machine {
    const machine = new Machine(randomUuid(world.random))
    this.machines.set(id, machine)
    Object.assign(world, { disk: machine.disk, raftStore: machine.stores })
    return machine
  }

  kill(id: number): void {
    const node = this.node(id)
    node.alive.dead = true
    this.network.kill(`node-${id}`)
    this.nodes.delete(id)
  }

  node(id: number): Node {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`node ${id} is not up`)
    return node
  }

  get leader(): Node | undefined {
    return [...this.nodes.values()].find(({ controller }) => controller.active)
  }

  /** Every node that is up serves, and all have the same image. */
  get settled(): boolean {
    const nodes = [...this.nodes.values()]
    const index = this.leader?.controller.image.index
    return (
      this.leader !== undefined &&
      nodes.every((node) => node.image.index === index && node.image.brokers.get(node.id)?.fenced === false)
    )
  }

  async until(condition: () => boolean, what: string, limitMs = 15_000): Promise<number> {
    const started = performance.now()
    while (!condition()) {
      if (performance.now() - started > limitMs)
        throw new Error(
          `still waiting for ${what}\n${this.log.lines
            .slice(-40)
            .map(({ fields, event }) => `${event} ${JSON.stringify(fields)}`)
            .join('\n')}`,
        )
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return performance.now() - started
  }

  async stop(): Promise<void> {
    for (const id of this.nodes.keys()) this.kill(id)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface NodeParts {
  readonly id: number
  readonly world: World
  readonly alive: { dead: boolean }
  readonly machine: Machine
  readonly snapshotMaxBytes: number
  /** A quorum of the test's own instead of the real one. */
  readonly makeQuorum?: QuorumFactory
}

/** One process: the controller, and a broker that registers, follows the metadata and sends heartbeats. */
export class Node {
  readonly id: number
  readonly controller: Controller
  readonly alive: { dead: boolean }
  readonly incarnationId: Uuid
  epoch = -1
  mayShutDown = false
  wantShutdown = false
  snapshots = 0
  registrations = 0
  readonly replies: { readonly index: number; readonly response: CreateTopicsResponse | number }[] = []
  /** Told of every frame, before it counts. */
  heard: (frame: ControllerFrame) => void = () => {}
  private readonly world: World
  readonly machine: Machine
  stream: PeerStream | null = null
  private target = 0
  private hint: number | null = null
  private chunks: Uint8Array[] = []
  private beat: Timer | null = null

  constructor(parts: NodeParts) {
    const { id, world, alive, machine, snapshotMaxBytes, makeQuorum } = parts
    this.id = id
    this.world = world
    this.alive = alive
    this.machine = machine
    this.incarnationId = randomUuid(world.random)
    this.controller = createController(
      world,
      {
        quorum: {
          nodeId: id,
          directoryId: machine.directoryId,
          voters: IDS.map((voter) => ({ id: voter, address: addressOf(voter) })),
          directory: '/meta',
          clusterId: machine.clusterId,
          electionTimeoutMs: 300,
          heartbeatMs: 40,
          snapshotMaxBytes,
        },
        properties: new Map([['min.insync.replicas', '2']]),
        sessionTimeoutMs: 3000,
        clusterFormed: (clusterId) => (machine.clusterId = clusterId),
      },
      makeQuorum,
    )
    world.peers.listen(
      addressOf(id),
      (hello, lane, stream) => this.controller.accept(Hello.decode(hello), lane, stream),
      (error) => {
        if (error !== null) throw error
        this.controller.start()
        this.dial()
      },
    )
  }

  get image(): FollowedImage {
    return this.machine.image
  }

  send(frame: BrokerFrame): void {
    this.stream?.send(BrokerFrame.encode(frame))
  }

  createTopic(name: string, partitions: number, replicationFactor = 3): void {
    const topic = { name, numPartitions: partitions, replicationFactor, assignments: [], configs: [] }
    const body = encodeToBytes(CreateTopicsApi.request, 7, { topics: [topic], timeoutMs: 1000, validateOnly: false })
    this.send({ kind: 'forward', requestId: 1, apiKey: 19, apiVersion: 7, clientId: '', principal: '', body })
  }

  private dial(): void {
    const to = this.hint ?? IDS[this.target++ % 3] ?? 1
    this.hint = null
    this.stream = this.world.peers.open(addressOf(to), 'control' satisfies Lane, this.hello(), {
      opened: () => this.register(),
      frame: (bytes) => this.receive(ControllerFrame.decode(bytes)),
      drained: () => {},
      closed: () => {
        this.stream = null
        this.beat?.cancel()
        this.world.timers.after(20_000, () => this.dial())
      },
    })
  }

  private hello(): Uint8Array {
    return Hello.encode({
      purpose: 'broker',
      clusterId: this.machine.clusterId ?? '',
      nodeId: this.id,
      incarnationId: this.incarnationId,
      brokerEpoch: this.epoch,
      version: 1,
      blank: false,
      voters: [],
      leaderId: null,
      term: 0,
    })
  }

  private register(): void {
    const { host, port } = addressOf(this.id)
    this.send({
      kind: 'register',
      brokerId: this.id,
      incarnationId: this.incarnationId,
      rack: null,
      listeners: [{ name: 'PEER', host, port, securityProtocol: 'PLAINTEXT' }],
      directories: [this.machine.directoryId],
      flushMode: 'fsync',
      previousBrokerEpoch: -1,
      damaged: [],
      appliedIndex: this.image.index === 0 ? -1 : this.image.index,
      version: 1,
    })
  }

  private receive(frame: ControllerFrame): void {
    this.heard(frame)
    switch (frame.kind) {
      case 'notLeader':
        this.hint = frame.leaderId === -1 ? null : frame.leaderId
        return
      case 'registered':
        this.epoch = frame.brokerEpoch
        this.registrations++
        return this.heartbeat()
      case 'heartbeatReply':
        this.mayShutDown ||= frame.mayShutDown
        return
      case 'records':
        for (const { index, payload } of frame.entries) this.image.apply(index, payload)
        return
      case 'snapshot':
        return this.load(frame)
      case 'forwardReply':
        this.replies.push({
          index: frame.index,
          response: frame.error === 0 ? decode(CreateTopicsApi.response, 7, frame.body) : frame.error,
        })
    }
  }

  private load(frame: Extract<ControllerFrame, { readonly kind: 'snapshot' }>): void {
    this.chunks.push(frame.data)
    if (!frame.last) return
    this.snapshots++
    this.image.load(frame.index, new Uint8Array(Buffer.concat(this.chunks.splice(0))))
  }

  private heartbeat(): void {
    this.send({
      kind: 'heartbeat',
      brokerEpoch: this.epoch,
      appliedIndex: this.image.index,
      wantShutdown: this.wantShutdown,
      wantFence: false,
      offlineDirectories: [],
    })
    this.beat = this.world.timers.after(30_000, () => this.heartbeat())
  }
}

function addressOf(id: number): Address {
  return { host: 'trio', port: 9000 + id }
}

/** A world whose callbacks stop when its process dies, whatever they are given to. */
export function mortal(world: World, alive: { readonly dead: boolean }): World {
  const wrapped = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(_, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown =>
          (value as (...all: unknown[]) => unknown).apply(target, args.map(callback))
      },
    })
  const callback = (argument: unknown): unknown => {
    if (typeof argument !== 'function') return argument
    return (...args: unknown[]): unknown => {
      if (alive.dead) return undefined
      const shown = args.map((one) => (isStore(one) ? wrapped(one) : one))
      return (argument as (...all: unknown[]) => unknown)(...shown)
    }
  }
  const parts = { ...world }
  return Object.assign(parts, {
    timers: wrapped(world.timers),
    disk: wrapped(world.disk),
    raftStore: wrapped(world.raftStore),
  })
}

function isStore(value: unknown): value is object {
  return typeof value === 'object' && value !== null && ('sync' in value || 'load' in value)
}
