import { describe, expect, it } from 'vitest'
import {
  createRaft,
  type RaftConfig,
  type RaftMachine,
  type RaftMessage,
  type RaftOutput,
  type RaftStart,
} from '../src/index.ts'
import { bytes, voterOf, votersCodec } from '../src/model/voters-codec.ts'

const [one, two, three] = ['1', '2', '3'].map(voterOf) as [
  ReturnType<typeof voterOf>,
  ReturnType<typeof voterOf>,
  ReturnType<typeof voterOf>,
]
const group = [one, two, three]
const nothing = new Uint8Array(0)

function config(self = three, more: Partial<RaftConfig> = {}): RaftConfig {
  return {
    self,
    electionTicks: 10,
    heartbeatTicks: 2,
    brokenTicks: 2,
    maxBytesPerAppend: 1000,
    maxInflightAppends: 4,
    maxUncommittedBytes: 1000,
    maxTailBytes: 1000,
    random: () => 0,
    voters: votersCodec,
    ...more,
  }
}

/** A log of two entries: the formation, and a no-op of term 2. */
function start(more: Partial<RaftStart> = {}): RaftStart {
  return {
    hardState: { term: 2, votedFor: null },
    firstIndex: 1,
    lastIndex: 2,
    terms: [
      { index: 1, term: 1 },
      { index: 2, term: 2 },
    ],
    snapshotIndex: 0,
    snapshotTerm: 0,
    voters: [],
    voterEntries: [{ index: 1, term: 1, kind: 'voters', payload: votersCodec.encode(group) }],
    mayVote: true,
    ...more,
  }
}

function append(fields: Partial<Extract<RaftMessage, { kind: 'append' }>>): RaftMessage {
  return { kind: 'append', term: 2, prevIndex: 2, prevTerm: 2, entries: [], commitIndex: 0, round: 1, ...fields }
}

function data(
  index: number,
  term: number,
  value = 'x',
): { index: number; term: number; kind: 'data'; payload: Uint8Array } {
  return { index, term, kind: 'data', payload: bytes(value) }
}

function persist(machine: RaftMachine, output: RaftOutput): RaftOutput {
  if (output.write !== null) machine.step({ kind: 'persisted', token: output.write.token })
  return machine.ready()
}

/** A leader of term 3 whose followers 2 and 3 have everything. */
function leaderOfThree(): RaftMachine {
  const machine = createRaft(config(one), start())
  machine.step({ kind: 'campaign' })
  machine.ready()
  machine.step({ kind: 'message', from: two, message: { kind: 'preVoteReply', term: 3, granted: true } })
  persist(machine, machine.ready())
  machine.step({ kind: 'message', from: two, message: { kind: 'voteReply', term: 3, granted: true } })
  persist(machine, machine.ready())
  for (const peer of [two, three]) machine.step({ kind: 'message', from: peer, message: reply(3, 1) })
  machine.ready()
  return machine
}

function reply(
  index: number,
  round: number,
  more: Partial<Extract<RaftMessage, { kind: 'appendReply' }>> = {},
): RaftMessage {
  const fields = { hintTerm: 0, refusedIndex: 0, forgetful: false }
  return { kind: 'appendReply', term: 3, success: true, index, round, ...fields, ...more }
}

describe('within one turn', () => {
  it('an entry that is taken and replaced is not acknowledged to the leader that sent it', () => {
    const machine = createRaft(config(), start())
    machine.step({ kind: 'message', from: one, message: append({ entries: [data(3, 2, 'old')] }) })
    machine.step({
      kind: 'message',
      from: two,
      message: append({ term: 3, entries: [{ index: 3, term: 3, kind: 'noop', payload: nothing }] }),
    })
    const { send, write } = machine.ready()
    expect(write?.append?.map(({ term }) => term)).toEqual([3])
    expect(send.map(({ to, message }) => [to.id, message.kind, message.term])).toEqual([[2, 'appendReply', 3]])
    expect(send[0]?.after).toBe(write?.token)
  })

  it('many proposals are one write and one append to each follower', () => {
    const machine = leaderOfThree()
    for (let at = 0; at < 10; at++) expect(machine.propose(bytes(`${at}`))).toEqual({ index: 4 + at, term: 3 })
    const { write, send } = machine.ready()
    expect(write?.append?.length).toBe(10)
    expect(send.map(({ to, message }) => [to.id, message.kind === 'append' && message.entries.length])).toEqual([
      [2, 10],
      [3, 10],
    ])
  })

  it('nothing happened is no write and no message', () => {
    const machine = createRaft(config(), start())
    expect(machine.ready()).toMatchObject({ write: null, send: [], read: [], role: 'follower', leader: null })
  })
})

describe('a follower', () => {
  it('drops an append whose entries do not belong together', () => {
    const machine = createRaft(config(), start())
    const broken = [
      [data(4, 2)],
      [data(3, 2), data(5, 2)],
      [data(3, 2), data(4, 1)],
      [data(3, 9)],
      [data(3, 2), data(3, 2)],
    ]
    for (const entries of broken) machine.step({ kind: 'message', from: one, message: append({ entries }) })
    expect(machine.ready()).toMatchObject({ write: null, send: [] })
    expect(machine.status().lastIndex).toBe(2)
  })

  it('answers a heartbeat at once with what is durable, although its disk is slow', () => {
    const machine = createRaft(config(), start())
    machine.step({ kind: 'message', from: one, message: append({ entries: [data(3, 2)] }) })
    const first = machine.ready()
    expect(first.send[0]?.after).toBe(first.write?.token)
    machine.step({ kind: 'message', from: one, message: append({ prevIndex: 3, round: 2 }) })
    const [heartbeat] = machine.ready().send
    expect(heartbeat).toMatchObject({ after: 0, message: { success: true, index: 2, round: 2 } })
  })

  it('learns of a commit only as far as it is durable', () => {
    const machine = createRaft(config(), start())
    machine.step({ kind: 'message', from: one, message: append({ entries: [data(3, 2)], commitIndex: 3 }) })
    const output = machine.ready()
    expect(output.commitIndex).toBe(2)
    expect(persist(machine, output).commitIndex).toBe(3)
  })

  it('never commits beyond what it knows to match', () => {
    const machine = createRaft(config(), start({ lastIndex: 4 }))
    machine.step({ kind: 'message', from: one, message: append({ commitIndex: 4 }) })
    expect(machine.ready().commitIndex).toBe(2)
  })

  it('takes a message of an old term for nothing but a chance to tell the new one', () => {
    const machine = createRaft(config(), start({ hardState: { term: 5, votedFor: null } }))
    machine.step({ kind: 'message', from: one, message: append({ entries: [data(3, 2)] }) })
    const { send, write, leader } = machine.ready()
    expect([write, leader]).toEqual([null, null])
    expect(send.map(({ message }) => message)).toMatchObject([{ kind: 'appendReply', term: 5, success: false }])
  })

  it('keeps what lies beyond a snapshot that agrees with its log', () => {
    const machine = createRaft(config(), start({ lastIndex: 4 }))
    machine.step({ kind: 'snapshotInstalled', index: 3, term: 2, voters: group })
    const output = machine.ready()
    expect(output.write).toBeNull()
    expect([output.commitIndex, machine.status().lastIndex]).toEqual([3, 4])
  })

  it('restarts its log after a snapshot that it does not agree with', () => {
    const machine = createRaft(config(), start({ lastIndex: 4 }))
    machine.step({ kind: 'snapshotInstalled', index: 3, term: 3, voters: [one, two] })
    const output = machine.ready()
    expect(output.write).toMatchObject({ restartAt: 4 })
    expect(output).toMatchObject({ commitIndex: 3, role: 'learner', voters: [one, two] })
  })
})

describe('a leader', () => {
  it('does not take an old answer for one of a new round', () => {
    const machine = leaderOfThree()
    machine.step({ kind: 'startRound' })
    const { round } = machine.status()
    machine.step({ kind: 'message', from: two, message: reply(3, round - 1) })
    expect(machine.status().confirmedRound).toBeLessThan(round)
    machine.step({ kind: 'message', from: two, message: reply(3, round) })
    expect(machine.status().confirmedRound).toBe(round)
  })

  it('does not believe an acknowledgement of what it never had', () => {
    const machine = leaderOfThree()
    machine.step({ kind: 'message', from: two, message: reply(99, 1) })
    machine.step({ kind: 'message', from: three, message: reply(99, 1) })
    expect(machine.ready().commitIndex).toBe(3)
    expect(machine.status().peers.map(({ match }) => match)).toEqual([3, 3])
  })

  it('counts no answer of a voter that forgot its promises', () => {
    const machine = leaderOfThree()
    machine.propose(bytes('x'))
    persist(machine, machine.ready())
    machine.step({ kind: 'message', from: two, message: reply(4, 1, { forgetful: true }) })
    expect(machine.ready().commitIndex).toBe(3)
    for (let at = 0; at < 10; at++) {
      machine.step({ kind: 'tick' })
      machine.step({ kind: 'message', from: two, message: reply(4, machine.status().round, { forgetful: true }) })
    }
    expect(machine.status().role).toBe('follower')
  })

  it('reads old entries from the store, and drops an answer that came too late', () => {
    const machine = leaderOfThree()
    const old = createRaft(config(one, { maxTailBytes: 0 }), start())
    expect(old.ready().read).toEqual([])
    machine.step({ kind: 'learner', learner: voterOf('7'), present: true })
    machine.ready()
    machine.step({
      kind: 'message',
      from: voterOf('7'),
      message: reply(0, 1, { success: false, refusedIndex: 2 }),
    })
    const [read] = machine.ready().read
    expect(read).toEqual({ request: 1, from: 1, to: 3 })
    machine.step({ kind: 'connectionBroken', peer: voterOf('7') })
    machine.step({ kind: 'entries', request: 1, entries: [data(1, 1), data(2, 2)] })
    expect(
      machine.ready().send.filter(({ message }) => message.kind === 'append' && message.entries.length > 0),
    ).toEqual([])
  })

  it('refuses to remove a voter when those who are left could commit nothing', () => {
    const machine = leaderOfThree()
    for (let at = 0; at < 9; at++) {
      machine.step({ kind: 'tick' })
      machine.step({ kind: 'message', from: two, message: reply(3, machine.status().round) })
    }
    machine.step({ kind: 'tick' })
    expect(machine.status().role).toBe('leader')
    expect(machine.changeVoters({ remove: two })).toBe('quorum-would-be-lost')
    expect(machine.changeVoters({ remove: voterOf('9') })).toBe('no-change')
    expect(machine.changeVoters({ add: two })).toBe('no-change')
    expect(machine.changeVoters({ remove: three })).toEqual({ index: 4, term: 3 })
  })
})
