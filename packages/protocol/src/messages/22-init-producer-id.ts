import { int16, int32, int64, message, nullableString, since } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** A producer id and epoch, for idempotence or for a transactional id. Version 2 is flexible, 3 lets a producer keep its id (KIP-360). */
export const InitProducerIdRequest = message({
  key: 22,
  name: 'InitProducerIdRequest',
  versions: [0, 5],
  flexible: 2,
  fields: {
    transactionalId: nullableString,
    transactionTimeoutMs: int32,
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
  },
})
export type InitProducerIdRequest = TypeOf<typeof InitProducerIdRequest>

/** The answer to {@link InitProducerIdRequest}; of the same version. */
export const InitProducerIdResponse = message({
  key: 22,
  name: 'InitProducerIdResponse',
  versions: [0, 5],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: int64,
    producerEpoch: int16,
  },
})
export type InitProducerIdResponse = TypeOf<typeof InitProducerIdResponse>

/** {@link InitProducerIdRequest} and {@link InitProducerIdResponse}, as the registry has them. */
export const InitProducerIdApi = api(InitProducerIdRequest, InitProducerIdResponse)
