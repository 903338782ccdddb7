import { ErrorCode } from '@millrace/base'
import type { PeerStream, World } from '@millrace/base'
import type { Answer, ControllerMachine } from '@millrace/metadata'
import type { BrokerFrame, Hello, Register } from '@millrace/rpc'
import type { Admin } from './admin/admin.ts'
import { BrokerSession, refusal } from './broker-session.ts'
import type { Office } from './broker-session.ts'
import type { Committed } from './committed.ts'
import { peerAddress } from './liveness.ts'
import type { Liveness } from './liveness.ts'
import type { Proposals } from './proposals.ts'

type Frame<K extends BrokerFrame['kind']> = Extract<BrokerFrame, { readonly kind: K }>

export interface OfficeParts {
  readonly world: World
  readonly committed: Committed
  readonly machine: ControllerMachine
  readonly admin: Admin
  readonly proposals: Proposals
  readonly liveness: Liveness
  readonly term: number
  readonly clusterId: string
}

/** All broker streams of the active controller. What a stream says counts only while it is open. */
export class BrokerOffice implements Office {
  private readonly parts: OfficeParts
  private readonly sessions = new Set<BrokerSession>()
  /** The registered one of each broker. */
  private readonly byBroker = new Map<number, BrokerSession>()

  constructor(parts: OfficeParts) {
    this.parts = parts
  }

  open(hello: Hello, stream: PeerStream): BrokerSession {
    const { committed, world } = this.parts
    const session = new BrokerSession(hello, stream, { office: this, committed, world })
    this.sessions.add(session)
    return session
  }

  /** Sends every registered broker what was committed since. */
  pump(): void {
    for (const session of this.byBroker.values()) session.feed.pump()
    for (const session of this.byBroker.values()) if (session.leavingSince !== null) this.release(session)
  }

  hangUp(brokerId: number, reason: string): void {
    const session = this.byBroker.get(brokerId)
    if (session === undefined) return
    session.close(reason)
    this.forget(session)
  }

  dismiss(leader: number | null, term: number): void {
    for (const session of this.sessions) {
      session.send({ kind: 'notLeader', leaderId: leader ?? -1, term })
      session.close('another controller leads')
    }
    this.sessions.clear()
    this.byBroker.clear()
  }

  heard(session: BrokerSession): void {
    if (this.byBroker.get(session.brokerId) === session) this.parts.liveness.heard(session.brokerId)
  }

  ended(session: BrokerSession): void {
    const current = this.byBroker.get(session.brokerId) === session
    this.forget(session)
    if (current) this.parts.liveness.broke(session.brokerId, session.incarnationId)
  }

  register(session: BrokerSession, frame: Register): void {
    const { proposals, liveness, machine, world } = this.parts
    const old = machine.image.brokers.get(frame.brokerId)
    const previousIsLive = old !== undefined && liveness.mayBeAlive(old, peerAddress({ endpoints: frame.listeners }))
    proposals.ask(
      {
        ...frame,
        kind: 'registerBroker',
        endpoints: frame.listeners,
        protocolVersion: frame.version,
        previousIsLive,
      },
      (answer, index) => this.registered(session, frame, answer, index),
    )
    // From its decision on, not only from its commit, an incarnation keeps others out.
    if (machine.image.brokers.get(frame.brokerId)?.incarnationId !== session.incarnationId) return
    this.replace(session)
    liveness.connected(session.brokerId, session.incarnationId)
    world.log.info({ broker: frame.brokerId, incarnation: frame.incarnationId }, 'broker registers')
  }

  heartbeat(session: BrokerSession, frame: Frame<'heartbeat'>): void {
    const { proposals } = this.parts
    proposals.ask({ ...frame, brokerId: session.brokerId }, (answer, index) => {
      if (answer === null || !session.isOpen) return
      if (answer.shuttingDown && !answer.fenced) session.leavingSince ??= index
      const mayShutDown = answer.fenced && answer.shuttingDown
      this.replyHeartbeat(session, frame.brokerEpoch, answer, mayShutDown)
      if (session.leavingSince !== null && !answer.fenced) this.release(session)
    })
  }

  alterPartitions(session: BrokerSession, frame: Frame<'alterPartitions'>): void {
    this.parts.proposals.ask({ ...frame, brokerId: session.brokerId }, (items) => {
      if (items !== null) session.send({ kind: 'alterReply', items })
    })
  }

  forward(session: BrokerSession, frame: Frame<'forward'>): void {
    this.parts.admin.handle(frame, ({ error, index, body }) => {
      session.send({ kind: 'forwardReply', requestId: frame.requestId, error, index, body })
    })
  }

  quarantined(session: BrokerSession, frame: Frame<'quarantined'>): void {
    const { proposals, world } = this.parts
    for (const { topicId, partition, reason, blank } of frame.partitions)
      world.log.warn({ broker: session.brokerId, topicId, partition, reason, blank }, 'replica quarantined')
    proposals.ask({ ...frame, kind: 'quarantine', brokerId: session.brokerId }, () => {})
  }

  allocateProducerIds(session: BrokerSession, frame: Frame<'allocateProducerIds'>): void {
    const { requestId, brokerEpoch } = frame
    this.parts.proposals.ask({ kind: 'allocateProducerIds', brokerId: session.brokerId, brokerEpoch }, (answer) => {
      const { error, first, count } = answer ?? { error: ErrorCode.NOT_CONTROLLER, first: -1, count: 0 }
      session.send({ kind: 'producerIds', requestId, error, first, count })
    })
  }

  private registered(
    session: BrokerSession,
    frame: Register,
    answer: Answer<'registerBroker'> | null,
    index: number,
  ): void {
    const { clusterId, term, world } = this.parts
    if (answer === null || !session.isOpen) return
    if (answer.error !== ErrorCode.NONE) {
      world.log.warn({ broker: session.brokerId, error: answer.error, message: answer.message }, 'broker refused')
      session.send(refusal(answer.error, answer.message))
      session.close(answer.message ?? 'refused')
      this.forget(session)
      return
    }
    session.brokerEpoch = answer.brokerEpoch ?? index
    session.send({ kind: 'registered', brokerEpoch: session.brokerEpoch, clusterId, term })
    session.feed.start(frame.appliedIndex)
  }

  /** The newest stream of an incarnation counts; an older one that is still open is a leftover of a broken connection. */
  private replace(session: BrokerSession): void {
    const old = this.byBroker.get(session.brokerId)
    this.byBroker.set(session.brokerId, session)
    if (old === undefined || old === session) return
    old.close('a newer stream of this broker took over')
    this.sessions.delete(old)
  }

  /** A broker that leaves may go once it is out of everything and all others were sent where its leaderships went. */
  private release(session: BrokerSession): void {
    const since = session.leavingSince
    if (since === null || session.brokerEpoch === null) return
    for (const other of this.byBroker.values()) if (other !== session && other.feed.sentIndex < since) return
    session.leavingSince = null
    const brokerEpoch = session.brokerEpoch
    this.parts.proposals.ask({ kind: 'fenceBroker', brokerId: session.brokerId, brokerEpoch }, (answer) => {
      if (answer === null) return
      this.replyHeartbeat(session, brokerEpoch, { error: answer.error, fenced: true }, true)
    })
  }

  private replyHeartbeat(
    session: BrokerSession,
    brokerEpoch: number,
    { error, fenced }: Pick<Answer<'heartbeat'>, 'error' | 'fenced'>,
    mayShutDown: boolean,
  ): void {
    const committedIndex = this.parts.committed.index
    // A broker that slept takes this as proof of its epoch, so it must not come before the metadata that ended that.
    session.feed.pump()
    session.send({ kind: 'heartbeatReply', brokerEpoch, error, fenced, mayShutDown, committedIndex })
  }

  private forget(session: BrokerSession): void {
    this.sessions.delete(session)
    if (this.byBroker.get(session.brokerId) === session) this.byBroker.delete(session.brokerId)
  }
}
