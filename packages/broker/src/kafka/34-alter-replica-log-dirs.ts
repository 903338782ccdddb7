import { ErrorCode } from '@millrace/base'
import { AlterReplicaLogDirsApi } from '@millrace/protocol'
import type { AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse } from '@millrace/protocol'
import type { Replica, Replicas } from '../seams.ts'
import type { Handler, Services } from './services.ts'

type Directory = ReturnType<Replicas['directories']>[number]
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
      const { replicas } = services.broker
      const directories = new Map(replicas.directories().map((one) => [one.path, one]))
      const results = new Map<string, Result['partitions'][number][]>()
      for (const { path, topics } of dirs) {
        const target = directories.get(path)
        const held = new Set(target?.replicas)
        for (const { name, partitions } of topics) {
          const answers = results.get(name) ?? []
          results.set(name, answers)
          for (const partitionIndex of partitions) {
            const errorCode = directoryError(target) || moveError(replicas.find(name, partitionIndex), held)
            answers.push({ partitionIndex, errorCode })
          }
        }
      }
      exchange.respond({
        throttleTimeMs: 0,
        results: Array.from(results, ([topicName, partitions]) => ({ topicName, partitions })),
      })
    },
  }
}

function directoryError(target: Directory | undefined): ErrorCode {
  return target === undefined ? ErrorCode.LOG_DIR_NOT_FOUND : target.error
}

function moveError(replica: Replica | ErrorCode, held: ReadonlySet<Replica>): ErrorCode {
  if (replica === ErrorCode.NOT_LEADER_OR_FOLLOWER) return ErrorCode.REPLICA_NOT_AVAILABLE
  if (typeof replica === 'number') return replica
  return held.has(replica) ? ErrorCode.NONE : ErrorCode.INVALID_REPLICA_ASSIGNMENT
}
