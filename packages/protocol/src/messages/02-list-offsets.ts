import { array, ignorable, int16, int32, int64, int8, message, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Offsets by time. Special times: -1 latest, -2 earliest, -3 the record with the largest timestamp (7), -4 earliest local (8), -5 latest
 * in tiered storage (9), -6 earliest not yet there (11). Version 4 brings leader epochs, 6 is flexible, 10 has a timeout.
 */
export const ListOffsetsRequest = message({
  key: 2,
  name: 'ListOffsetsRequest',
  versions: [1, 11],
  flexible: 6,
  fields: {
    replicaId: int32,
    isolationLevel: since(2, int8, 0),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({ partitionIndex: int32, currentLeaderEpoch: ignorable(since(4, int32, -1)), timestamp: int64 }),
        ),
      }),
    ),
    timeoutMs: ignorable(since(10, int32, 0)),
  },
})
export type ListOffsetsRequest = TypeOf<typeof ListOffsetsRequest>

/** The answer to {@link ListOffsetsRequest}; of the same version. */
export const ListOffsetsResponse = message({
  key: 2,
  name: 'ListOffsetsResponse',
  versions: [1, 11],
  flexible: 6,
  fields: {
    throttleTimeMs: ignorable(since(2, int32, 0)),
    topics: array(
      struct({
        name: string,
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            timestamp: int64,
            /** -1, without an error, when no record is that young. */
            offset: int64,
            leaderEpoch: ignorable(since(4, int32, -1)),
          }),
        ),
      }),
    ),
  },
})
export type ListOffsetsResponse = TypeOf<typeof ListOffsetsResponse>

/** {@link ListOffsetsRequest} and {@link ListOffsetsResponse}, as the registry has them. */
export const ListOffsetsApi = api(ListOffsetsRequest, ListOffsetsResponse)
