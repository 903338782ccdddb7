import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { RegisterBroker } from '../src/index.ts'
import { directory, Harness } from './harness.ts'

const peer = { name: 'PEER', host: 'h', port: 9000, securityProtocol: 'PLAINTEXT' }

describe('a registration', () => {
  test('of the same incarnation again decides nothing and tells its epoch', () => {
    const cluster = new Harness()
    const registration = cluster.registration(1)
    const epoch = cluster.register(1, registration)
    cluster.heartbeat(1)
    expect(cluster.ask({ kind: 'registerBroker', ...registration, previousIsLive: true })).toMatchObject({
      error: 0,
      brokerEpoch: epoch,
    })
    expect(cluster.records).toEqual([])
    expect(cluster.image.brokers.get(1)?.fenced).toBe(false)
  })

  test('of another incarnation is refused while the registered one is alive', () => {
    const cluster = new Harness().start(1)
    const answer = cluster.ask({ kind: 'registerBroker', ...cluster.registration(1), previousIsLive: true })
    expect(answer).toMatchObject({ error: ErrorCode.DUPLICATE_BROKER_REGISTRATION, brokerEpoch: null })
    expect(cluster.records).toEqual([])
  })

  test('keeps what it says of rack, endpoints, directories and flushing', () => {
    const cluster = new Harness()
    const client = { name: 'PLAINTEXT', host: 'b1', port: 9092, securityProtocol: 'PLAINTEXT' }
    cluster.register(1, { rack: 'r', endpoints: [client, peer], flushMode: 'pagecache' })
    expect(cluster.image.brokers.get(1)).toMatchObject({
      id: 1,
      epoch: cluster.index,
      rack: 'r',
      endpoints: [client, peer],
      directories: [directory(1)],
      flushMode: 'pagecache',
      protocolVersion: 1,
    })
  })

  test.each<[string, Partial<RegisterBroker>]>([
    ['a negative id', { brokerId: -1 }],
    ['an incarnation that is no id', { incarnationId: 'x' }],
    ['no directory', { directories: [] }],
    ['a directory that is no id', { directories: ['x'] }],
    ['a directory twice', { directories: [directory(1), directory(1)] }],
    ["another broker's directory", { directories: [directory(2)] }],
    ['no endpoint for peers', { endpoints: [{ ...peer, name: 'PLAINTEXT' }] }],
    ['an endpoint without port', { endpoints: [peer, { ...peer, name: 'X', port: 0 }] }],
    ['an endpoint with too large a port', { endpoints: [peer, { ...peer, name: 'X', port: 65536 }] }],
    ['an endpoint without host', { endpoints: [{ ...peer, host: '' }] }],
    ['a name without end', { rack: 'x'.repeat(40_000) }],
    ['too many endpoints', { endpoints: Array.from({ length: 1000 }, () => peer) }],
    ['a protocol that nobody speaks', { protocolVersion: 0 }],
    ['a protocol number that is none', { protocolVersion: 2 ** 31 }],
  ])('with %s is refused', (_, wrong) => {
    const cluster = new Harness().start(2)
    const answer = cluster.ask({ kind: 'registerBroker', ...cluster.registration(1), ...wrong })
    expect(answer.error).toBe(ErrorCode.INVALID_REGISTRATION)
    expect(answer.message).not.toBe('')
    expect(cluster.records).toEqual([])
  })
})

describe('a heartbeat', () => {
  test('unfences once the broker has applied its own registration', () => {
    const cluster = new Harness()
    const epoch = cluster.register(1)
    expect(cluster.heartbeat(1, { appliedIndex: epoch - 1 }).fenced).toBe(true)
    expect(cluster.heartbeat(1, { appliedIndex: epoch }).fenced).toBe(false)
  })

  test('without a wish decides nothing', () => {
    const cluster = new Harness().start(1)
    cluster.heartbeat(1)
    expect(cluster.records).toEqual([])
  })

  test('of a broker that wants to stay fenced leaves it so', () => {
    const cluster = new Harness()
    cluster.register(1)
    expect(cluster.heartbeat(1, { wantFence: true }).fenced).toBe(true)
    expect(cluster.records).toEqual([])
    expect(cluster.heartbeat(1).fenced).toBe(false)
  })

  test('of an unknown broker or another incarnation is refused', () => {
    const cluster = new Harness().start(1)
    expect(cluster.heartbeat(9).error).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
    expect(cluster.heartbeat(1, { brokerEpoch: 1 }).error).toBe(ErrorCode.STALE_BROKER_EPOCH)
  })
})

describe('producer ids', () => {
  test('are given to the present incarnation only', () => {
    const cluster = new Harness().start(1)
    const ask = (brokerEpoch: number) => cluster.ask({ kind: 'allocateProducerIds', brokerId: 1, brokerEpoch })
    expect(ask(cluster.epoch(1))).toMatchObject({ error: 0, first: 0, count: 1000 })
    expect(ask(cluster.epoch(1))).toMatchObject({ error: 0, first: 1000, count: 1000 })
    expect(ask(1)).toMatchObject({ error: ErrorCode.STALE_BROKER_EPOCH, count: 0 })
  })
})

describe('a cluster', () => {
  test('forms once, with one id', () => {
    const cluster = new Harness()
    expect(cluster.image.clusterId).toBe('harness')
    expect(cluster.ask({ kind: 'formCluster', clusterId: 'harness' }).error).toBe(0)
    expect(cluster.records).toEqual([])
    expect(cluster.ask({ kind: 'formCluster', clusterId: 'other' }).error).toBe(ErrorCode.INCONSISTENT_CLUSTER_ID)
    expect(cluster.image.features.get('metadata.version')).toBe(1)
  })
})
