import { brokerConfigValue, ErrorCode, parseBoolean, parseWhole } from '@millrace/base'
import type { Properties, Random } from '@millrace/base'
import { fenceBroker, heartbeat, registerBroker, staleness, unregisterBroker } from './brokers.ts'
import { alterReassignments, listReassignments } from './reassigning.ts'
import { alterConfigs, incrementalAlterConfigs } from './configs.ts'
import { balanceLeaders, electLeaders } from './elections.ts'
import type { ClusterImage } from './image.ts'
import { succeeded } from './outcome.ts'
import type { MetadataRecord } from './records.ts'
import { alterPartitions, quarantine } from './replicas.ts'
import type { Answer, Ask, Decision, QuestionKind } from './requests.ts'
import { configRecord } from './snapshot.ts'
import { ImageState } from './state.ts'
import { createPartitions, createTopics, deleteTopics } from './topics.ts'

/** How the controller decides. */
export interface MachineConfig {
  /** Ids of topics and the choice among brokers that are equally fit come from it. */
  readonly random: Random
  /** The controller's server.properties as text: the defaults of what metadata does not say. */
  readonly properties: Properties
  /** New partitions in one request; 10,000 unless given. */
  readonly maxPartitionsPerRequest?: number
  /** Partitions in the whole cluster; 100,000 unless given. What a broker's failure changes must fit into one entry. */
  readonly maxPartitions?: number
}

/** What every decision sees. */
export interface MachineContext {
  readonly state: ImageState
  readonly config: Required<MachineConfig> & {
    readonly defaultPartitions: number
    readonly defaultReplicationFactor: number
    readonly deleteTopics: boolean
  }
}

/**
 * The controller's decisions as a record machine: `handle` decides and changes nothing, `replay` is the only mutation. The records
 * of one `handle` are atomic and must be replayed before the next `handle`. Requests are checked here in full, so whatever a
 * client or a broker sends gets an answer.
 */
export interface ControllerMachine {
  /** The state that decisions are made from, ahead of what is committed. */
  readonly image: ClusterImage
  /** `nowMs`, wall time, is there for decisions that expire; none does yet. */
  handle<K extends QuestionKind>(request: Ask<K>, nowMs: number): Decision<Answer<K>>
  /** `index` is the entry that holds or will hold the record. */
  replay(record: MetadataRecord, index: number): void
  /** The machine's state in bytes, as an image loads it. */
  snapshot(): Uint8Array
}

type Handlers = { readonly [K in QuestionKind]: (context: MachineContext, request: Ask<K>) => Decision<Answer<K>> }

const HANDLERS: Handlers = {
  formCluster,
  createTopics,
  deleteTopics,
  createPartitions,
  incrementalAlterConfigs,
  alterConfigs,
  registerBroker,
  heartbeat,
  fenceBroker,
  unregisterBroker,
  alterPartitions,
  quarantine,
  alterReassignments,
  listReassignments,
  electLeaders,
  balanceLeaders,
  allocateProducerIds,
}

const PRODUCER_ID_BLOCK = 1000
const METADATA_FEATURE = 'metadata.version'

/** A machine that starts from the state of `from`, which it does not change, or from nothing. */
export function createControllerMachine(config: MachineConfig, from?: ClusterImage): ControllerMachine {
  const state = from instanceof ImageState ? from.clone() : new ImageState()
  const number = (name: string): number => parseWhole(brokerConfigValue(config.properties, name))
  const context: MachineContext = {
    state,
    config: {
      maxPartitionsPerRequest: 10_000,
      maxPartitions: 100_000,
      ...config,
      defaultPartitions: number('num.partitions'),
      defaultReplicationFactor: number('default.replication.factor'),
      deleteTopics: parseBoolean(brokerConfigValue(config.properties, 'delete.topic.enable')),
    },
  }
  return {
    image: state,
    handle(request, _nowMs) {
      state.seal()
      return HANDLERS[request.kind](context, request)
    },
    replay: (record, index) => state.replay(record, index),
    snapshot: () => state.snapshot(),
  }
}

/** Names the cluster and writes down what must be the same for all nodes from the first entry on. */
function formCluster(
  { state, config }: MachineContext,
  { clusterId }: Ask<'formCluster'>,
): Decision<Answer<'formCluster'>> {
  if (state.clusterId !== null) {
    const error = state.clusterId === clusterId ? ErrorCode.NONE : ErrorCode.INCONSISTENT_CLUSTER_ID
    return { records: [], response: { error, message: null } }
  }
  const name = 'min.insync.replicas'
  const records: MetadataRecord[] = [
    { name: 'cluster', value: { clusterId } },
    { name: 'featureLevel', value: { name: METADATA_FEATURE, level: 1 } },
    configRecord({ kind: 'broker', name: '' }, name, brokerConfigValue(config.properties, name)),
  ]
  return { records, response: succeeded }
}

/** Producer ids are given out in blocks that no two brokers share. */
function allocateProducerIds(
  { state }: MachineContext,
  { brokerId, brokerEpoch }: Ask<'allocateProducerIds'>,
): Decision<Answer<'allocateProducerIds'>> {
  const error = staleness(state.brokers.get(brokerId), brokerEpoch)
  const first = state.nextProducerId
  if (error !== ErrorCode.NONE) return { records: [], response: { error, message: null, first: -1, count: 0 } }
  const nextProducerId = first + PRODUCER_ID_BLOCK
  return {
    records: [{ name: 'producerIds', value: { brokerId, brokerEpoch, nextProducerId } }],
    response: { ...succeeded, first, count: PRODUCER_ID_BLOCK },
  }
}
