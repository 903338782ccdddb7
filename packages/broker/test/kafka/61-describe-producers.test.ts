import { ErrorCode } from '@millrace/base'
import { DescribeProducersApi } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { harness } from './harness.ts'
import type { FakeReplica } from './fake-broker.ts'

const PRODUCER = {
  producerId: 7,
  producerEpoch: 2,
  lastSequence: 41,
  lastTimestamp: 1_700_000_000_000,
  coordinatorEpoch: -1,
  openFrom: -1,
  batches: [],
}

test('DescribeProducers tells what the leader knows, each partition once', () => {
  const { broker, connect } = harness()
  const [first] = broker.topic('t', 2) as [FakeReplica]
  first.producers = [PRODUCER]
  const topics = [[0, 1, 0], [1]].map((partitionIndexes) => ({ name: 't', partitionIndexes }))
  expect(connect().ask(DescribeProducersApi, 0, { topics }).topics).toEqual([
    {
      name: 't',
      partitions: [
        {
          partitionIndex: 0,
          errorCode: 0,
          errorMessage: null,
          activeProducers: [
            {
              producerId: 7,
              producerEpoch: 2,
              lastSequence: 41,
              lastTimestamp: 1_700_000_000_000,
              coordinatorEpoch: -1,
              currentTxnStartOffset: -1,
            },
          ],
        },
        { partitionIndex: 1, errorCode: 0, errorMessage: null, activeProducers: [] },
      ],
    },
  ])
})

test('DescribeProducers of a follower, of a replica elsewhere and of nothing at all says so', () => {
  const { broker, connect } = harness()
  const [follower] = broker.topic('t') as [FakeReplica]
  follower.error = ErrorCode.NOT_LEADER_OR_FOLLOWER
  broker.image.addTopic('elsewhere', [{}])
  const topics = ['t', 'elsewhere', 'none'].map((name) => ({ name, partitionIndexes: [0] }))
  const answer = connect().ask(DescribeProducersApi, 0, { topics })
  expect(answer.topics.map(({ partitions }) => partitions[0]?.errorCode)).toEqual([
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ])
})
