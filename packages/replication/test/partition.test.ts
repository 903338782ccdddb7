import { BrokenInvariant } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { createPartition } from '../src/index.ts'
import type {
  FlushMode,
  FromLeader,
  PartitionInput,
  PartitionMachine,
  PartitionMessage,
  PartitionState,
} from '../src/index.ts'
import { ModelLog } from '../src/model/model-log.ts'
import { SeededRandom } from './seeded-random.ts'

const BROKERS = new Map([1, 2, 3].map((id) => [id, { epoch: 100 + id, eligible: true }]))
const STATE: PartitionState = {
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  leader: 1,
  leaderEpoch: 4,
  partitionEpoch: 9,
  uncleanlyElected: false,
  minInsyncReplicas: 1,
}

interface Made {
  readonly machine: PartitionMachine
  readonly log: ModelLog
}

function make(brokerId: number, log = new ModelLog(), flushMode: FlushMode = 'fsync'): Made {
  const machine = createPartition(
    { brokerId, brokerEpoch: 100 + brokerId, topicId: 'AAAAAAAAAAAAAAAAAAAAAg', partition: 0 },
    {
      logStart: log.logStart,
      endOffset: log.endOffset,
      durableEnd: log.endOffset,
      lastEpoch: -1,
      highWatermark: log.logStart,
      generation: log.generation,
    },
    log,
    { flushMode, lagTimeMaxUs: 10_000_000, random: new SeededRandom(brokerId) },
  )
  machine.step({ kind: 'tick', nowUs: 0 })
  return { machine, log }
}

function metadata(change: Partial<PartitionState> = {}): PartitionInput {
  return { kind: 'metadata', state: { ...STATE, ...change }, brokers: BROKERS }
}

function leader(): PartitionMachine {
  const { machine } = make(1)
  machine.step(metadata())
  return machine
}

function followOf(from: number, session: number): PartitionInput & { readonly kind: 'follow' } {
  const empty = { endOffset: 0, lastEpoch: -1, logStart: 0 }
  return { kind: 'follow', from, brokerEpoch: 100 + from, leaderEpoch: 4, session, ...empty }
}

function ackOf(from: number, session: number, durableEnd: number): PartitionInput {
  return { kind: 'ack', from, session, durableEnd, logStart: 0 }
}

function only(messages: readonly PartitionMessage[]): PartitionMessage {
  expect(messages).toHaveLength(1)
  return messages[0] as PartitionMessage
}

/** A follower of broker 1, accepted; the session it chose. */
function accepted(log = new ModelLog(), flushMode: FlushMode = 'fsync'): Made & { readonly session: number } {
  const made = make(2, log, flushMode)
  const { session } = only(made.machine.step(metadata()).send)
  tell(made.machine, { kind: 'accepted', session, leaderEpoch: 4, highWatermark: 0, logStart: 0 })
  return { ...made, session }
}

function tell(machine: PartitionMachine, message: FromLeader, from = 1) {
  return machine.step({ kind: 'fromLeader', from, message })
}

function refusals(messages: readonly PartitionMessage[]): readonly string[] {
  return messages.map((message) => (message.kind === 'refused' ? message.code : message.kind))
}

describe('a step', () => {
  it('fills the same object, and gives away nothing that changes later', () => {
    const machine = leader()
    const first = machine.step(followOf(2, 7))
    const { send } = first
    const kept = structuredClone(send)
    expect(machine.step({ kind: 'tick', nowUs: 1 })).toBe(first)
    expect(send).toEqual(kept)
    expect(first.send).toEqual([])
  })

  it('begins the epoch once, before anything is appended', () => {
    const { machine } = make(1)
    expect(machine.step(metadata()).beginEpoch).toBe(4)
    expect(machine.step(metadata()).beginEpoch).toBeNull()
    expect(machine.step(metadata({ leaderEpoch: 5, partitionEpoch: 10 })).beginEpoch).toBe(5)
  })
})

describe('metadata', () => {
  it('of an earlier leader epoch or partition epoch is ignored', () => {
    const machine = leader()
    machine.step(metadata({ leader: 2, leaderEpoch: 3, partitionEpoch: 12 }))
    expect([machine.role, machine.leaderEpoch]).toEqual(['leader', 4])
    machine.step(metadata({ partitionEpoch: 8, isr: [1] }))
    expect(machine.isr).toEqual([1, 2, 3])
  })

  it('that names the same leader again fails those who wait, unless its epoch is the next one and it was elected cleanly', () => {
    const again = (more: Partial<PartitionState>): number | null =>
      leader().step(metadata({ partitionEpoch: 10, ...more })).failWaitersOfEpoch
    expect(again({ leaderEpoch: 5 })).toBeNull()
    expect(again({ leaderEpoch: 6 })).toBe(4)
    expect(again({ leaderEpoch: 5, uncleanlyElected: true })).toBe(4)
    expect(again({ leaderEpoch: 5, leader: 2 })).toBe(4)
  })

  it('without a leader, or without this replica, ends every role', () => {
    const machine = leader()
    expect(machine.step(metadata({ leader: -1, leaderEpoch: 5, partitionEpoch: 10 })).failWaitersOfEpoch).toBe(4)
    expect([machine.role, machine.latestKnown, machine.enoughReplicas, machine.epochStart]).toEqual([
      'none',
      false,
      false,
      -1,
    ])
    const removed = make(2).machine
    removed.step(metadata())
    const output = removed.step(metadata({ replicas: [1, 3], isr: [1, 3], partitionEpoch: 10 }))
    expect([removed.role, only(output.send).kind]).toEqual(['none', 'unfollow'])
  })

  it('that lets an incarnation write under an epoch that was written before breaks an invariant', () => {
    const log = new ModelLog()
    log.append([{ epoch: 4, value: 'mine' }])
    const { machine } = make(1, log)
    expect(() => machine.step(metadata())).toThrow(BrokenInvariant)
  })
})

describe('a leader', () => {
  it('refuses whom it does not know, and whom it knows better', () => {
    const machine = leader()
    const asked: Partial<PartitionInput & { kind: 'follow' }>[] = [
      { leaderEpoch: 3 },
      { leaderEpoch: 5 },
      { brokerEpoch: 103 },
      { brokerEpoch: 101 },
      { from: 7, brokerEpoch: 107 },
      { endOffset: 3, lastEpoch: 5 },
      {},
    ]
    const codes = asked.map((change) => refusals(machine.step({ ...followOf(2, 7), ...change }).send)[0])
    expect(codes).toEqual(['fenced', 'retry', 'retry', 'fenced', 'retry', 'outOfRange', 'accepted'])
  })

  it('is not misled by a follow of a stale incarnation about the session of the present one', () => {
    const machine = leader()
    machine.step(followOf(2, 7))
    machine.step({ ...followOf(2, 8), brokerEpoch: 50 })
    expect(machine.followers.map((follower) => follower.session)).toEqual([7])
  })

  it('counts no ack of another session, above its own log, or before it accepted', () => {
    const machine = leader()
    machine.step({ kind: 'appended', endOffset: 5, generation: 0 })
    machine.step({ kind: 'durable', endOffset: 5, generation: 0 })
    expect(refusals(machine.step(ackOf(2, 7, 5)).send)).toEqual(['retry'])
    machine.step(followOf(2, 7))
    machine.step(followOf(3, 8))
    machine.step(ackOf(3, 8, 5))
    machine.step(ackOf(2, 7, 6))
    expect(machine.highWatermark).toBe(0)
    expect(refusals(machine.step(ackOf(2, 6, 5)).send)).toEqual(['retry'])
    expect(machine.highWatermark).toBe(0)
    machine.step(ackOf(2, 7, 5))
    expect(machine.highWatermark).toBe(5)
  })

  it('keeps what a follower acknowledged over a broken stream, and not over a new session', () => {
    const machine = leader()
    machine.step({ kind: 'appended', endOffset: 5, generation: 0 })
    machine.step({ kind: 'durable', endOffset: 5, generation: 0 })
    machine.step(followOf(2, 7))
    machine.step(followOf(3, 8))
    machine.step(ackOf(2, 7, 4))
    expect(refusals(machine.step({ kind: 'peerClosed', peer: 2 }).send)).toEqual(['retry'])
    machine.step(ackOf(3, 8, 5))
    expect(machine.highWatermark).toBe(4)
    machine.step({ ...followOf(2, 9), endOffset: 4, lastEpoch: -1 })
    expect(machine.followers.find((follower) => follower.brokerId === 2)?.durableEnd).toBe(-1)
  })

  it('tells the watermark once, and not what an append carried', () => {
    const machine = leader()
    machine.step(followOf(2, 7))
    machine.step(followOf(3, 8))
    machine.step({ kind: 'appended', endOffset: 5, generation: 0 })
    machine.step({ kind: 'durable', endOffset: 5, generation: 0 })
    machine.step(ackOf(2, 7, 5))
    machine.step(ackOf(3, 8, 5))
    machine.carried(7)
    const told = machine.step({ kind: 'tick', nowUs: 100 }).send
    expect(told).toEqual([{ kind: 'progress', to: 3, session: 8, highWatermark: 5, logStart: 0 }])
    expect(machine.step({ kind: 'tick', nowUs: 200 }).send).toEqual([])
  })

  it('alone commits with its own disk', () => {
    const { machine } = make(1)
    machine.step(metadata({ replicas: [1], isr: [1] }))
    machine.step({ kind: 'appended', endOffset: 3, generation: 0 })
    expect(machine.highWatermark).toBe(0)
    expect(machine.step({ kind: 'durable', endOffset: 3, generation: 0 }).highWatermark).toBe(3)
  })

  it('does not commit past a confirmed ELR', () => {
    const { machine } = make(1)
    machine.step(metadata({ isr: [1], elr: [2], minInsyncReplicas: 1 }))
    machine.step({ kind: 'appended', endOffset: 3, generation: 0 })
    machine.step({ kind: 'durable', endOffset: 3, generation: 0 })
    expect(machine.highWatermark).toBe(0)
    machine.step(metadata({ isr: [1], elr: [], partitionEpoch: 10 }))
    expect(machine.highWatermark).toBe(3)
  })

  it('proposes nobody who is fenced, shutting down, or behind the start of its epoch', () => {
    const log = new ModelLog()
    log.append([{ epoch: 1, value: 'a' }])
    const { machine } = make(1, log)
    const out = new Map([...BROKERS, [3, { epoch: 103, eligible: false }]])
    machine.step({ kind: 'metadata', state: { ...STATE, isr: [1] }, brokers: out })
    machine.step(followOf(2, 7))
    machine.step(followOf(3, 8))
    expect(machine.step(ackOf(2, 7, 0)).alter).toBeNull()
    expect(machine.step(ackOf(3, 8, 1)).alter).toBeNull()
    expect(machine.step(ackOf(2, 7, 1)).alter?.isr).toEqual([
      { brokerId: 1, brokerEpoch: 101 },
      { brokerId: 2, brokerEpoch: 102 },
    ])
  })
})

describe('a follower', () => {
  it('acks what it holds on disk, once', () => {
    const { machine, session } = accepted()
    tell(machine, {
      kind: 'append',
      session,
      baseOffset: 0,
      endOffset: 2,
      lastEpoch: 4,
      highWatermark: 0,
      logStart: 0,
    })
    const output = machine.step({ kind: 'durable', endOffset: 2, generation: 0 })
    expect(only(output.send)).toEqual({ kind: 'ack', to: 1, session, durableEnd: 2, logStart: 0 })
    expect(machine.step({ kind: 'durable', endOffset: 2, generation: 0 }).send).toEqual([])
    expect(machine.step({ kind: 'tick', nowUs: 100 }).send).toEqual([])
  })

  it('acks what it holds in its log in page-cache mode', () => {
    const { machine, session } = accepted(new ModelLog(), 'pagecache')
    const header = { kind: 'append', session, baseOffset: 0, endOffset: 2, lastEpoch: 4 } as const
    expect(only(tell(machine, { ...header, highWatermark: 0, logStart: 0 }).send)).toMatchObject({ durableEnd: 2 })
  })

  it('writes only what continues its log, in its session, of no later epoch than it knows', () => {
    const log = new ModelLog()
    log.append([{ epoch: 3, value: 'a' }])
    const { machine, session } = accepted(log)
    const good = { session, baseOffset: 1, lastEpoch: 4 }
    const bad = [
      { ...good, baseOffset: 2 },
      { ...good, baseOffset: 0 },
      { ...good, lastEpoch: 5 },
      { ...good, lastEpoch: 2 },
      { ...good, session: session + 1 },
    ]
    expect(machine.mayWrite(1, good)).toBe(true)
    expect(machine.mayWrite(3, good)).toBe(false)
    expect(bad.map((append) => machine.mayWrite(1, append))).toEqual([false, false, false, false, false])
  })

  it('follows anew after a gap, at once for the first, with patience when the same gap comes again', () => {
    const { machine, session } = accepted()
    const gap = { kind: 'append', baseOffset: 5, endOffset: 0, lastEpoch: 4, highWatermark: 0, logStart: 0 } as const
    const again = only(tell(machine, { ...gap, session }).send)
    expect(again.kind).toBe('follow')
    tell(machine, { kind: 'accepted', session: again.session, leaderEpoch: 4, highWatermark: 0, logStart: 0 })
    expect(tell(machine, { ...gap, session: again.session }).send).toEqual([])
    expect(only(machine.step({ kind: 'tick', nowUs: 100_000 }).send).kind).toBe('follow')
  })

  it('drops every message of another session or of another broker', () => {
    const { machine, session } = accepted()
    tell(machine, { kind: 'progress', session: session + 1, highWatermark: 9, logStart: 9 })
    tell(machine, { kind: 'refused', session: session + 1, code: 'outOfRange' })
    tell(machine, { kind: 'diverging', session, epoch: -1, endOffset: 0 }, 3)
    expect([machine.role, machine.highWatermark, machine.logStart]).toEqual(['follower', 0, 0])
  })

  it('takes the watermark as far as its own log reaches', () => {
    const { machine, session } = accepted()
    const header = { kind: 'append', session, baseOffset: 0, endOffset: 2, lastEpoch: 4 } as const
    expect(tell(machine, { ...header, highWatermark: 7, logStart: 1 })).toMatchObject({ highWatermark: 2, logStart: 1 })
    expect(machine.durableHighWatermark).toBe(0)
    machine.step({ kind: 'durable', endOffset: 2, generation: 0 })
    expect(machine.durableHighWatermark).toBe(2)
  })

  it('follows anew when the leader deleted what comes next', () => {
    const { machine, session } = accepted()
    const output = tell(machine, { kind: 'progress', session, highWatermark: 9, logStart: 9 })
    expect(only(output.send).kind).toBe('follow')
    expect(output.logStart).toBe(0)
  })

  it('asks again when nobody answers, and when it is refused, but not before its time', () => {
    const { machine } = make(2)
    const { session } = only(machine.step(metadata()).send)
    expect(machine.step({ kind: 'tick', nowUs: 1_000_000 }).send).toEqual([])
    const again = only(machine.step({ kind: 'tick', nowUs: 2_000_000 }).send)
    expect(again.session).not.toBe(session)
    tell(machine, { kind: 'refused', session: again.session, code: 'retry' })
    expect(machine.step({ kind: 'tick', nowUs: 2_010_000 }).send).toEqual([])
    expect(only(machine.step({ kind: 'tick', nowUs: 2_020_000 }).send).kind).toBe('follow')
  })

  it('repeats its ack now and then, so that a leader that lost the session says so', () => {
    const { machine, session } = accepted()
    expect(machine.step({ kind: 'tick', nowUs: 4_900_000 }).send).toEqual([])
    expect(only(machine.step({ kind: 'tick', nowUs: 5_000_000 }).send)).toMatchObject({ kind: 'ack', session })
    tell(machine, { kind: 'refused', session, code: 'retry' })
    expect(only(machine.step({ kind: 'tick', nowUs: 5_100_000 }).send).kind).toBe('follow')
  })

  it('truncates before anything else, and follows again with what is left', () => {
    const log = new ModelLog()
    log.append(['a', 'b', 'c'].map((value) => ({ epoch: 2, value })))
    const { machine } = make(2, log)
    const { session } = only(machine.step(metadata()).send)
    expect(tell(machine, { kind: 'diverging', session, epoch: 2, endOffset: 1 }).truncateTo).toBe(1)
    expect(() => machine.step({ kind: 'tick', nowUs: 1 })).toThrow(BrokenInvariant)
    log.truncate(1)
    const output = machine.step({ kind: 'truncated', endOffset: 1, generation: 1 })
    expect(only(output.send)).toMatchObject({ kind: 'follow', endOffset: 1, lastEpoch: 2 })
    expect(machine.step({ kind: 'durable', endOffset: 3, generation: 0 }).send).toEqual([])
    expect(() => machine.step({ kind: 'truncated', endOffset: 0, generation: 2 })).toThrow(BrokenInvariant)
  })

  it('forgets an epoch that it began without a record before it follows', () => {
    const log = new ModelLog()
    log.append([{ epoch: 1, value: 'a' }])
    log.beginEpoch(2)
    const { machine } = make(2, log)
    const output = machine.step(metadata())
    expect([output.truncateTo, output.send]).toEqual([1, []])
    log.truncate(1)
    expect(log.epochEnd(9)).toEqual({ epoch: 1, endOffset: 1 })
    expect(only(machine.step({ kind: 'truncated', endOffset: 1, generation: 1 }).send).kind).toBe('follow')
  })

  it('with a log from the future is quarantined, and stays so whatever it is told', () => {
    const { machine } = make(2)
    const { session } = only(machine.step(metadata()).send)
    const output = tell(machine, { kind: 'refused', session, code: 'outOfRange' })
    expect(output.quarantine).toMatch(/later than the epoch 4/)
    machine.step(metadata({ leader: 2, leaderEpoch: 5, partitionEpoch: 10 }))
    expect(machine.role).toBe('none')
    expect(refusals(machine.step({ ...followOf(3, 7), leaderEpoch: 5 }).send)).toEqual(['notLeader'])
  })

  it('with an unfit disk leaves, and follows again when it is fit', () => {
    const { machine } = accepted()
    expect(only(machine.step({ kind: 'unfit', unfit: true }).send).kind).toBe('unfollow')
    expect(machine.step({ kind: 'peerOpened', peer: 1 }).send).toEqual([])
    expect(machine.step({ kind: 'tick', nowUs: 9_000_000 }).send).toEqual([])
    expect(only(machine.step({ kind: 'unfit', unfit: false }).send).kind).toBe('follow')
  })

  it('answers those who take it for the leader', () => {
    const { machine } = accepted()
    const codes = [3, 4, 5].map((leaderEpoch) => refusals(machine.step({ ...followOf(3, 7), leaderEpoch }).send)[0])
    expect(codes).toEqual(['fenced', 'notLeader', 'retry'])
  })
})

describe('the own log', () => {
  it('can not shrink, or be durable beyond its end, behind the machine’s back', () => {
    const machine = leader()
    machine.step({ kind: 'appended', endOffset: 5, generation: 0 })
    expect(() => machine.step({ kind: 'appended', endOffset: 4, generation: 0 })).toThrow(BrokenInvariant)
    expect(() => machine.step({ kind: 'durable', endOffset: 6, generation: 0 })).toThrow(BrokenInvariant)
    expect(() => machine.step({ kind: 'appended', endOffset: 6, generation: 1 })).toThrow(BrokenInvariant)
  })
})
