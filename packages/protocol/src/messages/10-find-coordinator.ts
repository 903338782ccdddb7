import {
  array,
  between,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableString,
  since,
  string,
  struct,
  until,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * The broker that coordinates a group (key type 0) or a transactional id (1): one up to version 3, many from 4 on (KIP-699). Version 3 is
 * flexible. Version 6 only adds share groups and is not served.
 */
export const FindCoordinatorRequest = message({
  key: 10,
  name: 'FindCoordinatorRequest',
  versions: [0, 5],
  flexible: 3,
  fields: {
    key: until(3, string, ''),
    keyType: since(1, int8, 0),
    coordinatorKeys: since(4, array(string), []),
  },
})
export type FindCoordinatorRequest = TypeOf<typeof FindCoordinatorRequest>

/** The answer to {@link FindCoordinatorRequest}; of the same version. */
export const FindCoordinatorResponse = message({
  key: 10,
  name: 'FindCoordinatorResponse',
  versions: [0, 5],
  flexible: 3,
  fields: {
    throttleTimeMs: ignorable(since(1, int32, 0)),
    errorCode: until(3, int16, 0),
    errorMessage: ignorable(between(1, 3, nullableString, null)),
    nodeId: until(3, int32, 0),
    host: until(3, string, ''),
    port: until(3, int32, 0),
    coordinators: since(
      4,
      array(
        struct({
          key: string,
          nodeId: int32,
          host: string,
          port: int32,
          errorCode: int16,
          errorMessage: nullableString,
        }),
      ),
      [],
    ),
  },
})
export type FindCoordinatorResponse = TypeOf<typeof FindCoordinatorResponse>

/** {@link FindCoordinatorRequest} and {@link FindCoordinatorResponse}, as the registry has them. */
export const FindCoordinatorApi = api(FindCoordinatorRequest, FindCoordinatorResponse)
