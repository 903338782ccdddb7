import { ErrorCode } from '@millrace/base'
import { InitProducerIdApi } from '@millrace/protocol'
import type { InitProducerIdRequest, InitProducerIdResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

/**
 * An id for an idempotent producer, from any broker: always a new one in epoch 0 (KIP-360 lets such producers raise the epoch themselves).
 * COORDINATOR_LOAD_IN_PROGRESS until the broker has a block of ids; clients repeat that at once. Nobody coordinates transactions, so a
 * transactional id is refused with the error that every client takes for final; COORDINATOR_NOT_AVAILABLE would have it try for ever.
 */
export function initProducerIdHandler(services: Services): Handler<InitProducerIdRequest, InitProducerIdResponse> {
  return {
    api: InitProducerIdApi,
    serve(exchange, request) {
      const refusal = refusalOf(request)
      const { error, producerId, producerEpoch } =
        refusal === ErrorCode.NONE
          ? services.broker.producerIds.init(request)
          : { error: refusal, producerId: -1, producerEpoch: -1 }
      exchange.respond({ throttleTimeMs: 0, errorCode: error, producerId, producerEpoch })
    },
  }
}

function refusalOf({ transactionalId }: InitProducerIdRequest): ErrorCode {
  if (transactionalId === null) return ErrorCode.NONE
  return transactionalId === '' ? ErrorCode.INVALID_REQUEST : ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
}
