import { array, bool, ignorable, int16, int32, int64, message, since, string, struct, tagged } from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * What the broker can do; mostly a connection's first request, and allowed before authentication. Version 3 is flexible, but the response
 * header never is. Below 4, features whose minimum is 0 must be left out of a response (KAFKA-17011).
 */
export const ApiVersionsRequest = message({
  key: 18,
  name: 'ApiVersionsRequest',
  versions: [0, 4],
  flexible: 3,
  fields: {
    clientSoftwareName: ignorable(since(3, string, '')),
    clientSoftwareVersion: ignorable(since(3, string, '')),
  },
})
export type ApiVersionsRequest = TypeOf<typeof ApiVersionsRequest>

/** The answer to {@link ApiVersionsRequest}; of the same version. */
export const ApiVersionsResponse = message({
  key: 18,
  name: 'ApiVersionsResponse',
  versions: [0, 4],
  flexible: 3,
  fields: {
    errorCode: int16,
    apiKeys: array(struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: ignorable(since(1, int32, 0)),
    supportedFeatures: ignorable(
      tagged(0, 3, array(struct({ name: string, minVersion: int16, maxVersion: int16 })), []),
    ),
    /** Rises with every change of the features, the same on all brokers; -1 when unknown. */
    finalizedFeaturesEpoch: ignorable(tagged(1, 3, int64, -1)),
    finalizedFeatures: ignorable(
      tagged(2, 3, array(struct({ name: string, maxVersionLevel: int16, minVersionLevel: int16 })), []),
    ),
    zkMigrationReady: ignorable(tagged(3, 3, bool, false)),
  },
})
export type ApiVersionsResponse = TypeOf<typeof ApiVersionsResponse>

/** {@link ApiVersionsRequest} and {@link ApiVersionsResponse}, as the registry has them. */
export const ApiVersionsApi = api(ApiVersionsRequest, ApiVersionsResponse)
