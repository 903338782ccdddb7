import { ErrorCode } from '@millrace/base'
import { AlterReplicaLogDirsApi } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { harness } from './harness.ts'

function moved(version: number, path: string, topic = 't', extra = 'none') {
  const { broker, connect } = harness()
  broker.topic('t', 2)
  broker.image.addTopic('elsewhere', [{}])
  const topics = [
    { name: topic, partitions: [0] },
    { name: extra, partitions: [1] },
  ]
  const { results } = connect().ask(AlterReplicaLogDirsApi, version, { dirs: [{ path, topics }] })
  return results.map(({ topicName, partitions }) => [topicName, ...partitions.map((one) => one.errorCode)])
}

// The fake broker has all of its replicas in /data/a, and /data/b is broken.
test.each([1, 2])('in version %i a replica that lies where it is to lie is moved already', (version) => {
  expect(moved(version, '/data/a')).toEqual([
    ['t', 0],
    ['none', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ])
})

test('a replica of other brokers is not available here', () => {
  expect(moved(2, '/data/a', 'elsewhere')[0]).toEqual(['elsewhere', ErrorCode.REPLICA_NOT_AVAILABLE])
})

test('an unknown directory is not found, a broken one is told', () => {
  expect(moved(2, '/data/c')).toEqual([
    ['t', ErrorCode.LOG_DIR_NOT_FOUND],
    ['none', ErrorCode.LOG_DIR_NOT_FOUND],
  ])
  expect(moved(2, '/data/b')[0]).toEqual(['t', ErrorCode.KAFKA_STORAGE_ERROR])
})

test('a replica is not moved to another directory', () => {
  const { broker, connect } = harness()
  broker.topic('t')
  const [a] = broker.replicas.directories()
  const b = { path: '/data/c', usableBytes: 1, totalBytes: 1, error: ErrorCode.NONE, replicas: [] }
  broker.replicas.directories = () => (a === undefined ? [b] : [a, b])
  const dirs = [{ path: '/data/c', topics: [{ name: 't', partitions: [0] }] }]
  expect(connect().ask(AlterReplicaLogDirsApi, 2, { dirs }).results).toEqual([
    { topicName: 't', partitions: [{ partitionIndex: 0, errorCode: ErrorCode.INVALID_REPLICA_ASSIGNMENT }] },
  ])
})
