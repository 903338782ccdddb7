import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import {
  array,
  ignorable,
  int16,
  int32,
  int64,
  int8,
  message,
  nullable,
  nullableRecords,
  nullableString,
  since,
  string,
  struct,
  tagged,
  until,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'
import { leaderIdAndEpoch, NO_LEADER, nodeEndpoints } from './shared.ts'

/**
 * Reads record batches. Version 7 brings sessions (KIP-227), 9 the leader epoch (KIP-320), 11 reading from the nearest replica (KIP-392), 12
 * is flexible and tells where logs diverge (KIP-595), 13 names topics by id (KIP-516), 15 moves who replicates into a tag, 16 answers with the
 * new leader's address (KIP-951), 17 and 18 tell of replicas only.
 */
export const FetchRequest = message({
  key: 1,
  name: 'FetchRequest',
  versions: [4, 18],
  flexible: 12,
  fields: {
    clusterId: ignorable(tagged(0, 12, nullableString, null)),
    /** -1 for a consumer. */
    replicaId: until(14, int32, -1),
    /** In place of `replicaId`. */
    replicaState: tagged(1, 15, struct({ replicaId: int32, replicaEpoch: int64 }), {
      replicaId: -1,
      replicaEpoch: -1,
    }),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32,
    /** 0: read uncommitted; 1: read committed. */
    isolationLevel: int8,
    sessionId: ignorable(since(7, int32, 0)),
    /** -1: no session. */
    sessionEpoch: ignorable(since(7, int32, -1)),
    topics: array(
      struct({
        topic: ignorable(until(12, string, '')),
        topicId: ignorable(since(13, uuid, ZERO_UUID)),
        partitions: array(
          struct({
            partition: int32,
            currentLeaderEpoch: ignorable(since(9, int32, -1)),
            fetchOffset: int64,
            lastFetchedEpoch: since(12, int32, -1),
            logStartOffset: ignorable(since(5, int64, -1)),
            partitionMaxBytes: int32,
            replicaDirectoryId: ignorable(tagged(0, 17, uuid, ZERO_UUID)),
            highWatermark: ignorable(tagged(1, 18, int64, LONG_MAX)),
          }),
        ),
      }),
    ),
    forgottenTopicsData: since(
      7,
      array(
        struct({
          topic: ignorable(until(12, string, '')),
          topicId: ignorable(since(13, uuid, ZERO_UUID)),
          partitions: array(int32),
        }),
      ),
      [],
    ),
    rackId: ignorable(since(11, string, '')),
  },
})
export type FetchRequest = TypeOf<typeof FetchRequest>

/** The answer to {@link FetchRequest}; of the same version. */
export const FetchResponse = message({
  key: 1,
  name: 'FetchResponse',
  versions: [4, 18],
  flexible: 12,
  fields: {
    throttleTimeMs: int32,
    errorCode: ignorable(since(7, int16, 0)),
    sessionId: since(7, int32, 0),
    responses: array(
      struct({
        topic: ignorable(until(12, string, '')),
        topicId: ignorable(since(13, uuid, ZERO_UUID)),
        partitions: array(
          struct({
            partitionIndex: int32,
            errorCode: int16,
            highWatermark: int64,
            lastStableOffset: int64,
            logStartOffset: ignorable(since(5, int64, -1)),
            divergingEpoch: tagged(0, 12, struct({ epoch: int32, endOffset: int64 }), { epoch: -1, endOffset: -1 }),
            currentLeader: ignorable(tagged(1, 12, leaderIdAndEpoch, NO_LEADER)),
            snapshotId: tagged(2, 12, struct({ endOffset: int64, epoch: int32 }), { endOffset: -1, epoch: -1 }),
            /** Null unless the reader asked for committed records only. */
            abortedTransactions: nullable(array(struct({ producerId: int64, firstOffset: int64 }))),
            preferredReadReplica: since(11, int32, -1),
            records: nullableRecords,
          }),
        ),
      }),
    ),
    nodeEndpoints: nodeEndpoints(16),
  },
})
export type FetchResponse = TypeOf<typeof FetchResponse>

/** {@link FetchRequest} and {@link FetchResponse}, as the registry has them. */
export const FetchApi = api(FetchRequest, FetchResponse)
