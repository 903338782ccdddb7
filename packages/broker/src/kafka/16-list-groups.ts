import { ErrorCode } from '@millrace/base'
import { ListGroupsApi } from '@millrace/protocol'
import type { ListGroupsRequest, ListGroupsResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

/** The groups that this broker coordinates, of all brokers' which the client adds up; by state from version 4 on, by type from 5 on. */
export function listGroupsHandler(services: Services): Handler<ListGroupsRequest, ListGroupsResponse> {
  return {
    api: ListGroupsApi,
    serve(exchange, { statesFilter, typesFilter }) {
      const listed = services.broker.groups.list(statesFilter, typesFilter)
      const groups = typeof listed === 'number' ? [] : listed
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: typeof listed === 'number' ? listed : ErrorCode.NONE,
        groups: groups.map(({ groupId, protocolType, state, type }) => ({
          groupId,
          protocolType,
          groupState: state,
          groupType: type,
        })),
      })
    },
  }
}
