import type { BrokerImage, ClusterImage } from '@millrace/metadata'

/** A broker as the clients of one listener reach it. */
export interface ClientEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Where a client of the listener reaches the broker; null when it has no such listener. */
export function endpointOf(broker: BrokerImage, listener: string): ClientEndpoint | null {
  const endpoint = broker.endpoints.find((one) => one.name === listener)
  return endpoint === undefined
    ? null
    : { nodeId: broker.id, host: endpoint.host, port: endpoint.port, rack: broker.rack }
}

/** Where those leaders are that the clients of the listener can reach, each once, so that they can go on without asking. */
export function endpointsOf(
  {
    broker,
    listener,
  }: { readonly broker: { readonly image: ClusterImage }; readonly listener: { readonly name: string } },
  leaders: Iterable<{ readonly leaderId: number }>,
): ClientEndpoint[] {
  const endpoints = new Map<number, ClientEndpoint>()
  for (const { leaderId } of leaders) {
    const image = broker.image.brokers.get(leaderId)
    const endpoint = image === undefined ? null : endpointOf(image, listener.name)
    if (endpoint !== null) endpoints.set(leaderId, endpoint)
  }
  return [...endpoints.values()]
}

/** The brokers that serve on the listener, by id. Fenced ones do not exist for clients. */
export function liveEndpoints(image: ClusterImage, listener: string): ReadonlyMap<number, ClientEndpoint> {
  const live = new Map<number, ClientEndpoint>()
  for (const broker of image.brokers.values()) {
    const endpoint = broker.fenced ? null : endpointOf(broker, listener)
    if (endpoint !== null) live.set(broker.id, endpoint)
  }
  return live
}

/**
 * The broker that clients send administration to. Every broker forwards it, so any live one will do: the active controller's node saves
 * the hop; -1, or an id that is not in the list, would make Java, kafkajs and others wait for ever.
 */
export function clientController(
  live: ReadonlyMap<number, unknown>,
  activeController: number,
  thisNode: number,
): number {
  if (live.has(activeController)) return activeController
  if (live.has(thisNode)) return thisNode
  for (const id of live.keys()) return id
  return -1
}
