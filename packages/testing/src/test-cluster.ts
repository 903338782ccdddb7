import { MillraceError, type Disk, type Logger, type RaftStoreFactory } from '@millrace/base'
import { type Client, createClient } from '@millrace/client'
import { DirectNetwork, MemoryDisk, MemoryLogger, MemoryRaftStores, memoryWorld, SystemClock } from '@millrace/host'
import { type Node, type NodeConfig, readNodeConfig, startNode } from '@millrace/server'
import { type MortalWorld, mortalWorld } from './mortal-world.ts'
import { freePorts } from './ports.ts'

export interface TestClusterOptions {
  /** Default 1. Every node is controller and broker. */
  readonly nodes?: number
  /** Settings for every node, by Kafka's keys; they replace the defaults of a test cluster. */
  readonly properties?: Readonly<Record<string, string>>
  /** With an HTTP endpoint for every node: /metrics and /groups. */
  readonly http?: boolean
  /** Where the nodes' log lines go; kept in memory when absent. */
  readonly log?: (node: number) => Logger
}

/** A cluster inside this process: real listeners on free ports, disks in memory, the very node classes of production. */
export interface TestCluster extends AsyncDisposable {
  /** `host:port` of every node, for any Kafka client. */
  readonly bootstrap: string[]
  /** `http://host:port` of every node's HTTP endpoint, if they were asked for. */
  readonly http: readonly string[]
  /** The cluster's own client; closed with the cluster. */
  readonly client: Client
  readonly network: DirectNetwork
  /** The running node with this id (from 1). Throws when it does not run. */
  node(id: number): Node
  /** A node's disk, to look at its files under `/data`. */
  disk(id: number): Disk
  /** Ends a node as SIGKILL ends a process: what it had written stays, nothing else. */
  kill(id: number): void
  /** Stops a node in order: leaderships are handed over first. */
  stop(id: number): Promise<void>
  /** Starts a node that was killed or stopped, on what it left; `wipe` gives it an empty disk. Resolves when it serves. */
  start(id: number, how?: { readonly wipe?: boolean }): Promise<void>
  /** Stops everything. */
  close(): Promise<void>
}

interface Member {
  readonly config: NodeConfig
  readonly log: Logger
  disk: Disk
  raftStore: RaftStoreFactory
  running: { readonly node: Node; readonly mortal: MortalWorld } | null
}

const READY_TIMEOUT_MS = 20_000

/** Starts the cluster; resolves when every node serves clients. Dispose it with `await using`. */
export async function createTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const count = options.nodes ?? 1
  const free = await freePorts(options.http === true ? 2 * count : count)
  const ports = free.slice(0, count)
  const configs = ports.map((_, at) => {
    const httpPort = free[count + at]
    const http = httpPort === undefined ? {} : { 'http.listener': `127.0.0.1:${httpPort}` }
    return configOf(at + 1, ports, { ...http, ...options.properties })
  })
  const cluster = new InProcessCluster(configs, ports, options)
  try {
    await cluster.startAll()
  } catch (error) {
    await cluster.close().catch(() => undefined)
    throw error
  }
  return cluster
}

/** Peer addresses are names on the direct network: no port of the machine is used for them. */
function configOf(id: number, ports: readonly number[], properties: Readonly<Record<string, string>>): NodeConfig {
  const replicas = Math.min(3, ports.length)
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': ports.map((_, at) => `${at + 1}@node${at + 1}:1`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${ports[id - 1]},CONTROLLER://node${id}:1`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${ports[id - 1]}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': '/data',
    'default.replication.factor': String(replicas),
    'min.insync.replicas': String(Math.max(1, replicas - 1)),
    'group.initial.rebalance.delay.ms': '0',
    ...properties,
  }
  const text = Object.entries(settings).map(([key, value]) => `${key}=${value}`)
  const { config, problems } = readNodeConfig(text.join('\n'), 'localhost')
  if (config !== null) return config
  throw new MillraceError('CONFIG_INVALID', problems.map(({ message }) => message).join('\n'), {
    fix: 'Mend the properties given to createTestCluster.',
  })
}

class InProcessCluster implements TestCluster {
  readonly bootstrap: string[]
  readonly http: readonly string[]
  readonly client: Client
  readonly network = new DirectNetwork()
  private readonly members: readonly Member[]

  constructor(configs: readonly NodeConfig[], ports: readonly number[], options: TestClusterOptions) {
    this.bootstrap = ports.map((port) => `127.0.0.1:${port}`)
    this.http = configs.flatMap(({ http }) => (http === null ? [] : [`http://127.0.0.1:${http.bind.port}`]))
    this.client = createClient({ bootstrap: this.bootstrap, clientId: 'test-cluster' })
    this.members = configs.map((config) => ({
      config,
      log: options.log?.(config.nodeId) ?? new MemoryLogger(),
      ...blankStores(),
      running: null,
    }))
  }

  async startAll(): Promise<void> {
    await Promise.all(this.members.map((member) => this.startMember(member)))
    await this.client.admin.waitForBrokers(this.members.length)
  }

  node(id: number): Node {
    const running = this.member(id).running
    if (running === null)
      throw new MillraceError('REQUEST_REFUSED', `Node ${id} does not run.`, {
        fix: 'Start it with cluster.start(id).',
      })
    return running.node
  }

  disk(id: number): Disk {
    return this.member(id).disk
  }

  kill(id: number): void {
    const member = this.member(id)
    member.running?.mortal.die()
    this.network.kill(nameOf(id))
    member.running = null
  }

  async stop(id: number): Promise<void> {
    const member = this.member(id)
    const { running } = member
    if (running === null) return
    await running.node.stop()
    running.mortal.die()
    this.network.kill(nameOf(id))
    member.running = null
  }

  async start(id: number, how: { readonly wipe?: boolean } = {}): Promise<void> {
    const member = this.member(id)
    if (member.running !== null) return
    if (how.wipe === true) Object.assign(member, blankStores())
    await this.startMember(member)
  }

  async close(): Promise<void> {
    await this.client.close()
    for (const { config } of this.members) this.kill(config.nodeId)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private member(id: number): Member {
    const member = this.members[id - 1]
    if (member === undefined)
      throw new MillraceError('REQUEST_REFUSED', `There is no node ${id}.`, {
        fix: `The nodes are 1 to ${this.members.length}.`,
      })
    return member
  }

  private async startMember(member: Member): Promise<void> {
    const id = member.config.nodeId
    const world = memoryWorld({
      name: nameOf(id),
      seed: `${id}/${process.pid}/${performance.now()}`,
      network: this.network,
      disk: member.disk,
      raftStore: member.raftStore,
      log: member.log,
      fatal: () => this.kill(id),
    })
    const mortal = mortalWorld(world)
    const node = await startNode(mortal.world, member.config)
    member.running = { node, mortal }
    await within(READY_TIMEOUT_MS, node.ready, `node ${id} did not become ready`)
  }
}

function blankStores(): { disk: Disk; raftStore: RaftStoreFactory } {
  return { disk: new MemoryDisk({ clock: new SystemClock() }), raftStore: new MemoryRaftStores() }
}

function nameOf(id: number): string {
  return `node${id}`
}

async function within<T>(timeoutMs: number, promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MillraceError('TIMED_OUT', `${what} within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
