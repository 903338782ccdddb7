import { createControllerMachine, encodeBatch, createImage } from '@millrace/metadata'
import { SeededRandom } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { ReplicationThrottle } from '../src/replication-throttle.ts'
import type { SendSession } from '../src/send-session.ts'
import { ThrottledReplicas } from '../src/throttled-replicas.ts'

const list = (text: string, side: 'leader' | 'follower' = 'leader'): ThrottledReplicas | null =>
  ThrottledReplicas.of(new Map([[`${side}.replication.throttled.replicas`, text]]), side)

describe('a list of throttled replicas', () => {
  it('names pairs of partition and broker, or all', () => {
    expect(list('0:1, 3:2')?.has(0, 1)).toBe(true)
    expect(list('0:1, 3:2')?.has(3, 2)).toBe(true)
    expect(list('0:1, 3:2')?.has(3, 1)).toBe(false)
    expect(list(' * ')?.has(7, 9)).toBe(true)
  })

  it.each(['', 'none', ' '])('may name nobody: %j', (text) => expect(list(text)).toBeNull())
})

/** A throttle of broker 1, under which one session to broker 3 of partition 0 of a topic sends; leaders of two partitions copy to it. */
function throttle(rates: Record<string, Record<string, string>>, text = '*') {
  const machine = createControllerMachine({ random: new SeededRandom('throttle'), properties: new Map() })
  const image = createImage()
  const commit = (records: ReturnType<typeof machine.handle>['records']): void => {
    for (const record of records) machine.replay(record, image.index + 1)
    image.apply(image.index + 1, encodeBatch(records))
  }
  const decide = (question: Parameters<typeof machine.handle>[0]): void => {
    const { records } = machine.handle(question, 0)
    commit(records)
  }
  decide({ kind: 'formCluster', clusterId: 'c' })
  for (const brokerId of [1, 2, 3]) {
    const id = `${'A'.repeat(20)}${brokerId}w`
    decide({
      kind: 'registerBroker',
      brokerId,
      incarnationId: id,
      rack: null,
      endpoints: [{ name: 'PEER', host: 'h', port: 1, securityProtocol: 'PLAINTEXT' }],
      directories: [id],
      flushMode: 'fsync',
      protocolVersion: 1,
      previousBrokerEpoch: -1,
      damaged: [],
      previousIsLive: false,
    })
    const alive = { wantFence: false, wantShutdown: false, offlineDirectories: [] }
    decide({ kind: 'heartbeat', brokerId, brokerEpoch: image.index, appliedIndex: image.index, ...alive })
  }
  const lists = ['leader', 'follower'].map((side) => ({ name: `${side}.replication.throttled.replicas`, value: text }))
  const assignments = [[1], [2]].map((replicas, partition) => ({ partition, replicas }))
  const topic = { name: 't', partitions: -1, replicationFactor: -1, assignments, configs: lists }
  decide({ kind: 'createTopics', validateOnly: false, topics: [topic] })
  const to = (partition: number, replicas: number[]) => ({ topic: 't', partition, replicas })
  decide({ kind: 'alterReassignments', mayChangeFactor: true, partitions: [to(0, [1, 3]), to(1, [2, 3])] })
  const set = (name: string, settings: Record<string, string>): void => {
    const operations = Object.entries(settings).map(([key, value]) => ({ name: key, operation: 'set' as const, value }))
    decide({ kind: 'incrementalAlterConfigs', validateOnly: false, resources: [{ kind: 4, name, operations }] })
  }
  for (const [name, settings] of Object.entries(rates)) set(name, settings)
  const clock = { nowUs: 1_000_000, monotonicUs: () => clock.nowUs, wallMs: () => 0 }
  const replica = {
    partition: 0,
    machine: { isr: [1] },
    settings: { throttledLeaders: list(text), throttledFollowers: list(text, 'follower') },
  }
  const session = { replica, brokerId: 3 } as unknown as SendSession
  return { throttle: new ReplicationThrottle({ clock, image, brokerId: 1 }), session, clock, replica, set }
}

const LEADER = 'leader.replication.throttled.rate'
const FOLLOWER = 'follower.replication.throttled.rate'

describe('a throttle', () => {
  it('lets a batch of any size go when anything is left, and waits for what it took too much', () => {
    const { throttle: one, session, clock } = throttle({ '1': { [LEADER]: '1000' } })
    expect(one.waitUs(session)).toBe(0)
    expect(one.sent(session, 1500)).toBe(true)
    expect(one.waitUs(session)).toBe(501_000)
    clock.nowUs += 500_000
    expect(one.waitUs(session)).toBe(1_000)
    clock.nowUs += 1_000
    expect(one.waitUs(session)).toBe(0)
  })

  it('saves at most what a second brings', () => {
    const { throttle: one, session, clock } = throttle({ '1': { [LEADER]: '1000' } })
    one.sent(session, 1)
    clock.nowUs += 60_000_000
    one.waitUs(session)
    one.sent(session, 2000)
    expect(one.waitUs(session)).toBe(1_000_000)
  })

  it('divides the rate of a follower among the leaders that send to it', () => {
    const { throttle: one, session, clock } = throttle({ '3': { [FOLLOWER]: '1000' } })
    one.waitUs(session)
    one.sent(session, 500)
    expect(one.waitUs(session)).toBe(2_000)
    clock.nowUs += 1_000_000
    one.waitUs(session)
    one.sent(session, 750)
    expect(one.waitUs(session)).toBe(502_000)
  })

  it('takes a rate of one broker before that of all, and a new rate at once', () => {
    const { throttle: one, session, set } = throttle({ '': { [LEADER]: '1' }, '1': { [LEADER]: '1000000' } })
    one.sent(session, 500_000)
    expect(one.waitUs(session)).toBe(0)
    set('1', { [LEADER]: '10' })
    one.sent(session, 20)
    expect(one.waitUs(session)).toBe(1_000_000)
    set('1', { [LEADER]: '9223372036854775807' })
    expect(one.waitUs(session)).toBe(0)
  })

  it('leaves alone who is in sync, or not named', () => {
    const named = throttle({ '1': { [LEADER]: '0' } })
    expect(named.throttle.waitUs(named.session)).toBe(1_000_000)
    named.replica.machine.isr.push(3)
    expect([named.throttle.waitUs(named.session), named.throttle.sent(named.session, 9)]).toEqual([0, false])
    const other = throttle({ '1': { [LEADER]: '0' }, '3': { [FOLLOWER]: '0' } }, '1:1,0:2')
    expect(other.throttle.waitUs(other.session)).toBe(0)
  })
})
