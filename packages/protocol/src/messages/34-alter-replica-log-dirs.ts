import { array, int16, int32, message, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Moves replicas between the directories of one broker (KIP-113). Version 2 is flexible. */
export const AlterReplicaLogDirsRequest = message({
  key: 34,
  name: 'AlterReplicaLogDirsRequest',
  versions: [1, 2],
  flexible: 2,
  fields: {
    dirs: array(struct({ path: string, topics: array(struct({ name: string, partitions: array(int32) })) })),
  },
})
export type AlterReplicaLogDirsRequest = TypeOf<typeof AlterReplicaLogDirsRequest>

/** The answer to {@link AlterReplicaLogDirsRequest}; of the same version. */
export const AlterReplicaLogDirsResponse = message({
  key: 34,
  name: 'AlterReplicaLogDirsResponse',
  versions: [1, 2],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    results: array(
      struct({ topicName: string, partitions: array(struct({ partitionIndex: int32, errorCode: int16 })) }),
    ),
  },
})
export type AlterReplicaLogDirsResponse = TypeOf<typeof AlterReplicaLogDirsResponse>

/** {@link AlterReplicaLogDirsRequest} and {@link AlterReplicaLogDirsResponse}, as the registry has them. */
export const AlterReplicaLogDirsApi = api(AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse)
