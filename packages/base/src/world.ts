import type { Entry, HardState } from './raft-entry.ts'
import type { IoError } from './errors.ts'

/**
 * The answer to a call of the outside world. It runs exactly once, never inside the call that registered it, and never after
 * its incarnation was killed. `value` means something only when `error` is null.
 */
export type Done<T> = (error: IoError | null, value: T) => void

/** Everything that is not computation. Node classes get one `World` and nothing else of the outside. */
export interface World {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly disk: Disk
  readonly peers: Peers
  readonly streams: ByteStreams
  readonly raftStore: RaftStoreFactory
  readonly compute: Compute
  readonly log: Logger
  /** Ends the node at a broken invariant or a disk that cannot be trusted; the simulator kills the node. */
  fatal(code: FatalCode, cause: unknown): never
}

export type FatalCode = 'broken-invariant' | 'disk-failed' | 'store-failed'

export interface Clock {
  /** Microseconds of a clock that never goes back; per node, may be skewed. */
  monotonicUs(): number
  /** Milliseconds since 1970, as the node believes. */
  wallMs(): number
}

export interface Timers {
  after(delayUs: number, run: () => void): Timer
  /** Runs once this turn's input is processed: the one batching point for writes and sends. */
  endOfTurn(run: () => void): void
}

export interface Timer {
  cancel(): void
}

/** The node's source of chance, and of ids. */
export interface Random {
  uint32(): number
  /** A whole number in [0, n). */
  below(n: number): number
  fill(into: Uint8Array): void
  fork(label: string): Random
}

/**
 * `create` makes the file empty, whether it was there or not; `append` opens or makes it; `read` fails with ENOENT. `overwrite` opens or
 * makes a file that is changed by `writeAt` alone.
 */
export type OpenHow = 'read' | 'append' | 'create' | 'overwrite'

export interface Disk {
  open(path: string, how: OpenHow, done: Done<File>): void
  /** The same at once, for what must not wait: an append that begins a new file. Throws `IoError`. */
  openNow(path: string, how: OpenHow): File
  list(path: string, done: Done<readonly DirEntry[]>): void
  /** Makes parents too; one that is there already is a success. */
  mkdir(path: string, done: Done<void>): void
  /** Replaces what is at `to`. Volatile until `syncDir` of the folder. */
  rename(from: string, to: string, done: Done<void>): void
  /** The same at once: the name is free for a new file when it returns. Throws `IoError`. */
  renameNow(from: string, to: string): void
  /** A file, or a folder with all that is in it. Volatile until `syncDir` of the folder. */
  remove(path: string, done: Done<void>): void
  syncDir(path: string, done: Done<void>): void
  freeBytes(path: string, done: Done<number>): void
}

export interface DirEntry {
  readonly name: string
  readonly kind: 'file' | 'directory'
  /** Bytes; 0 for a directory. */
  readonly size: number
  /** Milliseconds since 1970 of the last change. */
  readonly modifiedMs: number
}

export interface File {
  readonly path: string
  readonly size: number
  /** Appends to the page cache: all of it, or it throws `IoError` and `size` is unchanged. */
  appendNow(parts: readonly Uint8Array[]): void
  /**
   * Writes all parts one after another from byte `at` on, over what is there; a write past the end makes the file longer. On disk when `done`
   * is called with null. The parts stay as they are until then, and one write of a file is on its way at a time. After an error any
   * part may have been written; after any other than ENOSPC the file takes no more. For files that were opened to `overwrite`.
   */
  writeAt(at: number, parts: readonly Uint8Array[], done: Done<void>): void
  /** Fills `into` from position `at`; the value is the number of bytes read, less than asked only at the end of the file. */
  read(at: number, into: Uint8Array, done: Done<number>): void
  /** The same at once, for a few bytes that a decision of this turn needs. Throws `IoError`. */
  readNow(at: number, into: Uint8Array): number
  /** Volatile until `sync`. Throws `IoError`. */
  truncateNow(size: number): void
  /** Covers what returned before the call. An error poisons the file: every later sync fails too. */
  sync(done: Done<void>): void
  close(done: Done<void>): void
}

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Listener {
  /** The real port where 0 was asked for. */
  readonly address: Address
  close(done: Done<void>): void
}

/** A connection between nodes has one stream a lane, so that bulk never delays a heartbeat. */
export type Lane = 'control' | 'replication' | 'bulk'

/** Refuses a peer's stream; the text reaches the other side as `closed('refused', reason)`. */
export interface Refusal {
  readonly refused: string
}

/** Framed messages between nodes, ordered per stream. The adapter decides nothing: reconnecting is a node's timer. */
export interface Peers {
  /**
   * `accept` is called for every stream that a peer opens, with that peer's hello. It returns the stream's handler and this side's
   * hello, which reaches the opener as `opened(hello)`, or a refusal.
   */
  listen(
    at: Address,
    accept: (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal,
    done: Done<Listener>,
  ): void
  open(to: Address, lane: Lane, hello: Uint8Array, handler: PeerHandler): PeerStream
  /** Dials once: `refused` when nothing listens there, `alive` when something answered, else `unknown`. */
  probe(to: Address, done: (seen: 'refused' | 'alive' | 'unknown') => void): void
}

export interface Accepted {
  readonly hello: Uint8Array
  readonly handler: PeerHandler
}

export interface PeerStream {
  /** Ownership of the frame passes to the receiver. False: stop until `drained`. Frames sent before `opened` are queued. */
  send(frame: Uint8Array): boolean
  /** The same for one frame in pieces. They are read before this returns and stay the sender's, who may use their memory again. */
  sendParts(parts: readonly Uint8Array[]): boolean
  readonly queuedBytes: number
  close(reason: string): void
}

export interface PeerHandler {
  /** For the opener only: the acceptor's hello. */
  opened(hello: Uint8Array): void
  frame(bytes: Uint8Array): void
  drained(): void
  /** Once, and last. */
  closed(why: 'local' | 'remote' | 'broken' | 'refused', detail: string): void
}

/** Plain byte streams: the Kafka listener, and clients. */
export interface ByteStreams {
  listen(at: Address, accept: (stream: ByteStream) => ByteHandler, done: Done<Listener>): void
  connect(to: Address, handler: ByteHandler): ByteStream
}

export interface ByteStream {
  /** The other side, `host:port`. */
  readonly remote: string
  /**
   * False: the socket's buffer is full, `drained` follows. The parts must not change until `written`, which runs once, never inside the
   * call: the kernel has the bytes, or the stream is over and nobody looks at them any more. It may come after `closed`.
   */
  write(parts: readonly Uint8Array[], written?: () => void): boolean
  pause(): void
  resume(): void
  close(): void
}

export interface ByteHandler {
  opened(): void
  /** The chunk belongs to the receiver. */
  data(chunk: Uint8Array): void
  drained(): void
  /** Once, and last. */
  closed(why: string): void
}

/** The codecs of a record batch, by their number on the wire. */
export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Work that may leave the main thread; in the simulator synchronous work with a scheduled completion. */
export interface Compute {
  /** Fails with `IoError` EIO when the bytes are not of the codec or would inflate past `limit` bytes. */
  inflate(codec: Codec, bytes: Uint8Array, limit: number, done: Done<Uint8Array>): void
}

export interface RaftStoreFactory {
  open(path: string, done: Done<RaftStore>): void
}

/** What `open` found wrong, now or at an earlier start; the log is empty then and the node starts non-voting and refetches. */
export interface Damage {
  readonly reason: string
}

export interface RaftStoreState {
  readonly hardState: HardState | null
  /** The first and last index held; `lastIndex` is `firstIndex - 1` when no entry is held. A fresh store is (1, 0). */
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  readonly damage: Damage | null
}

/** Raft's log and hard state. Writes complete in order; each is atomic and synced before `done`. */
export interface RaftStore {
  load(done: Done<RaftStoreState>): void
  write(change: RaftWrite, done: Done<void>): void
  /** The entries [from, to], as many as fit in `maxBytes`, at least one. Entries below the first index are an ENOENT error. */
  read(from: number, to: number, maxBytes: number, done: Done<readonly Entry[]>): void
  close(done: Done<void>): void
}

/** One atomic change. Applied in this order: hard state, truncate, trim, restart, append. */
export interface RaftWrite {
  /** Rises by one with every write of an incarnation; `persisted` names it. */
  readonly token: number
  readonly hardState?: HardState
  /** Removes the entries with this index and above. */
  readonly truncateFrom?: number
  readonly append?: readonly Entry[]
  /** Removes the entries with this index and below. */
  readonly trimTo?: number
  /** Empties the log: the next entry appended is this index. Used when a snapshot replaces the log. */
  readonly restartAt?: number
  /**
   * Ends the damage that `load` told: the node has refetched all that it may ever have acknowledged, or has become another voter. Until
   * it is written every load tells the damage again, because a half refetched log looks like a whole one.
   */
  readonly healed?: boolean
}

/** Structured logging: one line per event worth acting on. Field names are the product's words: node, partition, epoch. */
export interface Logger {
  debug(fields: LogFields, event: string): void
  info(fields: LogFields, event: string): void
  warn(fields: LogFields, event: string): void
  error(fields: LogFields, event: string): void
  child(fields: LogFields): Logger
}

export type LogFields = Readonly<Record<string, unknown>>
