import { ZERO_UUID } from '@millrace/base'
import {
  array,
  ignorable,
  int16,
  int32,
  int64,
  message,
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
 * Appends record batches. Version 5 answers with the log's start, 8 with errors per record, 9 is flexible, 10 answers with the new leader
 * (KIP-951), 11 and 12 change what transactions mean (KIP-890). Version 13 names topics by id (KIP-516).
 */
export const ProduceRequest = message({
  key: 0,
  name: 'ProduceRequest',
  versions: [3, 13],
  flexible: 9,
  fields: {
    transactionalId: nullableString,
    /** 0: no answer; 1: the leader; -1: all in-sync replicas. */
    acks: int16,
    timeoutMs: int32,
    topicData: array(
      struct({
        name: ignorable(until(12, string, '')),
        topicId: ignorable(since(13, uuid, ZERO_UUID)),
        partitionData: array(struct({ index: int32, records: nullableRecords })),
      }),
    ),
  },
})
export type ProduceRequest = TypeOf<typeof ProduceRequest>

/** The answer to {@link ProduceRequest}; of the same version. */
export const ProduceResponse = message({
  key: 0,
  name: 'ProduceResponse',
  versions: [3, 13],
  flexible: 9,
  fields: {
    responses: array(
      struct({
        name: ignorable(until(12, string, '')),
        topicId: ignorable(since(13, uuid, ZERO_UUID)),
        partitionResponses: array(
          struct({
            index: int32,
            errorCode: int16,
            baseOffset: int64,
            /** -1 when the topic keeps the producer's timestamps. */
            logAppendTimeMs: int64,
            logStartOffset: ignorable(since(5, int64, -1)),
            recordErrors: ignorable(
              since(8, array(struct({ batchIndex: int32, batchIndexErrorMessage: nullableString })), []),
            ),
            errorMessage: ignorable(since(8, nullableString, null)),
            currentLeader: ignorable(tagged(0, 10, leaderIdAndEpoch, NO_LEADER)),
          }),
        ),
      }),
    ),
    throttleTimeMs: int32,
    nodeEndpoints: ignorable(nodeEndpoints(10)),
  },
})
export type ProduceResponse = TypeOf<typeof ProduceResponse>

/** Advertised from 0, because librdkafka up to 2.11.0 stops compressing otherwise (KAFKA-18659); 0 to 2 are refused when used. */
export const ProduceApi = api(ProduceRequest, ProduceResponse, [0, 13])
