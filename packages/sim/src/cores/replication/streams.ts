import type { Random } from '@millrace/base'
import type { ModelMessage } from '@millrace/replication/model'
import type { Agenda } from '../agenda.ts'
import { chance } from '../chance.ts'
import type { SimBroker } from './broker.ts'

const FOLLOWERS_WORDS: ReadonlySet<ModelMessage['kind']> = new Set(['follow', 'unfollow', 'ack'])

interface Stream {
  readonly follower: SimBroker
  readonly leader: SimBroker
  readonly brokerEpoch: number
  readonly incarnations: ReadonlyMap<SimBroker, number>
  broken: boolean
  /** When the last message of each direction arrives: messages keep their order. */
  toLeaderUs: number
  toFollowerUs: number
}

/** One ordered stream for each ordered pair of brokers, opened by the follower, carrying both directions; it may break at any time. */
export class Streams {
  private readonly open = new Map<string, Stream>()
  private readonly cut = new Set<string>()
  private readonly agenda: Agenda
  private readonly random: Random
  private readonly brokers: readonly SimBroker[]
  /** Mean delay of a message. */
  delayUs = 2_000

  constructor(agenda: Agenda, random: Random, brokers: readonly SimBroker[]) {
    this.agenda = agenda
    this.random = random
    this.brokers = brokers
  }

  /** The follower's node dials; what is not up yet is dialled again later. */
  dial(follower: SimBroker, leader: SimBroker): void {
    const { incarnation } = follower
    this.agenda.after(1_000 + this.random.below(100_000), () => {
      if (!follower.up || follower.incarnation !== incarnation) return
      if (follower.node === null || !leader.up || this.cut.has(pairOf(follower, leader))) this.dial(follower, leader)
      else this.opened(follower, leader)
    })
  }

  private opened(follower: SimBroker, leader: SimBroker): void {
    const key = `${follower.id}>${leader.id}`
    if (this.open.has(key)) return
    const now = this.agenda.nowUs
    const { brokerEpoch } = follower
    const incarnations = new Map([follower, leader].map((broker) => [broker, broker.incarnation]))
    const stream = {
      follower,
      leader,
      brokerEpoch,
      incarnations,
      broken: false,
      toLeaderUs: now,
      toFollowerUs: now,
    }
    this.open.set(key, stream)
    follower.act(() => follower.step({ kind: 'peerOpened', peer: leader.id }))
  }

  send(from: SimBroker, message: ModelMessage): void {
    const asFollower = FOLLOWERS_WORDS.has(message.kind)
    const key = asFollower ? `${from.id}>${message.to}` : `${message.to}>${from.id}`
    const stream = this.open.get(key)
    if (stream === undefined || stream.broken) return
    const delay = this.random.below(2 * this.delayUs) + (chance(this.random, 1) ? 100_000 : 0)
    const after = asFollower ? stream.toLeaderUs : stream.toFollowerUs
    const at = Math.max(after + 1, this.agenda.nowUs + delay)
    if (asFollower) stream.toLeaderUs = at
    else stream.toFollowerUs = at
    const to = asFollower ? stream.leader : stream.follower
    this.agenda.at(at, () => this.arrive(stream, from, to, message))
  }

  private arrive(stream: Stream, from: SimBroker, to: SimBroker, message: ModelMessage): void {
    if (!stream.broken) {
      this.deliver(stream, from, to, message)
      return
    }
    // What was on its way when the stream broke may be lost, or read much later, after a new stream was opened.
    if (chance(this.random, 50)) return
    this.agenda.after(this.random.below(3_000_000), () => this.deliver(stream, from, to, message))
  }

  private deliver(stream: Stream, from: SimBroker, to: SimBroker, message: ModelMessage): void {
    if (stream.incarnations.get(to) !== to.incarnation) return
    to.act(() => {
      if (to.node !== null) to.receive(from.id, stream.brokerEpoch, message)
      else if (message.kind === 'follow')
        this.send(to, { kind: 'refused', to: from.id, session: message.session, code: 'retry' })
    })
  }

  /** Both sides hear of it, each in its own time and after the last message that still arrives; the follower dials again. */
  break(followerId: number, leaderId: number): void {
    const key = `${followerId}>${leaderId}`
    const stream = this.open.get(key)
    if (stream === undefined || stream.broken) return
    stream.broken = true
    const { follower, leader } = stream
    const heard = { follower: !follower.up, leader: !leader.up }
    const hear = (side: 'follower' | 'leader', atUs: number): void => {
      const self = side === 'follower' ? follower : leader
      const peer = side === 'follower' ? leader : follower
      const { incarnation } = self
      this.agenda.at(atUs, () => {
        if (self.up && self.incarnation === incarnation)
          self.act(() => self.step({ kind: 'peerClosed', peer: peer.id }))
        heard[side] = true
        if (!heard.follower || !heard.leader) return
        this.open.delete(key)
        if (follower.up) this.dial(follower, leader)
      })
    }
    const lastUs = Math.max(this.agenda.nowUs, stream.toLeaderUs, stream.toFollowerUs)
    hear('follower', lastUs + this.noticeUs())
    hear('leader', lastUs + this.noticeUs())
  }

  /** Mostly a reset; sometimes only a timeout tells. */
  private noticeUs(): number {
    return 1 + this.random.below(chance(this.random, 15) ? 4_000_000 : 50_000)
  }

  breakAllOf(broker: SimBroker): void {
    for (const other of this.brokers) {
      this.break(broker.id, other.id)
      this.break(other.id, broker.id)
    }
  }

  partition(a: SimBroker, b: SimBroker): void {
    this.cut.add(pairOf(a, b))
    this.break(a.id, b.id)
    this.break(b.id, a.id)
  }

  heal(): void {
    this.cut.clear()
  }

  /** A new process dials everybody. */
  started(broker: SimBroker): void {
    for (const other of this.brokers) if (other !== broker) this.dial(broker, other)
  }
}

function pairOf(a: SimBroker, b: SimBroker): string {
  return a.id < b.id ? `${a.id}-${b.id}` : `${b.id}-${a.id}`
}
