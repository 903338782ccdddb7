import { int16, int32, message, nullableString } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Forgets a broker that will not come back. */
export const UnregisterBrokerRequest = message({
  key: 64,
  name: 'UnregisterBrokerRequest',
  versions: [0, 0],
  flexible: 0,
  fields: {
    brokerId: int32,
  },
})
export type UnregisterBrokerRequest = TypeOf<typeof UnregisterBrokerRequest>

/** The answer to {@link UnregisterBrokerRequest}; of the same version. */
export const UnregisterBrokerResponse = message({
  key: 64,
  name: 'UnregisterBrokerResponse',
  versions: [0, 0],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
  },
})
export type UnregisterBrokerResponse = TypeOf<typeof UnregisterBrokerResponse>

/** {@link UnregisterBrokerRequest} and {@link UnregisterBrokerResponse}, as the registry has them. */
export const UnregisterBrokerApi = api(UnregisterBrokerRequest, UnregisterBrokerResponse)
