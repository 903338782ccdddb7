import { ErrorCode, type World } from '@millrace/base'
import { DirectNetwork, memoryWorld, MemoryLogger } from '@millrace/host'
import type { BrokerFrame } from '@millrace/rpc'
import { afterEach, describe, expect, it } from 'vitest'
import type { CollectedChanges } from '../src/image-changes.ts'
import { Membership, type MembershipHost } from '../src/membership.ts'
import { brokerCounters } from '../src/metrics.ts'
import { eventually, SETTINGS, sleep } from './cluster.ts'
import { FakeController } from './fake-controller.ts'
import { Life, mortalTimers } from './mortal.ts'

class Member implements MembershipHost {
  readonly world: World
  readonly log = new MemoryLogger()
  readonly counters = brokerCounters()
  readonly damaged = []
  readonly previousBrokerEpoch = -1
  wantFence = false
  stopping = false
  readonly config
  readonly changes: CollectedChanges[] = []
  readonly events: string[] = []
  readonly learned: string[] = []
  readonly life = new Life()
  readonly membership: Membership

  constructor(network: DirectNetwork, controllers: readonly string[], clusterId: string | null = null) {
    const inner = memoryWorld({ name: 'b1', network, log: this.log })
    this.world = { ...inner, timers: mortalTimers(inner.timers, this.life) }
    this.config = {
      nodeId: 1,
      clusterId,
      clusterIdLearned: (id: string) => void this.learned.push(id),
      rack: null,
      incarnationId: 'AAAAAAAAAAAAAAAAAAAAAg',
      listeners: [],
      peerAddress: { host: 'b1', port: 1 },
      controllers: controllers.map((host, at) => ({ id: 100 + at, address: { host, port: 1 } })),
      logDirs: [{ path: '/data', directoryId: 'AAAAAAAAAAAAAAAAAAAAAw' }],
      flushMode: 'fsync' as const,
      properties: new Map<string, string>(),
      maxRequestBytes: 1,
      idleConnectionMs: 1,
      ...SETTINGS,
    }
    this.membership = new Membership(this)
  }

  offlineDirectories(): readonly string[] {
    return []
  }

  schedule(): void {
    this.world.timers.endOfTurn(() => this.membership.alters.flush())
  }

  imageChanged(changes: CollectedChanges): void {
    this.changes.push(changes)
  }

  epochOver(): void {
    this.events.push('epoch over')
  }

  registrationFailed(error: Error): void {
    this.events.push(error.message)
  }

  confirmed(): void {
    this.events.push('confirmed')
  }

  mayShutDown(): void {
    this.events.push('may shut down')
  }

  forward(timeoutMs = 2_000): Promise<[ErrorCode, Uint8Array | null]> {
    const request = { apiKey: 19, apiVersion: 7, clientId: 'me', body: Uint8Array.of(1, 2), timeoutMs }
    return new Promise((resolve) =>
      this.membership.forward(request, (error, body) => resolve([error, body && Uint8Array.from(body)])),
    )
  }
}

const members: Member[] = []

function member(network: DirectNetwork, controllers: readonly string[], clusterId: string | null = null): Member {
  const made = new Member(network, controllers, clusterId)
  members.push(made)
  made.membership.start()
  return made
}

function kinds(controller: FakeController): BrokerFrame['kind'][] {
  return controller.received.map(({ kind }) => kind)
}

afterEach(() => {
  for (const made of members.splice(0)) made.life.alive = false
})

describe('a broker and its controller', () => {
  it('register first, then heartbeat, and the broker learns its cluster', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, learned } = member(network, ['c0'])
    await eventually(() => expect(membership.applied).toBe(true))
    expect(membership.brokerEpoch).toBe(controller.image.brokers.get(1)?.epoch)
    expect(learned).toEqual([membership.image.clusterId])
    await eventually(() => expect(membership.fenced).toBe(false))
    await eventually(() => expect(kinds(controller).filter((kind) => kind === 'heartbeat').length).toBeGreaterThan(5))
    expect(kinds(controller)[0]).toBe('register')
    expect(kinds(controller).filter((kind) => kind === 'register').length).toBe(1)
    expect(membership.controllerId).toBe(100)
  })

  it('of another cluster refuse each other for good', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { events, membership } = member(network, ['c0'], 'AAAAAAAAAAAAAAAAAAAABA')
    await eventually(() => expect(events[0]).toMatch('belongs to cluster'))
    expect(membership.applied).toBe(false)
    expect(controller.image.brokers.get(1)?.fenced).toBe(true)
  })

  it('find each other over the hint to the leader, and by trying the next where nobody listens', async () => {
    const network = new DirectNetwork()
    const first = new FakeController({ name: 'c1', network })
    const second = new FakeController({ name: 'c2', network })
    first.notLeader = { leaderId: 102, term: 5 }
    second.term = 5
    const { membership } = member(network, ['c0', 'c1', 'c2'])
    await eventually(() => expect(membership.controllerId).toBe(102))
    expect(kinds(first)).toEqual(['register'])
  })

  it('part when the controller is of an older term than one that the broker has heard of', async () => {
    const network = new DirectNetwork()
    const old = new FakeController({ name: 'c0', network })
    const other = new FakeController({ name: 'c1', network })
    other.notLeader = { leaderId: -1, term: 9 }
    const { membership } = member(network, ['c0', 'c1'])
    await eventually(() => expect(kinds(old).filter((kind) => kind === 'register').length).toBeGreaterThan(1))
    expect(membership.controllerId).toBe(-1)
    old.term = 9
    await eventually(() => expect(membership.controllerId).toBe(100))
  })

  it('do not dial in a circle when two nodes take each other for the leader', async () => {
    const network = new DirectNetwork()
    const one = new FakeController({ name: 'c0', network })
    const two = new FakeController({ name: 'c1', network })
    one.notLeader = { leaderId: 101, term: 3 }
    two.notLeader = { leaderId: 100, term: 3 }
    const { membership } = member(network, ['c0', 'c1'])
    await sleep(300)
    expect(one.received.length + two.received.length).toBeLessThan(30)
    one.notLeader = null
    one.term = 4
    await eventually(() => expect(membership.controllerId).toBe(100))
  })

  it('part when the controller falls silent, and meet again', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, log } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    const epoch = membership.brokerEpoch
    controller.mute = true
    await eventually(() => expect(membership.controllerId).toBe(-1))
    expect(log.lines.some(({ event }) => event === 'controller is silent')).toBe(true)
    controller.mute = false
    await eventually(() => expect(membership.controllerId).toBe(100))
    expect(membership.brokerEpoch).toBe(epoch)
    expect(membership.applied).toBe(true)
  })

  it('resume the metadata where it was left, without a second snapshot', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, changes } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    controller.dropAll()
    controller.createTopic('t', [[1]])
    await eventually(() => expect(membership.image.topicByName('t')).not.toBeNull())
    expect(changes.filter(({ all }) => all).length).toBe(1)
    const registers = controller.received.filter((frame) => frame.kind === 'register')
    expect(registers.map(({ appliedIndex }) => appliedIndex > 0)).toEqual([false, true])
  })

  it('go on with a snapshot when an entry cannot be read', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, log } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    const session = controller.sessions.get(1)
    const { ControllerFrame } = await import('@millrace/rpc')
    const entries = [{ index: membership.image.index + 1, term: 1, payload: Uint8Array.of(255, 255, 255) }]
    session?.stream.send(ControllerFrame.encode({ kind: 'records', entries, committedIndex: 0 }))
    await eventually(() => expect(log.lines.some(({ event }) => event.startsWith('metadata not readable'))).toBe(true))
    controller.createTopic('t', [[1]])
    await eventually(() => expect(membership.image.topicByName('t')).not.toBeNull())
    const registers = controller.received.filter((frame) => frame.kind === 'register')
    expect(registers.at(-1)?.appliedIndex).toBe(-1)
  })

  it('survive frames that are none', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    controller.sessions.get(1)?.stream.send(Uint8Array.of(255, 1, 2))
    await eventually(() => expect(kinds(controller).filter((kind) => kind === 'register').length).toBe(2))
    await eventually(() => expect(membership.controllerId).toBe(100))
  })

  it('tell why a registration is refused, and try again where that may help', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    controller.refuse = {
      error: ErrorCode.DUPLICATE_BROKER_REGISTRATION,
      message: 'a broker 1 is alive',
      retriable: true,
    }
    const { membership, log, events } = member(network, ['c0'])
    await eventually(() =>
      expect(log.lines.filter(({ event }) => event === 'registration refused').length).toBeGreaterThan(1),
    )
    expect(events).toEqual([])
    controller.refuse = { ...controller.refuse, retriable: false }
    await eventually(() => expect(events[0]).toMatch('a broker 1 is alive (DUPLICATE_BROKER_REGISTRATION)'))
    controller.refuse = null
    await eventually(() => expect(membership.applied).toBe(true))
  })

  it('register anew when the controller has another epoch for the broker', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, events } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    const before = membership.brokerEpoch
    controller.decide({ kind: 'unregisterBroker', brokerId: 1 })
    await eventually(() => expect(events).toContain('epoch over'))
    await eventually(() => expect(membership.applied).toBe(true))
    expect(membership.brokerEpoch).toBeGreaterThan(before)
  })
})

describe('a round trip that began after a sleep', () => {
  it('confirms the broker epoch, one that began before does not', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, events } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    // Heartbeats that are answered late: their answers were decided before the sleep.
    network.cut('b1', 'c0', 'silent')
    await sleep(100)
    membership.slept()
    expect(events).toEqual([])
    network.heal('b1', 'c0')
    await eventually(() => expect(events).toEqual(['confirmed']))
    expect(controller.sessions.size).toBe(1)
  })

  it('can be a registration that was sent after it', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership, events } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    controller.dropAll()
    await eventually(() => expect(membership.controllerId).toBe(-1))
    membership.slept()
    await eventually(() => expect(events).toEqual(['confirmed']))
  })
})

describe('a forwarded request', () => {
  it('is answered once the own image holds what was decided', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const made = member(network, ['c0'])
    await eventually(() => expect(made.membership.fenced).toBe(false))
    controller.onForward = ({ body, clientId, apiKey }) => {
      expect([apiKey, clientId, [...body]]).toEqual([19, 'me', [1, 2]])
      // The broker's stream gets the entry after the answer here.
      const sent = controller.sessions.get(1) as { sent: number }
      const before = sent.sent
      sent.sent = Number.MAX_SAFE_INTEGER
      controller.createTopic('t', [[1]])
      sent.sent = before
      setTimeout(() => controller.createTopic('later', [[1]]), 60)
      return { error: 0, body: Uint8Array.of(9) }
    }
    const answer = await made.forward()
    expect(answer).toEqual([ErrorCode.NONE, Uint8Array.of(9)])
    expect(made.membership.image.topicByName('t')).not.toBeNull()
  })

  it('waits for a controller, and for the next one when this one no longer leads', async () => {
    const network = new DirectNetwork()
    const made = member(network, ['c0'])
    const answer = made.forward()
    await sleep(30)
    const controller = new FakeController({ name: 'c0', network })
    let asked = 0
    controller.onForward = () => {
      if (++asked > 1) return { error: 0, body: Uint8Array.of(7) }
      setTimeout(() => controller.dropAll(), 5)
      return { error: ErrorCode.NOT_CONTROLLER, body: new Uint8Array() }
    }
    expect(await answer).toEqual([ErrorCode.NONE, Uint8Array.of(7)])
    expect(asked).toBe(2)
  })

  it('is answered NOT_CONTROLLER when none was there in time, and REQUEST_TIMED_OUT when one may have decided', async () => {
    const network = new DirectNetwork()
    const made = member(network, ['c0'])
    expect(await made.forward(50)).toEqual([ErrorCode.NOT_CONTROLLER, null])
    const controller = new FakeController({ name: 'c0', network })
    await eventually(() => expect(made.membership.fenced).toBe(false))
    expect(await made.forward(50)).toEqual([ErrorCode.REQUEST_TIMED_OUT, null])
    const lost = made.forward(5_000)
    await sleep(20)
    controller.dropAll()
    expect(await lost).toEqual([ErrorCode.REQUEST_TIMED_OUT, null])
  })
})

describe('a quarantined replica', () => {
  it('is told to every controller until it is out of ISR and ELR', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    const topicId = controller.createTopic('t', [[1]])
    membership.reportQuarantine({ topicId, partition: 0, reason: 'rot', partitionEpoch: 0, blank: false })
    await eventually(() => expect(controller.partition('t').isr).toEqual([]))
    controller.dropAll()
    await eventually(() => expect(controller.received.filter(({ kind }) => kind === 'quarantined').length).toBe(2))
    membership.quarantineOver(topicId, 0)
    controller.dropAll()
    await sleep(200)
    expect(controller.received.filter(({ kind }) => kind === 'quarantined').length).toBe(2)
  })

  it('is told again of every state of its partition, and once of each', async () => {
    const network = new DirectNetwork()
    const controller = new FakeController({ name: 'c0', network })
    const { membership } = member(network, ['c0'])
    await eventually(() => expect(membership.fenced).toBe(false))
    const topicId = controller.createTopic('t', [[1]])
    const report = { topicId, partition: 0, reason: 'rot', blank: false }
    for (const partitionEpoch of [7, 7, 0]) membership.reportQuarantine({ ...report, partitionEpoch })
    await eventually(() => expect(controller.partition('t').isr).toEqual([]))
    expect(controller.received.filter(({ kind }) => kind === 'quarantined').length).toBe(2)
  })
})
