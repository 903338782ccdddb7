import { BrokenInvariant, ZERO_UUID } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { createImage, encodeBatch, MetadataDecodeError } from '../src/index.ts'
import { Harness, plain } from './harness.ts'

describe('an image', () => {
  test('that is empty answers everything with nothing', () => {
    const image = createImage()
    expect([image.index, image.clusterId, image.topicByName('t'), image.partition(ZERO_UUID, 0)]).toEqual([
      0,
      null,
      null,
      null,
    ])
    expect([...image.partitionsOf(1)]).toEqual([])
    expect(image.configs({ kind: 'topic', name: 't' }).size).toBe(0)
    const copy = createImage()
    copy.load(5, image.snapshot())
    expect([copy.index, plain(copy)]).toEqual([5, plain(image)])
  })

  test('replaces what changed and never changes what it handed out', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [
      [1, 2],
      [2, 1],
    ])
    const topic = cluster.committed.topicByName('t')
    const [first, second] = topic?.partitions ?? []
    const broker = cluster.committed.brokers.get(1)
    const before = JSON.stringify([topic, broker])
    cluster.fence(1)
    expect(JSON.stringify([topic, broker])).toBe(before)
    expect(cluster.committed.topicByName('t')).not.toBe(topic)
    expect(cluster.committed.partition(first?.topicId as string, 0)).not.toBe(first)
    expect(second?.isr).toEqual([2, 1])
    expect(cluster.committed.brokers.get(1)).not.toBe(broker)
  })

  test('shares nothing that it changes with a machine that began from it', () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('t', [[1, 2]])
    const snapshot = plain(cluster.committed)
    cluster.machine.handle({ kind: 'formCluster', clusterId: 'harness' }, 0)
    const { records } = cluster.machine.handle({ kind: 'fenceBroker', brokerId: 1, brokerEpoch: cluster.epoch(1) }, 0)
    for (const record of records) cluster.machine.replay(record, 99)
    expect(plain(cluster.committed)).toEqual(snapshot)
    expect(plain(cluster.image)).not.toEqual(snapshot)
  })

  test('tells what an entry changed', () => {
    const cluster = new Harness().start(1, 2)
    const topic = cluster.topic('t', [[1], [2]], { 'retention.ms': '5' })
    expect(cluster.changes).toMatchObject({ all: false, deletedTopics: [], brokers: [] })
    expect(cluster.changes?.createdTopics.map(({ name }) => name)).toEqual(['t'])
    expect(cluster.changes?.partitions.map(({ partition }) => partition)).toEqual([0, 1])
    expect(cluster.changes?.configs).toEqual([{ kind: 'topic', name: 't' }])
    cluster.fence(2)
    expect(cluster.changes?.partitions.map(({ partition }) => partition)).toEqual([1])
    expect(cluster.changes?.brokers).toEqual([2])
    cluster.ask({ kind: 'deleteTopics', topics: [{ name: 't', topicId: ZERO_UUID }] })
    expect(cluster.changes?.deletedTopics.map(({ id }) => id)).toEqual([topic.id])
    expect(cluster.changes?.partitions).toEqual([])
  })

  test('does not mention a topic that one entry created and deleted', () => {
    const id = 'AAAAAAAAAAAAAAAAAAAABQ'
    const changes = createImage().apply(
      1,
      encodeBatch([
        { name: 'topic', value: { topicId: id, name: 't' } },
        { name: 'removeTopic', value: { topicId: id } },
      ]),
    )
    expect(changes).toMatchObject({ createdTopics: [], deletedTopics: [], partitions: [] })
  })

  test('tells that everything may have changed when it was loaded', () => {
    const cluster = new Harness().start(1)
    const image = createImage()
    expect(image.load(9, cluster.committed.snapshot())).toMatchObject({ all: true, partitions: [] })
  })

  test('takes entries in rising order only, with gaps where others are not metadata', () => {
    const image = createImage()
    const noOp = encodeBatch([{ name: 'noOp', value: {} }])
    image.apply(3, noOp)
    image.apply(7, noOp)
    expect(image.index).toBe(7)
    expect(() => image.apply(7, noOp)).toThrow(BrokenInvariant)
  })

  test('refuses bytes that are none and stays as it was', () => {
    const cluster = new Harness().start(1)
    const before = plain(cluster.committed)
    const good = encodeBatch([{ name: 'cluster', value: { clusterId: 'other' } }])
    const bad = [
      new Uint8Array(0),
      new Uint8Array([9, 0]),
      new Uint8Array([1, 5]),
      new Uint8Array([...good, 0]),
      good.subarray(0, good.length - 1),
      new Uint8Array([1, 1, 99, 0]),
      new Uint8Array([1, 1, 1, 7, 0]),
      new Uint8Array([1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ]
    for (const bytes of bad) {
      expect(() => cluster.committed.apply(cluster.index + 1, bytes)).toThrow(MetadataDecodeError)
      expect(() => cluster.committed.load(cluster.index + 1, bytes)).toThrow(MetadataDecodeError)
    }
    expect(plain(cluster.committed)).toEqual(before)
  })

  test('ends at records that contradict it', () => {
    const id = 'AAAAAAAAAAAAAAAAAAAABQ'
    const topic = { name: 'topic', value: { topicId: id, name: 't' } } as const
    expect(() => createImage().apply(1, encodeBatch([topic, topic]))).toThrow(BrokenInvariant)
    expect(() => createImage().apply(1, encodeBatch([{ name: 'removeTopic', value: { topicId: id } }]))).toThrow(
      BrokenInvariant,
    )
  })

  test("finds a broker's partitions after topics come and go", () => {
    const cluster = new Harness().start(1, 2)
    cluster.topic('a', [[1], [2]])
    cluster.topic('b', [[2, 1]])
    const names = (): string[] => [...cluster.committed.partitionsOf(1)].map((one) => `${one.topic}-${one.partition}`)
    expect(names()).toEqual(['a-0', 'b-0'])
    cluster.ask({ kind: 'deleteTopics', topics: [{ name: 'a', topicId: ZERO_UUID }] })
    expect(names()).toEqual(['b-0'])
  })
})
