import {
  type Accepted,
  type Address,
  type Done,
  type Lane,
  type Listener,
  MillraceError,
  type PeerStream,
  randomUuid,
  type Refusal,
  type Uuid,
  type World,
} from '@millrace/base'
import { type Broker, createBroker, createKafkaListener, type KafkaListener } from '@millrace/broker'
import { type Controller, createController, createQuorum } from '@millrace/controller'
import { Hello, RpcDecodeError } from '@millrace/rpc'
import { type FormattedDirectory, type LockFolder, openDirectories, writeMeta } from './directories.ts'
import { HttpEndpoint } from './http/endpoint.ts'
import { promised } from './promised.ts'
import { gateStreams } from './gated-streams.ts'
import type { NodeConfig } from './node-config.ts'

/** A running node. */
export interface Node {
  readonly config: NodeConfig
  readonly broker: Broker | null
  readonly controller: Controller | null
  /** Resolves when the node serves clients; rejects when it cannot start. */
  readonly ready: Promise<void>
  /** Hands leaderships over, syncs, writes the clean marker. Safe to call again. */
  stop(): Promise<void>
}

/** What only a process of its own needs. */
export interface StartOptions {
  /** Called for every folder before anything in it is changed; folders in memory need none. */
  readonly lock?: LockFolder
}

/**
 * Starts one node from its configuration in the given world: formats or checks its folders, binds the peer listener, and starts the
 * roles. Rejects with a `MillraceError` that tells the way out; then nothing is left running.
 */
export async function startNode(world: World, config: NodeConfig, options: StartOptions = {}): Promise<Node> {
  const own = { ...world, log: world.log.child({ node: config.nodeId }) }
  const paths = [...new Set([...config.logDirs, config.metadataDir])]
  const directories = await openDirectories(own, paths, config.nodeId, options.lock)
  const node = new RunningNode(own, config, directories)
  await node.start()
  return node
}

class RunningNode implements Node {
  readonly config: NodeConfig
  broker: Broker | null = null
  controller: Controller | null = null
  ready: Promise<void> = Promise.resolve()
  private readonly world: World
  private directories: readonly FormattedDirectory[]
  private peerListener: Listener | null = null
  private kafka: readonly KafkaListener[] = []
  private http: HttpEndpoint | null = null
  private stopping: Promise<void> | null = null
  private closedToClients: Promise<void> | null = null

  constructor(world: World, config: NodeConfig, directories: readonly FormattedDirectory[]) {
    this.world = world
    this.config = config
    this.directories = directories
  }

  async start(): Promise<void> {
    const { config, world } = this
    if (config.controller) this.controller = createController(world, this.controllerConfig(), createQuorum)
    const gate = gateStreams(world.streams)
    if (config.broker) this.broker = createBroker({ ...world, streams: gate.streams }, this.brokerConfig())
    this.peerListener = await this.bind('listeners', config.peer.bind, (done) =>
      world.peers.listen(config.peer.bind, (hello, lane, stream) => this.accept(hello, lane, stream), done),
    )
    try {
      await this.listenForClients()
      await this.listenForHttp()
    } catch (error) {
      await this.closeToClients()
      await promised<void>((done) => (this.peerListener as Listener).close(done))
      throw error
    }
    this.controller?.start()
    const broker = this.broker
    if (broker !== null) this.ready = started(broker).then(() => gate.open())
    this.ready.catch(() => undefined)
  }

  stop(): Promise<void> {
    this.stopping ??= this.stopInOrder()
    return this.stopping
  }

  private async stopInOrder(): Promise<void> {
    const { broker, controller, peerListener, http } = this
    // A client that is left without an answer while the logs are closed waits for one, and does not go to the new leaders.
    const silent = (): void => void this.closeToClients().catch(() => undefined)
    if (broker !== null) await promised<void>((done) => broker.stop(done, silent))
    await http?.stop()
    await this.closeToClients()
    if (controller !== null) await promised<void>((done) => controller.stop(done))
    if (peerListener !== null) await promised<void>((done) => peerListener.close(done))
    this.world.log.info({}, 'node stopped')
  }

  private closeToClients(): Promise<void> {
    this.closedToClients ??= (async (): Promise<void> => {
      for (const listener of this.kafka) await promised<void>((done) => listener.stop(done))
    })()
    return this.closedToClients
  }

  private async listenForClients(): Promise<void> {
    const broker = this.broker
    if (broker === null) return
    const started: KafkaListener[] = []
    this.kafka = started
    for (const listener of this.config.listeners) {
      const kafka = createKafkaListener(broker.context, listener)
      await this.bind('listeners', listener.bind, (done: Done<Address>) => kafka.start(done))
      started.push(kafka)
    }
  }

  private async listenForHttp(): Promise<void> {
    const { broker, world } = this
    const { http } = this.config
    if (broker === null || http === null) return
    const endpoint = new HttpEndpoint(world, broker)
    await this.bind('http.listener', http.bind, (done: Done<Address>) => endpoint.start(http.bind, done))
    this.http = endpoint
  }

  /** A port that is taken is told with the key that names it. */
  private async bind<T>(key: string, at: Address, call: (done: Done<T>) => void): Promise<T> {
    try {
      return await promised<T>(call)
    } catch (error) {
      if ((error as { code?: string }).code !== 'EADDRINUSE') throw error
      throw new MillraceError('PORT_TAKEN', `Port ${at.port} on ${at.host} is taken by another program.`, {
        cause: error,
        fix: `Stop that program, or name another port in ${key}.`,
      })
    }
  }

  private accept(bytes: Uint8Array, lane: Lane, stream: PeerStream): Accepted | Refusal {
    let hello: Hello
    try {
      hello = Hello.decode(bytes)
    } catch (error) {
      if (error instanceof RpcDecodeError) return { refused: `not a hello: ${error.message}` }
      throw error
    }
    if (hello.purpose === 'replication' || hello.purpose === 'offsets')
      return this.broker?.accept(hello, lane, stream) ?? { refused: 'this node is not a broker' }
    return this.controller?.accept(hello, lane, stream) ?? { refused: 'this node is not a controller' }
  }

  private learnClusterId(id: Uuid): void {
    const known = this.directories.map((directory) => ({ ...directory, clusterId: id }))
    if (this.directories.every(({ clusterId }) => clusterId === id)) return
    this.directories = known
    const { timers } = this.world
    // In an event of its own: what ends the node may throw, and nobody waits for this promise.
    const failed = (error: unknown): unknown => timers.after(0, () => this.world.fatal('disk-failed', error))
    Promise.all(known.map((directory) => writeMeta(this.world, directory, this.config.nodeId))).catch(failed)
  }

  private directory(path: string): FormattedDirectory {
    return this.directories.find((directory) => directory.path === path) as FormattedDirectory
  }

  private controllerConfig(): Parameters<typeof createController>[1] {
    const { config } = this
    const { directoryId, clusterId, path } = this.directory(config.metadataDir)
    return {
      quorum: {
        nodeId: config.nodeId,
        directoryId,
        voters: config.voters,
        directory: `${path}/__cluster_metadata`,
        clusterId,
        electionTimeoutMs: config.number('controller.quorum.election.timeout.ms'),
        heartbeatMs: 100,
        snapshotMaxBytes: config.number('metadata.log.max.record.bytes.between.snapshots'),
      },
      clusterFormed: (id) => this.learnClusterId(id),
      properties: config.properties,
      sessionTimeoutMs: config.number('broker.session.timeout.ms'),
    }
  }

  private brokerConfig(): Parameters<typeof createBroker>[1] {
    const { config } = this
    return {
      nodeId: config.nodeId,
      clusterId: this.directories[0]?.clusterId ?? null,
      clusterIdLearned: (id) => this.learnClusterId(id),
      rack: config.rack,
      incarnationId: randomUuid(this.world.random),
      listeners: config.listeners,
      peerAddress: config.peer.advertised,
      httpAddress: config.http?.advertised ?? null,
      controllers: config.voters,
      logDirs: config.logDirs.map((path) => ({ path, directoryId: this.directory(path).directoryId })),
      flushMode: config.flushMode,
      properties: config.properties,
      heartbeatMs: config.number('broker.heartbeat.interval.ms'),
      sessionTimeoutMs: config.number('broker.session.timeout.ms'),
      replicaLagTimeMaxMs: config.number('replica.lag.time.max.ms'),
      maxRequestBytes: config.number('socket.request.max.bytes'),
      idleConnectionMs: config.number('connections.max.idle.ms'),
      controlledShutdownTimeoutMs: config.number('controlled.shutdown.timeout.ms'),
    }
  }
}

function started(broker: Broker): Promise<void> {
  return new Promise((resolve, reject) => broker.start((error) => (error === null ? resolve() : reject(error))))
}
