import { IncrementalAlterConfigsApi } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { Cluster } from './cluster.ts'
import type { FakeBroker } from './cluster.ts'

const TOPICS = Array.from({ length: 20 }, (_, i) => `t${i}`)
const THROTTLED = 'leader.replication.throttled.replicas'

/** The largest setting that there may be, another one for each number. */
const throttled = (number: number): string => `${number}:1${',0:1'.repeat(8190)}`

const many = (replica: number, count: number): number[][] => Array.from({ length: count }, () => [replica])

describe('the metadata that a broker is sent', () => {
  test('continues after the last entry that it applied', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    one.break()
    two.createTopic('t', [[2]])
    one.frames.splice(0)
    one.join()
    expect(one.all('snapshot')).toEqual([])
    expect(
      one
        .all('records')
        .flatMap(({ entries }) => entries)
        .map(({ index }) => index),
    ).toEqual([cluster.quorum.index])
    expect(one.image.topicByName('t')).not.toBeNull()
  })

  test('is a snapshot for one that has nothing, or that is ahead of what is committed', () => {
    const { cluster, brokers } = Cluster.led([1])
    brokers[0]?.createTopic('t', [[1]])
    expect(cluster.broker(2).join().image.topicByName('t')).not.toBeNull()
    const ahead = cluster.broker(3).join({ appliedIndex: 999_999 })
    expect(ahead.all('snapshot').length).toBe(1)
    expect(ahead.image.index).toBe(ahead.epoch)
  })

  test('is a snapshot after the controller itself was restored from one', () => {
    const { cluster, brokers } = Cluster.led([1])
    const [one] = brokers as [FakeBroker]
    one.createTopic('t', [[1]])
    const other = new Cluster()
    other.time.turn(() => {
      const listener = other.controller as unknown as { restore(bytes: Uint8Array, index: number, term: number): void }
      listener.restore(
        cluster.controller.image === null ? new Uint8Array() : snapshotOf(cluster),
        cluster.quorum.index,
        1,
      )
    })
    other.quorum.index = cluster.quorum.index
    other.quorum.commitIndex = cluster.quorum.index
    other.quorum.lead()
    const late = other.broker(2).join({ appliedIndex: 1 })
    expect(late.all('snapshot').length).toBeGreaterThan(0)
    expect(late.image.topicByName('t')).not.toBeNull()
  })

  test('comes in chunks when it is large, and arrives whole', () => {
    const { cluster, brokers } = Cluster.led([1])
    for (let i = 0; i < 4; i++) brokers[0]?.createTopic(`t${i}`, many(1, 5000))
    const late = cluster.broker(2).join()
    expect(late.all('snapshot').length).toBeGreaterThan(3)
    expect(late.image.topics.size).toBe(4)
    expect([...late.image.partitionsOf(1)].length).toBe(20_000)
    expect(late.heartbeat()?.fenced).toBe(false)
  })

  test('stops while a stream takes no more, and goes on where it was', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    two.stalled = true
    for (let i = 0; i < 10; i++) one.createTopic(`t${i}`, many(1, 2000))
    expect(two.image.topics.size).toBe(0)
    expect(one.image.topics.size).toBe(10)
    two.flow()
    cluster.time.pass(5)
    expect(two.image.topics.size).toBe(10)
    expect(two.image.index).toBe(one.image.index)
  })

  test('holds up neither another broker nor the answer to a heartbeat', () => {
    const { brokers } = Cluster.led([1, 2])
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    two.stalled = true
    for (let i = 0; i < 10; i++) one.createTopic(`t${i}`, many(1, 2000))
    two.frames.splice(0)
    two.heartbeat()
    two.flow()
    const before = two.frames.slice(
      0,
      two.frames.findIndex(({ kind }) => kind === 'heartbeatReply'),
    )
    const bytes = before.reduce(
      (sum, frame) =>
        sum + (frame.kind === 'records' ? frame.entries.reduce((all, { payload }) => all + payload.length, 0) : 0),
      0,
    )
    expect(bytes).toBeLessThan(600_000)
    expect(two.last('heartbeatReply')?.error).toBe(0)
  })

  test('becomes a snapshot again when a broker falls behind what is kept', () => {
    const { cluster, brokers } = Cluster.led([1, 2])
    const [one, two] = brokers as [FakeBroker, FakeBroker]
    for (const topic of TOPICS) one.createTopic(topic, [[1]])
    two.stalled = true
    // 16 MiB of entries are kept.
    for (let i = 0; i < 30; i++) {
      throttle(one, throttled(i))
      two.heartbeat()
    }
    two.frames.splice(0)
    two.flow()
    cluster.time.pass(50)
    expect(two.all('snapshot').length).toBeGreaterThan(0)
    expect(two.image.index).toBe(one.image.index)
    for (const name of TOPICS) expect(two.image.configs({ kind: 'topic', name }).get(THROTTLED)).toBe(throttled(29))
  })
})

function snapshotOf(cluster: Cluster): Uint8Array {
  return (cluster.controller as unknown as { takeSnapshot(): Uint8Array }).takeSnapshot()
}

function throttle(broker: FakeBroker, value: string): void {
  const configs = [{ name: THROTTLED, configOperation: 0, value }]
  const resources = TOPICS.map((resourceName) => ({ resourceType: 2, resourceName, configs }))
  broker.forward(IncrementalAlterConfigsApi, 1, { resources, validateOnly: false })
}
