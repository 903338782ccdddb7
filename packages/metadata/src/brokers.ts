import { ErrorCode, isUuid } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { type BrokerImage, type PartitionImage, UNASSIGNED } from './image.ts'
import type { MachineContext } from './machine.ts'
import { Refused, succeeded } from './outcome.ts'
import type { Wish } from './partition-change.ts'
import type { MetadataRecord } from './records.ts'
import type { Answer, Ask, Decision, RegisterBroker, ReplicaName } from './requests.ts'
import { Deciding, isActive } from './rules.ts'
import type { ImageState } from './state.ts'

/** The inter-node protocol that this software speaks; older ones are refused. */
export const OLDEST_PROTOCOL = 1
const PEER = 'PEER'

/**
 * A new incarnation, in one entry: its broker epoch is the index of that entry; the old incarnation loses its leaderships and
 * leaves the ISRs; what the new one lost leaves the ELR as well. It starts fenced.
 */
export function registerBroker(
  context: MachineContext,
  request: Ask<'registerBroker'>,
): Decision<Answer<'registerBroker'>> {
  const old = context.state.brokers.get(request.brokerId)
  if (old !== undefined && old.incarnationId === request.incarnationId)
    return { records: [], response: { ...succeeded, brokerEpoch: old.epoch } }
  try {
    checkRegistration(context, request, old)
  } catch (error) {
    return { records: [], response: { ...Refused.outcome(error), brokerEpoch: null } }
  }
  const records = [registration(request), ...departures(context, request, old)]
  return { records, response: { ...succeeded, brokerEpoch: null } }
}

function checkRegistration({ state }: MachineContext, request: RegisterBroker, old: BrokerImage | undefined): void {
  const { brokerId, directories, endpoints } = request
  const refuse = (message: string): never => {
    throw new Refused(ErrorCode.INVALID_REGISTRATION, message)
  }
  if (brokerId < 0) refuse(`broker ids are not negative: ${brokerId}`)
  if (!isUuid(request.incarnationId)) refuse('the incarnation id is none')
  if (directories.length === 0) refuse('no log directory is online')
  if (!directories.every((id) => isUuid(id) && id !== UNASSIGNED) || new Set(directories).size !== directories.length)
    refuse('the directory ids are not ids, or not all different')
  if (!endpoints.some(({ name }) => name === PEER)) refuse(`there is no ${PEER} endpoint, where other nodes connect`)
  if (endpoints.some(({ host, port }) => host === '' || !(port > 0 && port <= 65535)))
    refuse('an endpoint without host or port')
  if (endpoints.length > 100 || directories.length > 1000) refuse('more endpoints or directories than a node can have')
  const texts = [request.rack ?? '', ...endpoints.flatMap((one) => [one.name, one.host, one.securityProtocol])]
  if (texts.some((text) => text.length > 1000)) refuse('a name of more than 1000 characters')
  if (request.protocolVersion < OLDEST_PROTOCOL || request.protocolVersion > 0x7fff)
    refuse(`inter-node protocol ${request.protocolVersion} is not spoken here; ${OLDEST_PROTOCOL} is the oldest`)
  if (old !== undefined && request.previousIsLive)
    throw new Refused(
      ErrorCode.DUPLICATE_BROKER_REGISTRATION,
      `a broker ${brokerId} is alive; every node needs a node.id of its own`,
    )
  for (const other of state.brokers.values())
    if (other.id !== brokerId && other.directories.some((directory) => directories.includes(directory)))
      refuse(`one of the log directories belongs to broker ${other.id}; a copied directory cannot serve two brokers`)
}

function registration(request: RegisterBroker): MetadataRecord {
  return {
    name: 'registerBroker',
    value: {
      brokerId: request.brokerId,
      incarnationId: request.incarnationId,
      rack: request.rack,
      endpoints: request.endpoints,
      directories: request.directories,
      flushMode: request.flushMode === 'fsync' ? 0 : 1,
      protocolVersion: request.protocolVersion,
      fenced: true,
      shuttingDown: false,
      epoch: -1,
    },
  }
}

function departures(
  { state, config }: MachineContext,
  request: RegisterBroker,
  old: BrokerImage | undefined,
): readonly MetadataRecord[] {
  const { brokerId, directories } = request
  const broker: BrokerImage = {
    ...request,
    id: brokerId,
    epoch: -1,
    fenced: true,
    shuttingDown: false,
  }
  const damaged = new Set(request.damaged.map(nameOf))
  const itself = new Set([brokerId])
  // What was only in memory may be gone, except when that incarnation ended in good order.
  const forgot = old?.flushMode === 'pagecache' && request.previousBrokerEpoch !== old.epoch
  const deciding = new Deciding(state, config.properties, { broker })
  return deciding.changes(state.partitionsOf(brokerId), (partition): Wish => {
    if (damaged.has(nameOf(partition))) return { untrusted: itself, damaged: itself }
    const lost = !directories.includes(directoryOf(partition, brokerId))
    return forgot || lost ? { untrusted: itself } : {}
  })
}

function nameOf({ topicId, partition }: ReplicaName): string {
  return `${topicId}-${partition}`
}

function directoryOf(partition: PartitionImage, brokerId: number): Uuid {
  return partition.directories[partition.replicas.indexOf(brokerId)] as Uuid
}

/** What a broker wants by its heartbeat, and may have: directories going offline, being fenced or unfenced, leaving in good order. */
export function heartbeat(context: MachineContext, request: Ask<'heartbeat'>): Decision<Answer<'heartbeat'>> {
  const broker = context.state.brokers.get(request.brokerId)
  const error = staleness(broker, request.brokerEpoch)
  if (broker === undefined || error !== ErrorCode.NONE)
    return { records: [], response: { error, fenced: true, shuttingDown: false } }
  const next = wished(broker, request)
  const records = next === broker ? [] : transition(context, broker, next)
  return { records, response: { error, fenced: next.fenced, shuttingDown: next.shuttingDown } }
}

/** BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH or NONE. */
export function staleness(broker: BrokerImage | undefined, brokerEpoch: number): ErrorCode {
  if (broker === undefined) return ErrorCode.BROKER_ID_NOT_REGISTERED
  return broker.epoch === brokerEpoch ? ErrorCode.NONE : ErrorCode.STALE_BROKER_EPOCH
}

function wished(broker: BrokerImage, request: Ask<'heartbeat'>): BrokerImage {
  const { offlineDirectories } = request
  const directories = broker.directories.some((one) => offlineDirectories.includes(one))
    ? broker.directories.filter((one) => !offlineDirectories.includes(one))
    : broker.directories
  const shuttingDown = broker.shuttingDown || request.wantShutdown
  const fenced = staysFenced(broker, request) || directories.length === 0
  const same = directories === broker.directories && shuttingDown === broker.shuttingDown && fenced === broker.fenced
  return same ? broker : { ...broker, directories, shuttingDown, fenced }
}

function staysFenced(broker: BrokerImage, request: Ask<'heartbeat'>): boolean {
  if (request.wantFence) return true
  if (!broker.fenced) return false
  // It serves nothing before its image holds its own registration, and one that leaves need not come in first.
  return request.appliedIndex < broker.epoch || request.wantShutdown || broker.shuttingDown
}

/** A broker as it will be, and what follows for its partitions. */
function transition({ state, config }: MachineContext, old: BrokerImage, next: BrokerImage): readonly MetadataRecord[] {
  const change: MetadataRecord = {
    name: 'brokerChange',
    value: {
      brokerId: old.id,
      brokerEpoch: old.epoch,
      fenced: old.fenced === next.fenced ? -1 : Number(next.fenced),
      shuttingDown: old.shuttingDown === next.shuttingDown ? -1 : Number(next.shuttingDown),
      directories: old.directories === next.directories ? null : next.directories,
    },
  }
  const joins = isActive(next) && !isActive(old)
  const deciding = new Deciding(state, config.properties, { broker: next })
  return [change, ...deciding.changes(joins ? waiting(state, old.id) : state.partitionsOf(old.id), () => ({}))]
}

/** Partitions that want for this broker: those without a leader, and those that were made while it was away. */
function* waiting(state: ImageState, brokerId: number): Iterable<PartitionImage> {
  for (const partition of state.partitionsOf(brokerId))
    if (partition.leader === -1 || directoryOf(partition, brokerId) === UNASSIGNED) yield partition
}

/** Takes a broker that is gone out of leaderships and ISRs. */
export function fenceBroker(context: MachineContext, request: Ask<'fenceBroker'>): Decision<Answer<'fenceBroker'>> {
  const broker = context.state.brokers.get(request.brokerId)
  const error = staleness(broker, request.brokerEpoch)
  if (broker === undefined || error !== ErrorCode.NONE) return { records: [], response: { error, message: null } }
  const records = broker.fenced ? [] : transition(context, broker, { ...broker, fenced: true })
  return { records, response: succeeded }
}

/** Forgets a broker that will not come back; its replicas stay in the assignments, without any standing. */
export function unregisterBroker(
  context: MachineContext,
  { brokerId }: Ask<'unregisterBroker'>,
): Decision<Answer<'unregisterBroker'>> {
  const { state, config } = context
  const broker = state.brokers.get(brokerId)
  if (broker === undefined)
    return {
      records: [],
      response: { error: ErrorCode.BROKER_ID_NOT_REGISTERED, message: `broker ${brokerId} is not registered` },
    }
  const itself = new Set([brokerId])
  const gone = { ...broker, fenced: true, directories: [] }
  const deciding = new Deciding(state, config.properties, { broker: gone })
  const records: MetadataRecord[] = [
    ...deciding.changes(state.partitionsOf(brokerId), () => ({ untrusted: itself, damaged: itself })),
    { name: 'unregisterBroker', value: { brokerId, brokerEpoch: broker.epoch } },
  ]
  return { records, response: succeeded }
}
