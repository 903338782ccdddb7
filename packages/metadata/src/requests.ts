import type { ErrorCode, Uuid } from '@millrace/base'
import type { EndpointImage, PartitionImage } from './image.ts'
import type { MetadataRecord } from './records.ts'

/** The outcome of one part of a request; `message` is for people, null where the code says it all. */
export interface Outcome {
  readonly error: ErrorCode
  readonly message: string | null
}

export interface NewTopic {
  readonly name: string
  /** -1: the default, or what `assignments` say. */
  readonly partitions: number
  /** -1: the default, or what `assignments` say. */
  readonly replicationFactor: number
  /** Replicas by partition; empty to let the controller place them. */
  readonly assignments: readonly { readonly partition: number; readonly replicas: readonly number[] }[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface NewTopicResult extends Outcome {
  readonly name: string
  /** Zero unless the topic was created. */
  readonly topicId: Uuid
  readonly partitions: number
  readonly replicationFactor: number
  /** The settings that the topic got of its own. */
  readonly configs: ReadonlyMap<string, string>
}

export interface TopicToDelete {
  readonly name: string | null
  readonly topicId: Uuid
}

export interface MorePartitions {
  readonly topic: string
  /** The new total. */
  readonly count: number
  /** Replicas of each new partition, or null to let the controller place them. */
  readonly assignments: readonly (readonly number[])[] | null
}

export interface ConfigOperation {
  readonly name: string
  readonly operation: 'set' | 'delete' | 'append' | 'subtract'
  readonly value: string | null
}

export interface ConfigTarget {
  /** Kafka's number: 2 topic, 4 broker, 32 group; others are refused. */
  readonly kind: number
  readonly name: string
}

export interface RegisterBroker {
  readonly brokerId: number
  readonly incarnationId: Uuid
  readonly rack: string | null
  readonly endpoints: readonly EndpointImage[]
  readonly directories: readonly Uuid[]
  readonly flushMode: 'fsync' | 'pagecache'
  readonly protocolVersion: number
  /** The epoch of the previous incarnation when it stopped cleanly, else -1. */
  readonly previousBrokerEpoch: number
  readonly damaged: readonly ReplicaName[]
  /** The registered incarnation is known to be alive: another one is then refused. */
  readonly previousIsLive: boolean
}

export interface ReplicaName {
  readonly topicId: Uuid
  readonly partition: number
}

export interface QuarantineReport extends ReplicaName {
  /** Of the partition as the broker knew it: a report of another state is void, and told again if it still holds. */
  readonly partitionEpoch: number
  /** The replica has no log, or an empty one that nobody counts on: as far as its disk knows, nothing was ever written to it. */
  readonly blank: boolean
}

export interface IsrProposal extends ReplicaName {
  readonly requestId: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
}

export interface IsrAnswer extends ReplicaName {
  readonly requestId: number
  readonly error: ErrorCode
  readonly isr: readonly number[]
  readonly leaderEpoch: number
  readonly partitionEpoch: number
}

/** Where one partition shall be, or null to end the reassignment that is under way. */
export interface Reassignment {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[] | null
}

export interface ReassignmentResult extends Outcome {
  readonly topic: string
  readonly partition: number
}

export interface ElectionResult extends Outcome {
  readonly topic: string
  readonly partition: number
}

/** Every question to the machine, by kind: what it takes and what it answers. */
export interface Questions {
  /** The first decision of a new cluster. */
  formCluster: { ask: { readonly clusterId: string }; answer: Outcome }
  createTopics: {
    ask: { readonly topics: readonly NewTopic[]; readonly validateOnly: boolean }
    answer: readonly NewTopicResult[]
  }
  deleteTopics: {
    ask: { readonly topics: readonly TopicToDelete[] }
    answer: readonly (Outcome & TopicToDelete)[]
  }
  createPartitions: {
    ask: { readonly topics: readonly MorePartitions[]; readonly validateOnly: boolean }
    answer: readonly (Outcome & { readonly topic: string })[]
  }
  incrementalAlterConfigs: {
    ask: {
      readonly resources: readonly (ConfigTarget & { readonly operations: readonly ConfigOperation[] })[]
      readonly validateOnly: boolean
    }
    answer: readonly (Outcome & ConfigTarget)[]
  }
  /** The legacy form: the settings given replace all that the resource had. */
  alterConfigs: {
    ask: {
      readonly resources: readonly (ConfigTarget & {
        readonly configs: readonly { readonly name: string; readonly value: string | null }[]
      })[]
      readonly validateOnly: boolean
    }
    answer: readonly (Outcome & ConfigTarget)[]
  }
  /** The broker's epoch is the index of the entry of these records; `brokerEpoch` is set when it was registered already. */
  registerBroker: { ask: RegisterBroker; answer: Outcome & { readonly brokerEpoch: number | null } }
  heartbeat: {
    ask: {
      readonly brokerId: number
      readonly brokerEpoch: number
      readonly appliedIndex: number
      readonly wantFence: boolean
      readonly wantShutdown: boolean
      readonly offlineDirectories: readonly Uuid[]
    }
    answer: { readonly error: ErrorCode; readonly fenced: boolean; readonly shuttingDown: boolean }
  }
  /** The broker is gone or unreachable; nothing happens when that incarnation is fenced already. */
  fenceBroker: { ask: { readonly brokerId: number; readonly brokerEpoch: number }; answer: Outcome }
  unregisterBroker: { ask: { readonly brokerId: number }; answer: Outcome }
  alterPartitions: {
    ask: { readonly brokerId: number; readonly brokerEpoch: number; readonly items: readonly IsrProposal[] }
    answer: readonly IsrAnswer[]
  }
  /** A broker's own replicas that it no longer trusts. */
  quarantine: {
    ask: { readonly brokerId: number; readonly brokerEpoch: number; readonly partitions: readonly QuarantineReport[] }
    answer: Outcome
  }
  /** Each partition is decided by itself; the answer is in the order of the request. */
  alterReassignments: {
    ask: {
      readonly partitions: readonly Reassignment[]
      /** Unless true a target has as many replicas as the partition has, or is about to have. */
      readonly mayChangeFactor: boolean
    }
    answer: readonly ReassignmentResult[]
  }
  /** Partitions that are being reassigned, of these or (null) of all; what does not exist is left out. */
  listReassignments: {
    ask: { readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[] | null }
    answer: readonly PartitionImage[]
  }
  electLeaders: {
    ask: {
      readonly election: 'preferred' | 'unclean'
      /** Null: all partitions; those that needed nothing are then left out of the answer. */
      readonly partitions: readonly { readonly topic: string; readonly partition: number }[] | null
    }
    answer: readonly ElectionResult[]
  }
  /** Moves leaderships back to preferred replicas that are in sync, at most `limit` of them; answers how many. */
  balanceLeaders: { ask: { readonly limit: number }; answer: number }
  allocateProducerIds: {
    ask: { readonly brokerId: number; readonly brokerEpoch: number }
    answer: Outcome & { readonly first: number; readonly count: number }
  }
}

export type QuestionKind = keyof Questions
export type Ask<K extends QuestionKind> = { readonly kind: K } & Questions[K]['ask']
export type Answer<K extends QuestionKind> = Questions[K]['answer']
/** Any request to the controller's machine. */
export type ControllerRequest = { [K in QuestionKind]: Ask<K> }[QuestionKind]

/** What `handle` decides: the records are atomic and must be replayed before the next question. */
export interface Decision<R> {
  readonly records: readonly MetadataRecord[]
  readonly response: R
}
