import { array, ignorable, int16, int32, int8, message, since, string, struct } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * What has a configuration. Version 0 lists subscriptions of client metrics only (16, KIP-714), 1 the types asked for, or all when none are
 * (KIP-1142).
 */
export const ListConfigResourcesRequest = message({
  key: 74,
  name: 'ListConfigResourcesRequest',
  versions: [0, 1],
  flexible: 0,
  fields: {
    resourceTypes: since(1, array(int8), []),
  },
})
export type ListConfigResourcesRequest = TypeOf<typeof ListConfigResourcesRequest>

/** The answer to {@link ListConfigResourcesRequest}; of the same version. */
export const ListConfigResourcesResponse = message({
  key: 74,
  name: 'ListConfigResourcesResponse',
  versions: [0, 1],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    configResources: array(struct({ resourceName: string, resourceType: ignorable(since(1, int8, 16)) })),
  },
})
export type ListConfigResourcesResponse = TypeOf<typeof ListConfigResourcesResponse>

/** {@link ListConfigResourcesRequest} and {@link ListConfigResourcesResponse}, as the registry has them. */
export const ListConfigResourcesApi = api(ListConfigResourcesRequest, ListConfigResourcesResponse)
