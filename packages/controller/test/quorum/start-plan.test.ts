import { describe, expect, it } from 'vitest'
import type { Identity, IdentityAnswer } from '../../src/quorum/identity.ts'
import { planStart, type StartFacts, type StartPlan } from '../../src/quorum/start-plan.ts'

const OWN = 'AAAAAAAAAAAAAAAAAAAAAw'
const OTHER = 'AAAAAAAAAAAAAAAAAAAABA'
const CLUSTER = 'AAAAAAAAAAAAAAAAAAAABQ'
const FOREIGN = 'AAAAAAAAAAAAAAAAAAAABg'

const blank = { hardState: null, firstIndex: 1, lastIndex: 0, lastTerm: 0, damage: null }
const used = { hardState: { term: 4, votedFor: null }, firstIndex: 1, lastIndex: 9, lastTerm: 4, damage: null }
const formation = {
  clusterId: CLUSTER,
  voters: [
    { id: 1, directoryId: OWN },
    { id: 2, directoryId: OTHER },
  ],
}
const identity: Identity = { directoryId: OWN, clusterId: CLUSTER, formation, store: 'raft' }
const read: IdentityAnswer = { kind: 'read', identity }

function plan(facts: Partial<StartFacts>): StartPlan {
  return planStart({
    nodeId: 1,
    directoryId: OWN,
    clusterId: null,
    alone: false,
    identity: { kind: 'absent' },
    store: blank,
    formation: null,
    snapshot: null,
    ...facts,
  })
}

describe('a node that starts', () => {
  it('waits when it is blank and never was anything else', () => {
    expect(plan({})).toEqual({ kind: 'wait' })
  })

  it('waits when it crashed between the first write of a learner and its identity', () => {
    expect(plan({ store: { ...blank, hardState: { term: 0, votedFor: null } } })).toEqual({ kind: 'wait' })
  })

  it('runs as who it is', () => {
    expect(plan({ identity: read, store: used, clusterId: CLUSTER })).toEqual({ kind: 'run', identity, write: false })
  })

  it('runs as the founding member that it is when it crashed before its identity was written', () => {
    expect(plan({ store: used, formation })).toEqual({ kind: 'run', identity, write: true })
  })

  it('is another voter when its log is gone', () => {
    expect(plan({ identity: read })).toMatchObject({ kind: 'renew', clusterId: CLUSTER, reason: 'the log is gone' })
    expect(plan({ clusterId: CLUSTER })).toMatchObject({ kind: 'renew', clusterId: CLUSTER, formation: null })
  })

  it('is another voter when its store says that it is damaged', () => {
    const store = { ...used, damage: { reason: 'a block is flipped' } }
    expect(plan({ identity: read, store })).toMatchObject({ kind: 'renew', reason: 'a block is flipped' })
  })

  it('waits when a store is damaged that nobody ever relied on', () => {
    expect(plan({ store: { ...blank, damage: { reason: 'a block is flipped' } } })).toEqual({ kind: 'wait' })
  })

  it('is another voter when no snapshot leads up to its log', () => {
    const store = { ...used, firstIndex: 6 }
    const reason = 'the log begins after the newest readable snapshot'
    expect(plan({ identity: read, store })).toMatchObject({ kind: 'renew', reason })
    expect(plan({ identity: read, store, snapshot: { clusterId: CLUSTER, index: 4 } })).toMatchObject({ reason })
    expect(plan({ identity: read, store, snapshot: { clusterId: CLUSTER, index: 5 } })).toMatchObject({ kind: 'run' })
  })

  it('is another voter when its identity file is damaged, or is gone although it was not the first', () => {
    expect(plan({ identity: { kind: 'damaged' }, store: used, formation })).toMatchObject({ kind: 'renew' })
    const others = { clusterId: CLUSTER, voters: [{ id: 1, directoryId: OTHER }] }
    expect(plan({ store: used, formation: others })).toMatchObject({ kind: 'renew', clusterId: CLUSTER })
  })

  it('refuses when it is the only voter and lost its log', () => {
    const answer = plan({ identity: read, alone: true })
    expect(answer.kind === 'refuse' && answer.error.message).toBe(
      'the only voter lost the metadata log: the log is gone',
    )
  })

  it('refuses when nothing tells which cluster it belonged to', () => {
    const answer = plan({ identity: { kind: 'damaged' } })
    expect(answer.kind === 'refuse' && answer.error.code).toBe('STORE_DAMAGED')
  })

  it('refuses a file of the future', () => {
    const answer = plan({ identity: { kind: 'future', version: 2 } })
    expect(answer.kind === 'refuse' && answer.error.message).toBe('quorum-identity.json has version 2')
  })

  it('refuses a directory that holds files of two clusters', () => {
    const answer = plan({ identity: read, store: used, clusterId: FOREIGN })
    expect(answer.kind === 'refuse' && answer.error.code).toBe('DIRECTORY_FOREIGN')
    const snapshot = { clusterId: FOREIGN, index: 3 }
    expect(plan({ identity: read, store: used, snapshot })).toMatchObject({ kind: 'refuse' })
  })
})
