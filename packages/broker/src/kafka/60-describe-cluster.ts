import { ErrorCode } from '@millrace/base'
import { DescribeClusterApi, OPERATIONS_NOT_ASKED } from '@millrace/protocol'
import type { DescribeClusterRequest, DescribeClusterResponse } from '@millrace/protocol'
import { clientController, endpointOf, liveEndpoints } from './endpoints.ts'
import { CLUSTER_OPERATIONS } from './operations.ts'
import type { Handler, Services } from './services.ts'

const BROKERS = 1
const CONTROLLERS = 2

/**
 * The brokers of the cluster, as the clients of one listener reach them; fenced ones only when asked for (version 2). Clients never talk to
 * controllers, so endpoint type 2, which is what `--bootstrap-controller` asks for, is at the wrong door.
 */
export function describeClusterHandler(services: Services): Handler<DescribeClusterRequest, DescribeClusterResponse> {
  return {
    api: DescribeClusterApi,
    serve(exchange, request) {
      const { endpointType } = request
      if (endpointType === BROKERS) exchange.respond(describe(services, request))
      else if (endpointType === CONTROLLERS)
        exchange.respond(refused(services, request, ErrorCode.MISMATCHED_ENDPOINT_TYPE))
      else exchange.respond(refused(services, request, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE))
    },
  }
}

function refused(
  { broker }: Services,
  { endpointType }: DescribeClusterRequest,
  errorCode: ErrorCode,
): DescribeClusterResponse {
  return {
    throttleTimeMs: 0,
    errorCode,
    errorMessage: 'clients reach the controller through any broker: use bootstrap servers, not bootstrap controllers',
    endpointType,
    clusterId: broker.image.clusterId ?? '',
    controllerId: -1,
    brokers: [],
    clusterAuthorizedOperations: OPERATIONS_NOT_ASKED,
  }
}

function describe({ broker, listener }: Services, request: DescribeClusterRequest): DescribeClusterResponse {
  const { image, controller, config } = broker
  const live = liveEndpoints(image, listener.name)
  const brokers: DescribeClusterResponse['brokers'][number][] = []
  for (const one of image.brokers.values()) {
    const endpoint = one.fenced && !request.includeFencedBrokers ? null : endpointOf(one, listener.name)
    if (endpoint === null) continue
    const { nodeId: brokerId, host, port, rack } = endpoint
    brokers.push({ brokerId, host, port, rack, isFenced: one.fenced })
  }
  return {
    throttleTimeMs: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    endpointType: BROKERS,
    clusterId: image.clusterId ?? '',
    controllerId: clientController(live, controller.controllerId, config.nodeId),
    brokers,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_ASKED,
  }
}
