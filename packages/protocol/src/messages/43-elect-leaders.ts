import {
  array,
  int16,
  int32,
  int8,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Starts elections: 0 for the preferred replica, 1 (version 1, KIP-460) unclean. Null means every partition. Version 2 is flexible. */
export const ElectLeadersRequest = message({
  key: 43,
  name: 'ElectLeadersRequest',
  versions: [0, 2],
  flexible: 2,
  fields: {
    electionType: since(1, int8, 0),
    topicPartitions: nullableArray(struct({ topic: string, partitions: array(int32) })),
    timeoutMs: int32,
  },
})
export type ElectLeadersRequest = TypeOf<typeof ElectLeadersRequest>

/** The answer to {@link ElectLeadersRequest}; of the same version. */
export const ElectLeadersResponse = message({
  key: 43,
  name: 'ElectLeadersResponse',
  versions: [0, 2],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    errorCode: since(1, int16, 0),
    replicaElectionResults: array(
      struct({
        topic: string,
        partitionResult: array(struct({ partitionId: int32, errorCode: int16, errorMessage: nullableString })),
      }),
    ),
  },
})
export type ElectLeadersResponse = TypeOf<typeof ElectLeadersResponse>

/** {@link ElectLeadersRequest} and {@link ElectLeadersResponse}, as the registry has them. */
export const ElectLeadersApi = api(ElectLeadersRequest, ElectLeadersResponse)
