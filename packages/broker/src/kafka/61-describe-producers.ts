import { ErrorCode } from '@millrace/base'
import { DescribeProducersApi } from '@millrace/protocol'
import type { DescribeProducersRequest, DescribeProducersResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

type Answer = DescribeProducersResponse['topics'][number]['partitions'][number]

/** What the leader of a partition knows of idempotent producers; whoever does not lead says so, and clients ask the leader. */
export function describeProducersHandler(
  services: Services,
): Handler<DescribeProducersRequest, DescribeProducersResponse> {
  return {
    api: DescribeProducersApi,
    serve(exchange, { topics }) {
      // Each once: what is known of a partition is much larger than its number.
      const asked = new Map<string, Set<number>>()
      for (const { name, partitionIndexes } of topics) {
        const indexes = asked.get(name) ?? new Set()
        for (const index of partitionIndexes) indexes.add(index)
        asked.set(name, indexes)
      }
      exchange.respond({
        throttleTimeMs: 0,
        topics: Array.from(asked, ([name, indexes]) => ({
          name,
          partitions: Array.from(indexes, (index) => described(services, name, index)),
        })),
      })
    },
  }
}

function described({ broker }: Services, topic: string, partitionIndex: number): Answer {
  const replica = broker.replicas.find(topic, partitionIndex)
  const producers = typeof replica === 'number' ? replica : replica.activeProducers()
  if (typeof producers === 'number')
    return { partitionIndex, errorCode: producers, errorMessage: null, activeProducers: [] }
  const activeProducers = Array.from(producers, (one) => ({
    producerId: one.producerId,
    producerEpoch: one.producerEpoch,
    lastSequence: one.lastSequence,
    lastTimestamp: one.lastTimestamp,
    coordinatorEpoch: one.coordinatorEpoch,
    currentTxnStartOffset: one.openFrom,
  }))
  return { partitionIndex, errorCode: ErrorCode.NONE, errorMessage: null, activeProducers }
}
