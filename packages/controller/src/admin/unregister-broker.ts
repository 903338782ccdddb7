import type { UnregisterBrokerRequest, UnregisterBrokerResponse } from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'

/** Forgets a broker for good; one that is alive registers again. */
export const unregisterBroker: AdminHandler<UnregisterBrokerRequest, UnregisterBrokerResponse> = (
  parts,
  { brokerId },
  reply,
) => {
  parts.proposals.ask({ kind: 'unregisterBroker', brokerId }, (answer, index) => {
    if (answer === null) return reply(null, index)
    reply({ throttleTimeMs: 0, errorCode: answer.error, errorMessage: answer.message }, index)
  })
}
