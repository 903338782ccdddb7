import type {
  ByteStreams,
  Disk,
  Entry,
  HardState,
  IoErrorCode,
  Peers,
  RaftStoreFactory,
  Random,
  Timer,
} from '@millrace/base'

/** A broken promise: what the simulator looks for. `invariant` is its name, the same for every run that breaks it. */
export class Violation extends Error {
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.name = 'Violation'
    this.invariant = invariant
  }
}

/** One incarnation of a node, or a client: who an event belongs to. What belongs to an ended life never runs. */
export interface Life {
  /** For people and for the digest: `n2#3` is the third incarnation of node 2. */
  readonly name: string
  readonly over: boolean
  readonly paused: boolean
  /** Runs once, when the life ends. */
  atEnd(run: () => void): void
}

/**
 * The one queue of a run. Every callback of the outside world is one event: it runs to its end, then everything that was asked for at the end of
 * the turn, then microtasks until there are none. Events at the same microsecond come in an order drawn from the seed, except that events of one `lane`
 * stay in the order in which they were posted. Events of a paused life wait until it goes on.
 */
export interface Schedule {
  readonly nowUs: number
  /** Events that ran. */
  readonly events: number
  /** Whose event ran last: after each one, the invariants look at that node only. Null before the first. */
  readonly lastLife: Life | null
  post(delayUs: number, life: Life, run: () => void, lane?: string): Timer
  endOfTurn(life: Life, run: () => void): void
  /** Adds to the rolling hash of the run: what is told in the same order with the same content gives the same digest. */
  note(what: string, value?: number | Uint8Array): void
  readonly digest: string
  newLife(name: string): Life
  end(life: Life): void
  pause(life: Life): void
  resume(life: Life): void
}

/** Rates of a run's network, drawn per seed. Times in microseconds, chances in 1 of 10,000 per message. */
export interface NetworkFaults {
  readonly delayMinUs: number
  readonly delayMeanUs: number
  /** A message that is lost breaks its stream: streams are ordered, as TCP's are. */
  readonly breakPer10k: number
  /** A message that is lost and sent again by the transport arrives late by this mean. */
  readonly retransmitPer10k: number
  readonly retransmitMeanUs: number
  /** After a break the receiver may still get what was on its way (a duplicate, when the sender sends it again elsewhere). */
  readonly deliverAfterBreakPercent: number
}

/** Hosts by name, connected by links that can be cut. Byte streams are cut into chunks at places drawn from the seed. */
export interface Network {
  faults: NetworkFaults
  peers(host: string, life: Life): Peers
  streams(host: string, life: Life): ByteStreams
  /** Nothing passes from `from` to `to` any more: streams stay open and silent until they are healed or time out. */
  cut(from: string, to: string): void
  heal(from: string, to: string): void
  healAll(): void
  /** What is sent from one host to another until then waits. */
  clog(from: string, to: string, untilUs: number): void
  /**
   * A machine loses its power, or has it again; it has some at first. Off is to be told before the lives on it end: then its sockets are not
   * closed, its peers hear nothing more, and dials and probes of it are not even refused.
   */
  power(host: string, on: boolean): void
  /** Breaks all streams between two hosts at once. */
  breakStreams(a: string, b: string): void
}

/** Rates of a run's disks, drawn per seed: chances in 1 of 100,000 per call. */
export interface DiskFaults {
  readonly delayMinUs: number
  readonly delayMeanUs: number
  /** Calls that take a thousand times longer. */
  readonly slowPer100k: number
  readonly readErrorPer100k: number
  readonly writeErrorPer100k: number
  readonly syncErrorPer100k: number
  readonly fullPer100k: number
  /** Chance in percent that an unsynced sector, name or size change survives a power cut. */
  readonly survivesPercent: number
  /** A torn sector may hold garbage. */
  readonly garbagePercent: number
}

/** What may be damaged. The atlas says no where the last good copy of something committed would go. */
export interface FaultAtlas {
  /** May this node's disk lose or damage something that was synced (bit rot, a misdirected write, a wipe)? */
  mayDamage(node: number): boolean
  /** May calls of this node's disk fail (EIO at write or sync ends the node's directory or the node)? */
  mayFail(node: number): boolean
  /** Tells that it happened: until `recovered` the node counts as having lost what it had. */
  damaged(node: number): void
  /** The same for an empty disk: what is found on it from then on is what was written since. */
  wiped(node: number): void
  /** The node was damaged since it was last wiped: what its disk holds is no evidence of what was written to it. */
  isRotten(node: number): boolean
  wipesOf(node: number): number
  /** The node has all of it again: it is in the ISR of all its partitions, its Raft store is healed, and its storage says `intact`. */
  recovered(node: number): void
  /** The nodes that were damaged and have not recovered, ascending. */
  readonly damagedNodes: readonly number[]
  /** The last good copy of something may be gone, as the plan wanted: the cluster must halt and must not serve anything else. */
  readonly expectsHalt: boolean
}

/** What is durable in a node's Raft store, seen from outside: all that was acknowledged, and perhaps a round that nobody heard of. */
export interface RaftMirror {
  readonly path: string
  /** Rises with every change. */
  readonly version: number
  readonly hardState: HardState | null
  readonly firstIndex: number
  readonly lastIndex: number
  /** The reason, while the store tells damage. */
  readonly damage: string | null
  entry(index: number): Entry | undefined
}

/** One node's disk and Raft store, over all its lives. */
export interface SimStorage {
  disk(life: Life): Disk
  raftStores(life: Life): RaftStoreFactory
  /** The process died and the machine lives: nothing written is lost. Its life must have ended, as for the next two. */
  killed(): void
  /** The machine lost its power: what was not synced survives in part. */
  powerCut(): void
  /** All of it is gone. */
  wipe(): void
  /**
   * Flips bits of something durable, puts a sector where another belongs, loses a file, or loses Raft's vote together with its log; tells
   * what, or null when there was nothing to damage or the atlas says no. The Raft store is hit by each kind now and then.
   */
  damage(kind: 'bit-rot' | 'misdirected-write' | 'lost-file' | 'lost-vote'): string | null
  /** The next call of this kind, of a path with `within` in it, fails with the code, as soon as the atlas lets it. */
  failNext(operation: 'read' | 'append' | 'sync' | 'open', code: IoErrorCode, within?: string): void
  faults: DiskFaults
  /** Fills `into` with what a file holds from `at` on, as programs see it: at once, without a fault or a draw. Returns the bytes read, -1 without such a file. */
  peek(path: string, at: number, into: Uint8Array): number
  /** Nothing of the damage that was done is left, found or not: it was overwritten, removed or healed. */
  readonly intact: boolean
  /** The Raft store that was opened last: none before the first start, after a wipe, or when it was lost. */
  readonly raftMirrors: readonly RaftMirror[]
}

/** How an idempotent producer numbers a batch. The answer to an `init-producer` is one with sequence 0. */
export interface ProducerNumbers {
  readonly producerId: number
  readonly epoch: number
  readonly sequence: number
}

/**
 * `commit` and `committed` are a group's: one partition of an OffsetCommit or OffsetFetch. A `claim` is no request: from now on a member takes a partition for its own,
 * as its coordinator told it.
 */
export type OperationKind =
  | 'send'
  | 'poll'
  | 'lookup'
  | 'create-topic'
  | 'admin'
  | 'init-producer'
  | 'commit'
  | 'committed'
  | 'claim'

/** An operation of a client, as the checkers see it. Sends are added when they begin, polls and lookups when their answer has come. */
export interface Operation {
  readonly client: string
  readonly kind: OperationKind
  readonly invokedUs: number
  /** Infinity while it is under way. */
  endedUs: number
  /** `info`: nobody knows whether it happened. */
  outcome: 'ok' | 'fail' | 'info'
  readonly topic: string
  /** -1 for an operation on a whole topic. */
  readonly partition: number
  /** The values sent or read with their offsets; -1 where the offset is not known. */
  readonly values: { readonly value: string; offset: number }[]
  readonly acks?: 0 | 1 | -1
  /** The first offset asked for by a poll; a lookup's timestamp or position; the offset of a `delete-records`, -1 for the watermark. */
  readonly from?: number
  error?: number
  /** A send: how many times its batch may have been appended; above 1 only where a producer retried without idempotence. */
  copies?: number
  /** A send: requests of one connection are appended in the order in which they were sent; -1 for a repeated send, which has left its place. */
  connection?: number
  /** A send of an idempotent producer: what its batch is numbered with. */
  numbered?: ProducerNumbers
  /** A send: the timestamp of its records, ms. */
  readonly timestampMs?: number
  /** A poll or lookup: the leader epoch that the client demanded; -1 for any. */
  readonly epoch?: number
  /** A poll: what the answer said of the partition; -1 where the version does not tell. */
  readonly highWatermark?: number
  readonly logStart?: number
  /** A poll: the client moved to this position by itself, it does not go on from the one before. */
  readonly moved?: boolean
  /** A poll of a fresh client that reads everything in the end. */
  readonly final?: boolean
  /** A lookup: `earliest`, `latest`, `timestamp` or `epoch-end`. An admin's: `delete-records`, `retention`, and what else there is. */
  readonly asked?: string
  /** A lookup's answer, or the offset that was committed; -1 for none. A commit's offset is its `from`. */
  readonly answer?: number
  /** Of what concerns a group: its name, and the generation or member epoch. */
  readonly group?: string
  readonly generation?: number
  /** A claim: whose it is, the same for a static member's next life. */
  readonly owner?: string
}

/** Clients that speak the wire protocol from hosts of their own, and what they saw. */
export interface Workload {
  readonly history: readonly Operation[]
  start(): void
  /** No new operations begin; `done` when none is on its way. */
  quiesce(done: () => void): void
  /** Fresh clients read everything from the beginning; adds polls to the history. */
  readAll(done: () => void): void
  /** An operator has this partition led again, though its leader may lack records. */
  elect(topic: string, partition: number): void
  /** Why a group does not get on, in words, or null when each has committed something of every partition that its members want since then. */
  lagging(sinceUs: number): string | null
  /** Operations that ended well since the start. */
  readonly progress: number
}

/** What the world outside of a run gives to its parts. */
export interface Bench {
  readonly schedule: Schedule
  readonly network: Network
  readonly random: Random
}
