import {
  createPartition,
  type BrokerState,
  type PartitionInput,
  type PartitionMachine,
  type PartitionOutput,
} from '@millrace/replication'
import { bentMachine } from '../bent.ts'

type Create = typeof createPartition

const Bent = bentMachine<PartitionMachine>()

function bend(change: (inner: PartitionMachine, input: PartitionInput, own: OwnEnd) => PartitionInput | null): Create {
  return (identity, log, history, config) => {
    const own = new OwnEnd(log.endOffset, log.generation)
    const bent = new (class extends Bent {
      override step(input: PartitionInput): PartitionOutput {
        own.see(input)
        const changed = change(this.inner, input, own)
        // An input that is swallowed becomes one that means nothing.
        return this.inner.step(changed ?? { kind: 'peerOpened', peer: -1 })
      }
    })(createPartition(identity, log, history, config))
    return bent
  }
}

/** Where the log ends, from the inputs alone. */
class OwnEnd {
  endOffset: number
  generation: number

  constructor(endOffset: number, generation: number) {
    this.endOffset = endOffset
    this.generation = generation
  }

  see(input: PartitionInput): void {
    if (input.kind === 'appended' || input.kind === 'truncated') {
      this.endOffset = input.endOffset
      this.generation = input.generation
    } else if (input.kind === 'fromLeader' && input.message.kind === 'append') this.endOffset = input.message.endOffset
  }
}

/** Where a bug needs a rare coincidence: weights of faults under which it is less rare. */
export const PROVOKED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'an ack of an old session counts': {
    every: 30_000,
    moveLeadership: 20,
    breakStream: 20,
    slowNetwork: 5,
  },
  'a durable report from before a truncation counts': { moveLeadership: 20, breakStream: 5, powerCut: 3 },
  'broker epochs are not looked at': { wipe: 10, crash: 0, powerCut: 0 },
  'an epoch that was begun without a record is kept': { moveLeadership: 10, crash: 5, breakStream: 5 },
  'the watermark is written down before what it covers': {
    every: 100_000,
    moveLeadership: 20,
    powerCut: 10,
    slowNetwork: 10,
    partition: 10,
  },
  'a refused follower never asks again': { moveLeadership: 10, bumpEpoch: 10, slowNetwork: 5 },
  'a lost answer is never asked for again': { changeController: 20, breakStream: 20 },
}

/** Bugs that the simulation has to find: each is one of the rules, broken. */
export const PLANTED: Readonly<Record<string, Create>> = {
  'an ack of an old session counts': bend((inner, input) => {
    if (input.kind !== 'ack') return input
    const session = inner.followers.find((follower) => follower.brokerId === input.from)?.session
    return session === undefined ? input : { ...input, session }
  }),

  'an ack counts what was sent instead of what was promised': bend((inner, input, own) =>
    input.kind === 'ack' && inner.role === 'leader' ? { ...input, durableEnd: own.endOffset } : input,
  ),

  'a follower promises what is not on its disk': (identity, log, history, config) =>
    createPartition(identity, log, history, { ...config, flushMode: 'pagecache' }),

  'a durable report from before a truncation counts': bend((_inner, input, own) =>
    input.kind === 'durable'
      ? { ...input, generation: own.generation, endOffset: Math.min(input.endOffset, own.endOffset) }
      : input,
  ),

  'any log is taken for a prefix': bend((_inner, input, own) =>
    input.kind === 'follow' ? { ...input, endOffset: Math.min(input.endOffset, own.endOffset), lastEpoch: -1 } : input,
  ),

  'min.insync.replicas does not hold the watermark': bend((_inner, input) =>
    input.kind === 'metadata' ? { ...input, state: { ...input.state, minInsyncReplicas: 1, elr: [] } } : input,
  ),

  'a reply frees the watermark before metadata does': (identity, log, history, config) =>
    new Hasty(createPartition(identity, log, history, config)),

  'a pending expansion is not waited for': (identity, log, history, config) =>
    new Impatient(createPartition(identity, log, history, config), 'expansion'),

  'a pending shrink is taken for granted': (identity, log, history, config) =>
    new Impatient(createPartition(identity, log, history, config), 'shrink'),

  'whoever follows is proposed for the ISR': (identity, log, history, config) =>
    new Welcoming(createPartition(identity, log, history, config)),

  'the own log alone decides the watermark': (identity, log, history, config) => {
    const own = new OwnEnd(log.endOffset, log.generation)
    return new (class extends Bent {
      override get highWatermark(): number {
        return this.inner.role === 'leader' ? own.endOffset : this.inner.highWatermark
      }
      override step(input: PartitionInput): PartitionOutput {
        own.see(input)
        return this.inner.step(input)
      }
    })(createPartition(identity, log, history, config))
  },

  'batches are written wherever they belong': (identity, log, history, config) =>
    new (class extends Bent {
      override mayWrite(): boolean {
        return true
      }
    })(createPartition(identity, log, history, config)),

  'an epoch that was begun without a record is kept': (identity, log, history, config) => {
    const own = new OwnEnd(log.endOffset, log.generation)
    return new (class extends Bent {
      override step(input: PartitionInput): PartitionOutput {
        own.see(input)
        const output = this.inner.step(input)
        if (output.truncateTo !== own.endOffset) return output
        return this.inner.step({ kind: 'truncated', endOffset: own.endOffset, generation: own.generation })
      }
    })(createPartition(identity, log, history, config))
  },

  'the watermark is written down before what it covers': (identity, log, history, config) =>
    new (class extends Bent {
      override get durableHighWatermark(): number {
        return this.inner.highWatermark
      }
    })(createPartition(identity, log, history, config)),

  'broker epochs are not looked at': (identity, log, history, config) =>
    new EpochBlind(createPartition(identity, log, history, config)),

  'a log is truncated to the watermark': (identity, log, history, config) =>
    new TruncatesToWatermark(createPartition(identity, log, history, config), log.endOffset),

  'divergence is not asked for': bend((inner, input) =>
    input.kind === 'fromLeader' && input.message.kind === 'diverging'
      ? {
          kind: 'fromLeader',
          from: input.from,
          message: {
            kind: 'accepted',
            session: input.message.session,
            leaderEpoch: inner.leaderEpoch,
            highWatermark: 0,
            logStart: 0,
          },
        }
      : input,
  ),

  'leadership changes go unnoticed by waiters': (identity, log, history, config) =>
    new (class extends Bent {
      override step(input: PartitionInput): PartitionOutput {
        return { ...this.inner.step(input), failWaitersOfEpoch: null }
      }
    })(createPartition(identity, log, history, config)),

  'a new leader says that it knows the latest offset': (identity, log, history, config) =>
    new (class extends Bent {
      override get latestKnown(): boolean {
        return true
      }
    })(createPartition(identity, log, history, config)),

  'an old leader goes on after it was deposed': bend((inner, input) =>
    input.kind === 'metadata' &&
    inner.role === 'leader' &&
    input.state.leaderEpoch > inner.leaderEpoch &&
    input.state.leader !== -1
      ? { ...input, state: { ...input.state, leaderEpoch: inner.leaderEpoch, leader: input.state.leader } }
      : input,
  ),

  'a lost answer is never asked for again': bend((_inner, input) =>
    input.kind === 'alterReply' && input.result.kind === 'lost' ? null : input,
  ),

  'a refused follower never asks again': bend((_inner, input) =>
    input.kind === 'fromLeader' && input.message.kind === 'refused' ? null : input,
  ),
}

/** Believes its own proposals: takes them back at once (expansion), or takes them for applied (shrink), while the controller decides. */
class Impatient extends Bent {
  private readonly about: 'expansion' | 'shrink'
  private remembered: (PartitionInput & { kind: 'metadata' }) | null = null

  constructor(inner: PartitionMachine, about: 'expansion' | 'shrink') {
    super(inner)
    this.about = about
  }

  override step(input: PartitionInput): PartitionOutput {
    if (input.kind === 'metadata') this.remembered = input
    const isr = [...this.inner.isr]
    const output = { ...this.inner.step(input) }
    const { alter } = output
    if (alter === null) return output
    const proposed = alter.isr.map((member) => member.brokerId)
    const grows = proposed.some((id) => !isr.includes(id))
    if (grows !== (this.about === 'expansion')) return output
    if (grows)
      this.inner.step({
        kind: 'alterReply',
        requestId: alter.requestId,
        result: { kind: 'rejected', error: 107 },
      })
    else this.believe(proposed)
    return { ...output, highWatermark: this.inner.highWatermark }
  }

  private believe(isr: readonly number[]): void {
    if (this.remembered === null) return
    const { state, brokers } = this.remembered
    this.inner.step({ kind: 'metadata', state: { ...state, isr, elr: [] }, brokers })
  }
}

/** Proposes whoever follows. */
class Welcoming extends Bent {
  private partitionEpoch = 0
  private requests = 1_000_000

  override step(input: PartitionInput): PartitionOutput {
    if (input.kind === 'metadata') this.partitionEpoch = input.state.partitionEpoch
    const output = this.inner.step(input)
    const epochs = new Map<number, number>()
    if (input.kind === 'metadata') for (const [id, { epoch }] of input.brokers) epochs.set(id, epoch)
    const isr = [...new Set([...this.inner.isr, ...this.inner.followers.map((follower) => follower.brokerId)])]
    if (output.alter !== null || isr.length === this.inner.isr.length || epochs.size === 0) return output
    const members = isr.map((brokerId) => ({ brokerId, brokerEpoch: epochs.get(brokerId) ?? -1 }))
    const { partitionEpoch } = this
    const { leaderEpoch } = this.inner
    return { ...output, alter: { requestId: this.requests++, leaderEpoch, partitionEpoch, isr: members } }
  }
}

/** Takes an applied reply for the whole news. */
class Hasty extends Bent {
  private seen: (PartitionInput & { kind: 'metadata' }) | null = null

  override step(input: PartitionInput): PartitionOutput {
    if (input.kind === 'metadata') this.seen = input
    const output = this.inner.step(input)
    if (input.kind !== 'alterReply' || input.result.kind !== 'applied' || this.seen === null) return output
    const { isr, partitionEpoch, leaderEpoch } = input.result
    const { state, brokers } = this.seen
    if (leaderEpoch !== state.leaderEpoch) return output
    return this.inner.step({ kind: 'metadata', state: { ...state, isr, elr: [], partitionEpoch }, brokers })
  }
}

/** Knows brokers by their ids alone (before KIP-903). */
class EpochBlind extends Bent {
  private brokers: ReadonlyMap<number, BrokerState> = new Map()

  override step(input: PartitionInput): PartitionOutput {
    if (input.kind === 'metadata') this.brokers = input.brokers
    const output = this.inner.step(this.blinded(input))
    const { alter } = output
    if (alter === null) return output
    const isr = alter.isr.map((member) => ({
      brokerId: member.brokerId,
      brokerEpoch: this.brokers.get(member.brokerId)?.epoch ?? -1,
    }))
    return { ...output, alter: { ...alter, isr } }
  }

  private blinded(input: PartitionInput): PartitionInput {
    if (input.kind === 'follow') return { ...input, brokerEpoch: 1 }
    if (input.kind !== 'metadata') return input
    const brokers = new Map([...input.brokers].map(([id, broker]) => [id, { ...broker, epoch: 1 }]))
    return { ...input, brokers }
  }
}

/** Before KIP-101: whoever begins to follow cuts its log at its own watermark first. */
class TruncatesToWatermark extends Bent {
  private endOffset: number
  private cutting = false

  constructor(inner: PartitionMachine, endOffset: number) {
    super(inner)
    this.endOffset = endOffset
  }

  override step(input: PartitionInput): PartitionOutput {
    if (input.kind === 'appended' || input.kind === 'truncated') this.endOffset = input.endOffset
    if (input.kind === 'fromLeader' && input.message.kind === 'append') this.endOffset = input.message.endOffset
    if (input.kind === 'truncated' && this.cutting) {
      this.cutting = false
      return this.inner.step(input)
    }
    const output = this.inner.step(input)
    const follow = output.send.find((message) => message.kind === 'follow')
    if (follow === undefined || this.endOffset === output.highWatermark) return output
    // The real machine asks for a truncation only on a leader's word, so that word is made up.
    this.cutting = true
    return this.inner.step({
      kind: 'fromLeader',
      from: follow.to,
      message: { kind: 'diverging', session: follow.session, epoch: -1, endOffset: output.highWatermark },
    })
  }
}
