import { ErrorCode, type PeerStream } from '@millrace/base'
import { type DirectNetwork, SeededRandom } from '@millrace/host'
import {
  type Ask,
  type Answer,
  createControllerMachine,
  encodeBatch,
  type MetadataRecord,
  type QuestionKind,
} from '@millrace/metadata'
import { BrokerFrame, ControllerFrame, Hello } from '@millrace/rpc'

export const CLUSTER = 'MkU3OEVBNTcwNTJENDM2Qg'
const TERM = 1

type FrameOf<K extends BrokerFrame['kind']> = Extract<BrokerFrame, { kind: K }>

interface Session {
  readonly stream: PeerStream
  brokerId: number
  brokerEpoch: number
  sent: number
}

export interface FakeControllerOptions {
  readonly name: string
  readonly network: DirectNetwork
  readonly properties?: ReadonlyMap<string, string>
}

/** One controller without consensus: the real decisions, committed at once. Tests reach into it to delay, refuse and change minds. */
export class FakeController {
  readonly name: string
  readonly machine
  readonly sessions = new Map<number, Session>()
  /** Frames that it got, by kind, for tests that count. */
  readonly received: BrokerFrame[] = []
  /** Answers nothing while true. */
  mute = false
  /** Does not hear of quarantines. */
  deaf = false
  /** Refuses registrations with this. */
  refuse: { error: number; message: string; retriable: boolean } | null = null
  /** Sends brokers elsewhere. */
  notLeader: { leaderId: number; term: number } | null = null
  term = TERM
  /** Answers Forward frames; the index is that of the last decision. */
  onForward: ((frame: FrameOf<'forward'>) => { error: number; body: Uint8Array } | null) | null = null
  /** Judges proposals before the machine does; a code refuses. */
  onAlter: ((frame: FrameOf<'alterPartitions'>) => 'ignore' | null) | null = null
  private readonly entries: { index: number; payload: Uint8Array }[] = []
  private index = 0

  constructor(options: FakeControllerOptions) {
    this.name = options.name
    const properties = options.properties ?? new Map([['default.replication.factor', '1']])
    this.machine = createControllerMachine({ random: new SeededRandom(options.name), properties })
    this.decide({ kind: 'formCluster', clusterId: CLUSTER })
    options.network.peers(options.name).listen(
      { host: options.name, port: 1 },
      (hello, lane, stream) => {
        const from = Hello.decode(hello)
        if (lane !== 'control' || from.purpose !== 'broker') return { refused: 'not for a controller' }
        const session: Session = { stream, brokerId: from.nodeId, brokerEpoch: -1, sent: -1 }
        return {
          hello: Hello.encode({ ...from, nodeId: 100, clusterId: CLUSTER }),
          handler: {
            opened: () => {},
            frame: (bytes) => this.take(session, BrokerFrame.decode(bytes)),
            drained: () => {},
            closed: () => {
              if (this.sessions.get(session.brokerId) === session) this.sessions.delete(session.brokerId)
            },
          },
        }
      },
      () => {},
    )
  }

  get image() {
    return this.machine.image
  }

  /** Decides, commits, and tells every broker. */
  decide<K extends QuestionKind>(request: Ask<K>): Answer<K> {
    const { records, response } = this.machine.handle(request, 0)
    this.commit(records)
    return response
  }

  commit(records: readonly MetadataRecord[]): void {
    if (records.length === 0) return
    this.index++
    for (const record of records) this.machine.replay(record, this.index)
    this.entries.push({ index: this.index, payload: encodeBatch(records) })
    for (const session of this.sessions.values()) this.push(session)
  }

  fence(brokerId: number): void {
    const broker = this.image.brokers.get(brokerId)
    if (broker !== undefined) this.decide({ kind: 'fenceBroker', brokerId, brokerEpoch: broker.epoch })
  }

  createTopic(
    name: string,
    assignments: readonly (readonly number[])[],
    configs: Readonly<Record<string, string>> = {},
  ): string {
    const [created] = this.decide({
      kind: 'createTopics',
      validateOnly: false,
      topics: [
        {
          name,
          partitions: -1,
          replicationFactor: -1,
          assignments: assignments.map((replicas, partition) => ({ partition, replicas })),
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
    })
    if (created === undefined || created.error !== ErrorCode.NONE) throw new Error(`topic ${name}: ${created?.message}`)
    return created.topicId
  }

  deleteTopic(name: string): void {
    this.decide({ kind: 'deleteTopics', topics: [{ name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] })
  }

  /** The partition as committed. */
  partition(topic: string, partition = 0) {
    const found = this.image.topicByName(topic)?.partitions[partition]
    if (found === undefined) throw new Error(`no ${topic}-${partition}`)
    return found
  }

  /** Changes a partition beside all rules: for states that only a longer story would lead to. */
  force(
    topic: string,
    change: { leader?: number; isr?: readonly number[]; elr?: readonly number[]; recovering?: boolean },
  ): void {
    const now = this.partition(topic)
    const { topicId, partition } = now
    const leader = change.leader ?? now.leader
    this.commit([
      {
        name: 'partitionChange',
        value: {
          topicId,
          partition,
          leader,
          leaderEpoch: now.leaderEpoch + (change.leader === undefined ? 0 : 1),
          partitionEpoch: now.partitionEpoch + 1,
          leaderRecovery: change.recovering === true ? 1 : 0,
          isr: change.isr ?? null,
          elr: change.elr ?? null,
          lastKnownElr: null,
          directories: null,
          replicas: null,
          addingReplicas: null,
          removingReplicas: null,
        },
      },
    ])
  }

  /** Breaks all streams of brokers, as a controller does that loses leadership. */
  dropAll(): void {
    for (const { stream } of this.sessions.values()) stream.close('not the leader any more')
    this.sessions.clear()
  }

  private take(session: Session, frame: BrokerFrame): void {
    this.received.push(frame)
    if (this.mute) return
    if (this.notLeader !== null) return this.send(session, { kind: 'notLeader', ...this.notLeader })
    switch (frame.kind) {
      case 'register':
        return this.register(session, frame)
      case 'heartbeat':
        return this.heartbeat(session, frame)
      case 'alterPartitions':
        return this.alter(session, frame)
      case 'quarantined': {
        if (this.deaf) return
        const { brokerId, brokerEpoch } = session
        this.decide({ kind: 'quarantine', brokerId, brokerEpoch, partitions: frame.partitions })
        return
      }
      case 'allocateProducerIds': {
        const { brokerId, brokerEpoch } = session
        const { error, first, count } = this.decide({ kind: 'allocateProducerIds', brokerId, brokerEpoch })
        return this.send(session, { kind: 'producerIds', requestId: frame.requestId, error, first, count })
      }
      case 'forward': {
        const answer = this.onForward?.(frame) ?? null
        if (answer !== null)
          this.send(session, { kind: 'forwardReply', requestId: frame.requestId, index: this.index, ...answer })
      }
    }
  }

  private register(session: Session, frame: FrameOf<'register'>): void {
    if (this.refuse !== null) return this.send(session, { kind: 'registrationRefused', ...this.refuse })
    const answer = this.decide({
      kind: 'registerBroker',
      brokerId: frame.brokerId,
      incarnationId: frame.incarnationId,
      rack: frame.rack,
      endpoints: frame.listeners,
      directories: frame.directories,
      flushMode: frame.flushMode,
      protocolVersion: frame.version,
      previousBrokerEpoch: frame.previousBrokerEpoch,
      damaged: frame.damaged,
      previousIsLive: false,
    })
    if (answer.error !== ErrorCode.NONE)
      return this.send(session, {
        kind: 'registrationRefused',
        error: answer.error,
        message: answer.message ?? '',
        retriable: false,
      })
    session.brokerEpoch = answer.brokerEpoch ?? this.index
    session.sent = frame.appliedIndex
    this.send(session, { kind: 'registered', brokerEpoch: session.brokerEpoch, clusterId: CLUSTER, term: this.term })
    this.sessions.set(session.brokerId, session)
    if (frame.appliedIndex < 0) this.pushSnapshot(session)
    this.push(session)
  }

  private heartbeat(session: Session, frame: FrameOf<'heartbeat'>): void {
    const { brokerId } = session
    const { brokerEpoch, appliedIndex, wantFence, wantShutdown, offlineDirectories } = frame
    const answer = this.decide({
      kind: 'heartbeat',
      brokerId,
      brokerEpoch,
      appliedIndex,
      wantFence,
      wantShutdown,
      offlineDirectories,
    })
    const leads = [...this.image.partitionsOf(brokerId)].some(({ leader }) => leader === brokerId)
    const mayShutDown = answer.shuttingDown && !leads
    const { error, fenced } = answer
    this.send(session, { kind: 'heartbeatReply', brokerEpoch, error, fenced, mayShutDown, committedIndex: this.index })
  }

  private alter(session: Session, frame: FrameOf<'alterPartitions'>): void {
    if (this.onAlter?.(frame) === 'ignore') return
    const { brokerId } = session
    const items = this.decide({ kind: 'alterPartitions', brokerId, brokerEpoch: frame.brokerEpoch, items: frame.items })
    this.send(session, { kind: 'alterReply', items })
  }

  private pushSnapshot(session: Session): void {
    const whole = this.machine.snapshot()
    const half = Math.floor(whole.length / 2)
    const common = { kind: 'snapshot', index: this.index, term: this.term } as const
    this.send(session, { ...common, data: whole.slice(0, half), last: false })
    this.send(session, { ...common, data: whole.slice(half), last: true })
    session.sent = this.index
  }

  private push(session: Session): void {
    const entries = this.entries
      .filter(({ index }) => index > session.sent)
      .map((entry) => ({ ...entry, term: this.term }))
    if (entries.length === 0) return
    session.sent = this.index
    this.send(session, { kind: 'records', entries, committedIndex: this.index })
  }

  private send(session: Session, frame: ControllerFrame): void {
    session.stream.send(ControllerFrame.encode(frame))
  }
}
