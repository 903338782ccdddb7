import { ZERO_UUID } from '@millrace/base'
import {
  array,
  ignorable,
  int16,
  int32,
  message,
  nullableSince,
  nullableString,
  since,
  string,
  struct,
  until,
  uuid,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Deletes topics: by name in `topicNames` up to version 5, by name or by id in `topics` from 6 on. Version 4 is flexible. */
export const DeleteTopicsRequest = message({
  key: 20,
  name: 'DeleteTopicsRequest',
  versions: [1, 6],
  flexible: 4,
  fields: {
    topics: since(6, array(struct({ name: nullableString, topicId: uuid })), []),
    topicNames: ignorable(until(5, array(string), [])),
    timeoutMs: int32,
  },
})
export type DeleteTopicsRequest = TypeOf<typeof DeleteTopicsRequest>

/** The answer to {@link DeleteTopicsRequest}; of the same version. */
export const DeleteTopicsResponse = message({
  key: 20,
  name: 'DeleteTopicsResponse',
  versions: [1, 6],
  flexible: 4,
  fields: {
    throttleTimeMs: int32,
    responses: array(
      struct({
        name: nullableSince(6, string),
        topicId: ignorable(since(6, uuid, ZERO_UUID)),
        errorCode: int16,
        errorMessage: ignorable(since(5, nullableString, null)),
      }),
    ),
  },
})
export type DeleteTopicsResponse = TypeOf<typeof DeleteTopicsResponse>

/** {@link DeleteTopicsRequest} and {@link DeleteTopicsResponse}, as the registry has them. */
export const DeleteTopicsApi = api(DeleteTopicsRequest, DeleteTopicsResponse)
