import { ErrorCode } from '@millrace/base'
import { DescribeLogDirsApi } from '@millrace/protocol'
import type { DescribeLogDirsRequest, DescribeLogDirsResponse } from '@millrace/protocol'
import type { Replica, Replicas } from '../seams.ts'
import type { Handler, Services } from './services.ts'

type Directory = ReturnType<Replicas['directories']>[number]
type Topics = DescribeLogDirsResponse['results'][number]['topics']
type Wanted = (replica: Replica) => boolean

/** What lies in this broker's log directories. Null topics means all. A broken directory has its error and no topics. */
export function describeLogDirsHandler(services: Services): Handler<DescribeLogDirsRequest, DescribeLogDirsResponse> {
  return {
    api: DescribeLogDirsApi,
    serve(exchange, request) {
      const wanted = filter(request)
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        results: services.broker.replicas.directories().map((directory) => ({
          errorCode: directory.error,
          logDir: directory.path,
          topics: directory.error === ErrorCode.NONE ? topicsOf(directory, wanted) : [],
          totalBytes: directory.totalBytes,
          usableBytes: directory.usableBytes,
          isCordoned: false,
        })),
      })
    },
  }
}

function filter({ topics }: DescribeLogDirsRequest): Wanted {
  if (topics === null) return () => true
  const wanted = new Map<string, Set<number>>()
  for (const { topic, partitions } of topics) {
    const known = wanted.get(topic) ?? new Set<number>()
    for (const partition of partitions) known.add(partition)
    wanted.set(topic, known)
  }
  return ({ topic, partition }) => wanted.get(topic)?.has(partition) ?? false
}

function topicsOf({ replicas }: Directory, wanted: Wanted): Topics {
  const topics = new Map<string, Topics[number]['partitions'][number][]>()
  for (const replica of replicas) {
    if (!wanted(replica)) continue
    const partitions = topics.get(replica.topic) ?? []
    partitions.push({
      partitionIndex: replica.partition,
      partitionSize: replica.sizeBytes,
      offsetLag: replica.lag,
      isFutureKey: false,
    })
    topics.set(replica.topic, partitions)
  }
  return Array.from(topics, ([name, partitions]) => ({ name, partitions }))
}
