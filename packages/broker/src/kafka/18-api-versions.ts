import { ErrorCode } from '@millrace/base'
import { FEATURES } from '@millrace/metadata'
import { ApiVersionsApi } from '@millrace/protocol'
import type { Api, ApiVersionsRequest, ApiVersionsResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

/** What a client may call itself and its version (KIP-511). */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * Tells a client what this broker serves, and nothing it does not: clients pick features by these ranges. A version that is not
 * served was answered before this handler (KIP-511). The features' epoch is the metadata index, one number for the cluster that only rises.
 */
export function apiVersionsHandler(
  services: Services,
  apis: readonly Api<never, never>[],
): Handler<ApiVersionsRequest, ApiVersionsResponse> {
  const apiKeys = apis
    .map(({ key, advertised }) => ({ apiKey: key, minVersion: advertised[0], maxVersion: advertised[1] }))
    .sort((a, b) => a.apiKey - b.apiKey)
  return {
    api: ApiVersionsApi,
    serve(exchange, request) {
      const named = exchange.version < 3 || isNamed(request)
      const { index } = services.broker.image
      const full = exchange.version >= 3 && named
      exchange.respond({
        errorCode: named ? ErrorCode.NONE : ErrorCode.INVALID_REQUEST,
        apiKeys: named ? apiKeys : [],
        throttleTimeMs: 0,
        supportedFeatures: full
          ? FEATURES.map(({ name, min, max }) => ({ name, minVersion: min, maxVersion: max }))
          : [],
        finalizedFeaturesEpoch: full ? index : -1,
        finalizedFeatures: full
          ? FEATURES.map(({ name, max }) => ({ name, maxVersionLevel: max, minVersionLevel: max }))
          : [],
        zkMigrationReady: false,
      })
    },
  }
}

function isNamed({ clientSoftwareName, clientSoftwareVersion }: ApiVersionsRequest): boolean {
  return SOFTWARE_NAME.test(clientSoftwareName) && SOFTWARE_NAME.test(clientSoftwareVersion)
}
