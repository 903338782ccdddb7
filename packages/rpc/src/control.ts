import {
  bool,
  bytes,
  choice,
  field,
  frame,
  int32,
  optional,
  proto,
  repeated,
  sint32,
  sint64,
  string,
  type TypeOf,
  uint32,
  uint64,
} from './proto-message.ts'

/** Where clients or peers reach a broker. The listener named `PEER` is the inter-node address. */
export const BrokerListener = proto('BrokerListener', {
  name: field(1, string),
  host: field(2, string),
  port: field(3, uint32),
  securityProtocol: field(4, string),
})
export type BrokerListener = TypeOf<typeof BrokerListener>

export const BrokerFlushMode = choice('BrokerFlushMode', ['fsync', 'pagecache'])

export const DamagedPartition = proto('DamagedPartition', {
  topicId: field(1, string),
  partition: field(2, uint32),
  reason: field(3, string),
})

export const QuarantinedPartition = proto('QuarantinedPartition', {
  topicId: field(1, string),
  partition: field(2, uint32),
  reason: field(3, string),
  /** Of the partition as the broker knows it: a report of another state is void. */
  partitionEpoch: field(4, sint32),
  /** The replica has no log, or an empty one that nobody counts on: as far as its disk knows, nothing was ever written to it. */
  blank: field(5, bool),
})
export type QuarantinedPartition = TypeOf<typeof QuarantinedPartition>

/** The first frame of a broker after the hello. */
export const Register = proto('Register', {
  brokerId: field(1, sint32),
  /** New at every process start. */
  incarnationId: field(2, string),
  rack: optional(3, string),
  listeners: repeated(4, BrokerListener),
  directories: repeated(5, string),
  flushMode: field(6, BrokerFlushMode),
  /** The epoch of the previous incarnation when it stopped cleanly, else -1. */
  previousBrokerEpoch: field(7, sint64),
  damaged: repeated(8, DamagedPartition),
  /** The last metadata entry this broker applied; -1 asks for a snapshot. */
  appliedIndex: field(9, sint64),
  version: field(10, uint32),
})
export type Register = TypeOf<typeof Register>

/** Sent every heartbeat interval and whenever something changes. */
export const Heartbeat = proto('Heartbeat', {
  brokerEpoch: field(1, sint64),
  appliedIndex: field(2, sint64),
  wantShutdown: field(3, bool),
  /** The broker asks to stay fenced (its disk is full or it is still opening its logs). */
  wantFence: field(4, bool),
  offlineDirectories: repeated(5, string),
})
export type Heartbeat = TypeOf<typeof Heartbeat>

export const IsrMember = proto('IsrMember', { brokerId: field(1, sint32), brokerEpoch: field(2, sint64) })
export const AlterPartitionItem = proto('AlterPartitionItem', {
  topicId: field(1, string),
  partition: field(2, uint32),
  requestId: field(3, uint64),
  leaderEpoch: field(4, sint32),
  partitionEpoch: field(5, sint32),
  isr: repeated(6, IsrMember),
})
export type AlterPartitionItem = TypeOf<typeof AlterPartitionItem>
export const AlterPartitionAnswer = proto('AlterPartitionAnswer', {
  topicId: field(1, string),
  partition: field(2, uint32),
  requestId: field(3, uint64),
  /** A Kafka error code; 0 is applied, or equal to the state. */
  error: field(4, sint32),
  isr: repeated(5, sint32),
  partitionEpoch: field(6, sint32),
  leaderEpoch: field(7, sint32),
})
export type AlterPartitionAnswer = TypeOf<typeof AlterPartitionAnswer>

/** Broker → active controller. */
export const BrokerFrame = frame('BrokerFrame', {
  register: [1, Register],
  heartbeat: [2, Heartbeat],
  alterPartitions: [
    3,
    proto('AlterPartitions', { brokerEpoch: field(1, sint64), items: repeated(2, AlterPartitionItem) }),
  ],
  /** An admin request of a client as Kafka encodes it (body without header), for the controller to decide. */
  forward: [
    4,
    proto('Forward', {
      requestId: field(1, uint64),
      apiKey: field(2, int32),
      apiVersion: field(3, int32),
      clientId: field(4, string),
      principal: field(5, string),
      body: field(6, bytes),
    }),
  ],
  /** A replica is in doubt: it leaves ISR and ELR. */
  quarantined: [
    5,
    proto('Quarantined', { brokerEpoch: field(1, sint64), partitions: repeated(2, QuarantinedPartition) }),
  ],
  /** A block of producer ids that no other broker gets. */
  allocateProducerIds: [
    6,
    proto('AllocateProducerIds', { requestId: field(1, uint64), brokerEpoch: field(2, sint64) }),
  ],
})
export type BrokerFrame = ReturnType<typeof BrokerFrame.decode>

/** Controller → broker. */
export const ControllerFrame = frame('ControllerFrame', {
  /** This node does not lead. The hint is the leader it knows and its term. */
  notLeader: [1, proto('NotLeader', { leaderId: field(1, sint32), term: field(2, sint64) })],
  registered: [
    2,
    proto('Registered', { brokerEpoch: field(1, sint64), clusterId: field(2, string), term: field(3, sint64) }),
  ],
  registrationRefused: [
    3,
    proto('RegistrationRefused', { error: field(1, sint32), message: field(2, string), retriable: field(3, bool) }),
  ],
  heartbeatReply: [
    4,
    proto('HeartbeatReply', {
      brokerEpoch: field(1, sint64),
      error: field(2, sint32),
      fenced: field(3, bool),
      mayShutDown: field(4, bool),
      committedIndex: field(5, sint64),
    }),
  ],
  alterReply: [5, proto('AlterReply', { items: repeated(1, AlterPartitionAnswer) })],
  forwardReply: [
    6,
    /** `error` ≠ 0: not decided, e.g. NOT_CONTROLLER. The broker answers its client once it has applied `index`. */
    proto('ForwardReply', {
      requestId: field(1, uint64),
      error: field(2, sint32),
      index: field(3, sint64),
      body: field(4, bytes),
    }),
  ],
  /** A committed entry of the metadata log; `payload` is the metadata package's record batch. */
  records: [
    7,
    proto('MetadataRecords', {
      entries: repeated(
        1,
        proto('MetadataEntry', { index: field(1, uint64), term: field(2, uint64), payload: field(3, bytes) }),
      ),
      committedIndex: field(2, sint64),
    }),
  ],
  /** The image at `index`, in chunks; it replaces everything. `last` ends it. */
  snapshot: [
    8,
    proto('MetadataSnapshot', {
      index: field(1, uint64),
      term: field(2, uint64),
      data: field(3, bytes),
      last: field(4, bool),
    }),
  ],
  producerIds: [
    9,
    proto('ProducerIdBlock', {
      requestId: field(1, uint64),
      error: field(2, sint32),
      first: field(3, sint64),
      count: field(4, int32),
    }),
  ],
})
export type ControllerFrame = ReturnType<typeof ControllerFrame.decode>
