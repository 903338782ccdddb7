import { ErrorCode } from '@millrace/base'
import { FindCoordinatorApi } from '@millrace/protocol'
import type { FindCoordinatorRequest, FindCoordinatorResponse } from '@millrace/protocol'
import { endpointOf } from './endpoints.ts'
import type { Handler, Services } from './services.ts'

type Coordinator = FindCoordinatorResponse['coordinators'][number]

/** The first version that asks for several keys (KIP-699). */
const SEVERAL_SINCE = 4
const GROUP = 0
const TRANSACTION = 1

/**
 * Who coordinates a group: the leader of the partition of `__consumer_offsets` that its id hashes to. The topic is made when it is first asked
 * for, and until it is there, as while its partition has no leader, clients are told to come back. Nobody coordinates transactions:
 * that is said with the error that every client takes for final.
 */
export function findCoordinatorHandler(services: Services): Handler<FindCoordinatorRequest, FindCoordinatorResponse> {
  return {
    api: FindCoordinatorApi,
    serve(exchange, { key, keyType, coordinatorKeys }) {
      const several = exchange.version >= SEVERAL_SINCE
      const found = (several ? coordinatorKeys : [key]).map((one) => find(services, keyType, one))
      const { nodeId, host, port, errorCode, errorMessage } = several ? NOT_ASKED : (found[0] ?? NOT_ASKED)
      const coordinators = several ? found : []
      exchange.respond({ throttleTimeMs: 0, errorCode, errorMessage, nodeId, host, port, coordinators })
    },
  }
}

const NOT_ASKED = { nodeId: 0, host: '', port: 0, errorCode: ErrorCode.NONE, errorMessage: null }

function find({ broker, listener }: Services, keyType: number, key: string): Coordinator {
  if (keyType === TRANSACTION)
    return missing(key, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 'nobody coordinates transactions')
  if (keyType !== GROUP) return missing(key, ErrorCode.INVALID_REQUEST, `key type ${keyType} is not served`)
  const home = broker.groups.homeOf(key)
  if (home === null)
    return missing(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, 'the topic of group offsets is being made')
  const leader = broker.image.brokers.get(home.leader)
  if (leader === undefined || leader.fenced)
    return missing(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, `${home.topic}-${home.partition} has no leader`)
  const endpoint = endpointOf(leader, listener.name)
  if (endpoint === null)
    return missing(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, `broker ${leader.id} has no listener ${listener.name}`)
  const { nodeId, host, port } = endpoint
  return { key, nodeId, host, port, errorCode: ErrorCode.NONE, errorMessage: null }
}

function missing(key: string, errorCode: ErrorCode, errorMessage: string): Coordinator {
  return { key, nodeId: -1, host: '', port: -1, errorCode, errorMessage }
}
