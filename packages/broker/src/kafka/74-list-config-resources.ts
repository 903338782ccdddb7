import { ErrorCode } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import { ListConfigResourcesApi } from '@millrace/protocol'
import type { ListConfigResourcesRequest, ListConfigResourcesResponse } from '@millrace/protocol'
import { ResourceType } from './resource-types.ts'
import type { Handler, Services } from './services.ts'

type Resource = ListConfigResourcesResponse['configResources'][number]

const ALL = Object.values(ResourceType)
/** The first version that asks for other types than subscriptions of client metrics. */
const TYPES_SINCE = 1

/** Names of what has settings: every topic and live broker, and the groups that somebody set something for. Nobody collects metrics of clients. */
export function listConfigResourcesHandler(
  services: Services,
): Handler<ListConfigResourcesRequest, ListConfigResourcesResponse> {
  return {
    api: ListConfigResourcesApi,
    serve(exchange, { resourceTypes }) {
      const types = exchange.version < TYPES_SINCE ? [ResourceType.CLIENT_METRICS] : resourceTypes
      const wanted = new Set<number>(types.length === 0 ? ALL : types)
      const known = [...wanted].every((type) => ALL.some((one) => one === type))
      exchange.respond({
        throttleTimeMs: 0,
        errorCode: known ? ErrorCode.NONE : ErrorCode.UNSUPPORTED_VERSION,
        configResources: known ? [...wanted].flatMap((type) => resourcesOf(services.broker.image, type)) : [],
      })
    },
  }
}

function resourcesOf(image: ClusterImage, resourceType: number): Resource[] {
  return Array.from(namesOf(image, resourceType), (resourceName) => ({ resourceName, resourceType }))
}

function namesOf(image: ClusterImage, resourceType: number): Iterable<string> {
  switch (resourceType) {
    case ResourceType.TOPIC:
      return Array.from(image.topics.values(), ({ name }) => name)
    case ResourceType.BROKER:
    case ResourceType.BROKER_LOGGER:
      return [...image.brokers.values()].filter(({ fenced }) => !fenced).map(({ id }) => String(id))
    case ResourceType.GROUP:
      return image.configured('group').keys()
    default:
      return []
  }
}
