import type { PeerHandler, PeerStream } from '@millrace/base'
import { createImage } from '@millrace/metadata'
import type { PartitionImage } from '@millrace/metadata'
import { CreateTopicsApi } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { BrokerFrame, ControllerFrame } from '@millrace/rpc'
import type { Hello } from '@millrace/rpc'
import { decode, encodeToBytes } from '@millrace/schema'
import { createController } from '../src/index.ts'
import type { Controller } from '../src/index.ts'
import { FakeQuorum } from './fake-quorum.ts'
import { Dials, VirtualTime, virtualWorld } from './virtual-world.ts'

type Of<K extends ControllerFrame['kind']> = Extract<ControllerFrame, { readonly kind: K }>
type Sent<K extends BrokerFrame['kind']> = Extract<BrokerFrame, { readonly kind: K }>

/** A controller on a quorum of one, and brokers that speak to it by frames. */
export class Cluster {
  readonly time = new VirtualTime()
  readonly dials = new Dials()
  readonly controller: Controller
  readonly formed: string[] = []
  quorum!: FakeQuorum

  constructor(properties: Record<string, string> = {}) {
    this.controller = createController(
      virtualWorld(this.time, this.dials),
      {
        quorum: {
          nodeId: 100,
          directoryId: 'AAAAAAAAAAAAAAAAAAAAAQ',
          voters: [{ id: 100, address: { host: 'c', port: 9 } }],
          directory: '/none',
          clusterId: null,
          electionTimeoutMs: 1000,
          heartbeatMs: 100,
          snapshotMaxBytes: 1,
        },
        properties: new Map(Object.entries(properties)),
        sessionTimeoutMs: 9000,
        clusterFormed: (id) => this.formed.push(id),
      },
      (_world, _config, listener) => {
        this.quorum = new FakeQuorum(this.time, listener)
        return this.quorum
      },
    )
    this.controller.start()
  }

  /** The controller leads, and brokers with these ids are registered and unfenced. */
  static led(
    ids: readonly number[] = [],
    properties: Record<string, string> = {},
  ): { cluster: Cluster; brokers: FakeBroker[] } {
    const cluster = new Cluster(properties)
    cluster.quorum.lead()
    cluster.time.pass(10)
    const brokers = ids.map((id) => cluster.broker(id))
    for (const broker of brokers) {
      broker.join()
      broker.heartbeat()
    }
    return { cluster, brokers }
  }

  broker(id: number): FakeBroker {
    return new FakeBroker(this, id)
  }

  partition(topic: string, partition = 0): PartitionImage {
    return this.controller.image.topicByName(topic)?.partitions[partition] as PartitionImage
  }
}

let incarnations = 0

/** A broker as the controller sees it: it answers nothing by itself. */
export class FakeBroker {
  readonly id: number
  readonly incarnationId: string
  readonly image = createImage()
  readonly frames: ControllerFrame[] = []
  port = 9000
  epoch = -1
  closed: string | null = null
  /** Frames are kept in the stream, as by a slow network. */
  stalled = false
  private readonly cluster: Cluster
  private handler: PeerHandler | null = null
  private queue: Uint8Array[] = []
  private chunks: Uint8Array[] = []
  private stream: PeerStream | null = null

  constructor(cluster: Cluster, id: number, incarnationId = uuidOf(++incarnations)) {
    this.cluster = cluster
    this.id = id
    this.incarnationId = incarnationId
  }

  hello(more: Partial<Hello> = {}): Hello {
    return {
      purpose: 'broker',
      clusterId: 'the-cluster',
      nodeId: this.id,
      incarnationId: this.incarnationId,
      brokerEpoch: this.epoch,
      version: 1,
      blank: false,
      voters: [],
      leaderId: null,
      term: 0,
      ...more,
    }
  }

  /** Opens a stream; the reason when it is refused. */
  open(more: Partial<Hello> = {}): string | null {
    this.closed = null
    this.queue = []
    const stream: PeerStream = {
      send: (frame) => {
        if (this.stream !== stream) return false
        this.queue.push(frame.slice())
        if (!this.stalled) this.cluster.time.after(100, () => this.deliver())
        return true
      },
      sendParts: (parts) => stream.send(Buffer.concat(parts)),
      get queuedBytes() {
        return queued()
      },
      close: (reason) => {
        const { handler } = this
        this.cluster.time.after(200, () => {
          if (this.stream !== stream) return
          this.deliver()
          this.stream = null
          this.closed = reason
          handler?.closed('local', reason)
        })
      },
    }
    const queued = (): number => this.queue.reduce((sum, frame) => sum + frame.length, 0)
    this.stream = stream
    let refused: string | null = null
    this.cluster.time.turn(() => {
      const answer = this.cluster.controller.accept(this.hello(more), 'control', stream)
      if ('refused' in answer) refused = answer.refused
      else this.handler = answer.handler
    })
    return refused
  }

  /** Lets the stream move again what it held. */
  flow(): void {
    this.stalled = false
    this.deliver()
    this.cluster.time.turn(() => this.handler?.drained())
  }

  /** The connection breaks; the controller is told so. */
  break(): void {
    const { handler } = this
    this.stream = null
    this.handler = null
    this.queue = []
    this.cluster.time.turn(() => handler?.closed('broken', 'connection reset'))
  }

  send(frame: BrokerFrame): void {
    const bytes = BrokerFrame.encode(frame)
    this.cluster.time.turn(() => this.handler?.frame(bytes))
  }

  raw(bytes: Uint8Array): void {
    this.cluster.time.turn(() => this.handler?.frame(bytes))
  }

  register(more: Partial<Sent<'register'>> = {}): void {
    this.send({
      kind: 'register',
      brokerId: this.id,
      incarnationId: this.incarnationId,
      rack: null,
      listeners: [{ name: 'PEER', host: `b${this.id}`, port: this.port, securityProtocol: 'PLAINTEXT' }],
      directories: [uuidOf(1000 + this.id)],
      flushMode: 'fsync',
      previousBrokerEpoch: -1,
      damaged: [],
      appliedIndex: this.image.index === 0 ? -1 : this.image.index,
      version: 1,
      ...more,
    })
  }

  /** Opens a stream, registers and waits for the answer. */
  join(more: Partial<Sent<'register'>> = {}): this {
    this.open()
    this.register(more)
    this.cluster.time.pass(20)
    return this
  }

  /** A heartbeat and its reply. */
  heartbeat(more: Partial<Sent<'heartbeat'>> = {}): Of<'heartbeatReply'> | undefined {
    this.wantsNothing(more)
    this.cluster.time.pass(20)
    return this.last('heartbeatReply')
  }

  /** A heartbeat that nobody waits for. */
  wantsNothing(more: Partial<Sent<'heartbeat'>> = {}): void {
    this.send({
      kind: 'heartbeat',
      brokerEpoch: this.epoch,
      appliedIndex: this.image.index,
      wantShutdown: false,
      wantFence: false,
      offlineDirectories: [],
      ...more,
    })
  }

  /** An admin request in this version; its response, or the error that says it was not decided. */
  forward<Q, R>(api: Api<Q, R>, version: number, request: Q): { error: number; index: number; response: R | null } {
    this.send({
      kind: 'forward',
      requestId: 5,
      apiKey: api.key,
      apiVersion: version,
      clientId: 'test',
      principal: 'User:ANONYMOUS',
      body: encodeToBytes(api.request, version, request),
    })
    this.cluster.time.pass(20)
    const reply = this.last('forwardReply')
    if (reply === undefined) return { error: -2, index: -1, response: null }
    const response = reply.error === 0 ? decode(api.response, version, reply.body) : null
    return { error: reply.error, index: reply.index, response }
  }

  createTopic(name: string, replicas: readonly (readonly number[])[], configs: Record<string, string> = {}): void {
    this.forward(CreateTopicsApi, 7, {
      topics: [
        {
          name,
          numPartitions: -1,
          replicationFactor: -1,
          assignments: replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 1000,
      validateOnly: false,
    })
  }

  all<K extends ControllerFrame['kind']>(kind: K): Of<K>[] {
    return this.frames.filter((frame): frame is Of<K> => frame.kind === kind)
  }

  last<K extends ControllerFrame['kind']>(kind: K): Of<K> | undefined {
    return this.all(kind).at(-1)
  }

  private deliver(): void {
    for (const bytes of this.queue.splice(0)) this.receive(ControllerFrame.decode(bytes))
  }

  private receive(frame: ControllerFrame): void {
    this.frames.push(frame)
    if (frame.kind === 'registered') this.epoch = frame.brokerEpoch
    if (frame.kind === 'records') for (const { index, payload } of frame.entries) this.image.apply(index, payload)
    if (frame.kind !== 'snapshot') return
    this.chunks.push(frame.data)
    if (!frame.last) return
    this.image.load(frame.index, new Uint8Array(Buffer.concat(this.chunks.splice(0))))
  }
}

export function uuidOf(n: number): string {
  return `${String(n).padStart(21, 'A')}A`
}
