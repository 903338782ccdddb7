import { ErrorCode } from '@millrace/base'
import { AlterReplicaLogDirsApi } from '@millrace/protocol'
import type { AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse } from '@millrace/protocol'
import type { Replica } from '../seams.ts'
import type { Handler, Services } from './services.ts'

/** A directory of this broker, with the replicas that lie in it. */
interface Target {
  readonly error: ErrorCode
  readonly held: ReadonlySet<Replica>
}

type Result = AlterReplicaLogDirsResponse['results'][number]

/**
 * Replicas stay in the directory that they were made in: one that lies where it is to lie is moved already, any other move is refused with
 * INVALID_REPLICA_ASSIGNMENT, as Kafka refuses a directory that is cordoned (KIP-1066). What Kafka says of a directory or a replica that is
 * not here is said here too.
 */
export function alterReplicaLogDirsHandler(
  services: Services,
): Handler<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse> {
  return {
    api: AlterReplicaLogDirsApi,
    serve(exchange, { dirs }) {
      const targets = targetsOf(services)
      const results = new Map<string, Result['partitions'][number][]>()
      for (const { path, topics } of dirs)
        for (const { name, partitions } of topics) {
          const answers = results.get(name) ?? []
          results.set(name, answers)
          for (const partitionIndex of partitions)
            answers.push({ partitionIndex, errorCode: moveError(services, targets.get(path), name, partitionIndex) })
        }
      exchange.respond({
        throttleTimeMs: 0,
        results: Array.from(results, ([topicName, partitions]) => ({ topicName, partitions })),
      })
    },
  }
}

function targetsOf({ broker }: Services): ReadonlyMap<string, Target> {
  const directories = broker.replicas.directories()
  return new Map(directories.map(({ path, error, replicas }) => [path, { error, held: new Set(replicas) }]))
}

function moveError({ broker }: Services, target: Target | undefined, topic: string, partition: number): ErrorCode {
  if (target === undefined) return ErrorCode.LOG_DIR_NOT_FOUND
  if (target.error !== ErrorCode.NONE) return target.error
  const replica = broker.replicas.find(topic, partition)
  if (replica === ErrorCode.NOT_LEADER_OR_FOLLOWER) return ErrorCode.REPLICA_NOT_AVAILABLE
  if (typeof replica === 'number') return replica
  return target.held.has(replica) ? ErrorCode.NONE : ErrorCode.INVALID_REPLICA_ASSIGNMENT
}
