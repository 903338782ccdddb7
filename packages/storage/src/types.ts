import type { Done, IoError, Uuid } from '@millrace/base'

export type { BatchVerdict } from '@millrace/records'

/** Raised by truncation: what was begun under an older generation says nothing about the log of a newer one. */
export type Generation = number

/** What the settings of a topic mean for its log. Bytes and milliseconds; `LONG_MAX` where there is no limit. */
export interface LogConfig {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly segmentJitterMs: number
  readonly indexIntervalBytes: number
  readonly segmentIndexBytes: number
  readonly maxMessageBytes: number
  /** -1: unlimited. */
  readonly retentionMs: number
  /** -1: unlimited; per partition. */
  readonly retentionBytes: number
  readonly cleanupPolicy: readonly ('delete' | 'compact')[]
  readonly fileDeleteDelayMs: number
  /** How long a tombstone stays once compaction has seen it. */
  readonly deleteRetentionMs: number
  /** Records that are younger are not compacted. */
  readonly minCompactionLagMs: number
  /** A log with older records that are not compacted is compacted whatever its dirty part. */
  readonly maxCompactionLagMs: number
  /** The share of a log that must be dirty before it is compacted. */
  readonly minCleanableDirtyRatio: number
}

/** What compaction of a directory's logs may cost. */
export interface CompactionSettings {
  /** Read and written together; infinite where there is no limit. */
  readonly bytesPerSecond: number
  /** Memory for the keys of the log that is being compacted. */
  readonly keyMapBytes: number
}

export interface LogEvents {
  /** The bytes below `end` are on disk. Dropped by the owner when `generation` is not the log's present one. */
  durable(end: number, generation: Generation): void
  /** The log can no longer be served or written: the disk failed. */
  failed(error: IoError): void
  /**
   * The last offset of the last batch that this producer appended, while the producer is remembered: compaction leaves that batch's header.
   * Where nobody says it all headers of producers stay.
   */
  lastBatchOf?(producerId: number): number | null
  /** A read met rot: nothing of the log is served or written from now on. `PartitionLog.quarantined` has the reason. */
  quarantined?(reason: string): void
}

/** Where reads put their bytes. Whoever gives it to a read leaves it alone until that read has answered. */
export interface ReadMemory {
  /** So much memory, which nothing else uses. */
  take(bytes: number): Uint8Array
}

/**
 * What the owner of a log derives from its batches' headers: a function of the log, which the log tells of everything that happens to it. Its
 * snapshots lie beside the segments (Kafka's producer snapshots), so that a start need not read the log.
 */
export interface BatchObserver {
  /** The state as of `endOffset`, from a snapshot; null: nothing is known there. False where it is damaged: `load` of another one follows. */
  load(snapshot: Uint8Array | null, endOffset: number): boolean
  /** A batch that the log had already; its header is at `at`, what follows is there only if the batch is at most 512 bytes long. */
  replay(bytes: Uint8Array, at: number): void
  /** A batch was appended; `nowMs` is wall time. */
  appended(bytes: Uint8Array, at: number, nowMs: number): void
  /** The log was cut to end at `endOffset`. False where that can not be taken back: `load` and `replay` follow. */
  truncated(endOffset: number): boolean
  snapshot(): Uint8Array
}

/** What a read found: whole batches, in order, as parts that are sent as they are and never changed. */
export interface LogSlice {
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
  /** The offset that follows the last batch. */
  readonly nextOffset: number
}

export interface EpochEnd {
  readonly epoch: number
  readonly endOffset: number
}

export interface TimestampHit {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

/**
 * One partition's log in Kafka's segment files. Offsets only grow; batches are stored exactly as they are given.
 * Everything but reads and deletes happens at once, in the page cache; `LogEvents.durable` follows group commit.
 */
export interface PartitionLog {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  /** The first offset that may be read. */
  readonly logStart: number
  /** The offset after the last batch. */
  readonly endOffset: number
  /** Everything below is known to be on disk. */
  readonly durableEnd: number
  readonly generation: Generation
  /** The leader epoch of the last batch or of the last `beginEpoch`; -1 for an empty log. */
  readonly lastEpoch: number
  readonly sizeBytes: number
  /** As restored from the checkpoint when the log was opened; `checkpointHighWatermark` changes it. */
  readonly highWatermark: number
  /** Set when recovery found rot below what was promised: nothing of this log may be served or counted. */
  readonly quarantined: string | null
  /** What `LogDirectoryOptions.observe` made for this log, in step with it; null where there is no such. */
  readonly observer: BatchObserver | null
  readonly inspection: LogInspection

  /** Before the first append, and whenever the topic's settings change. */
  configure(config: LogConfig): void
  /** Who hears of this log from now on. A log that was found by `open` tells nobody until then. */
  attach(events: LogEvents): void
  /**
   * One vectored write, now or together with later ones, of batches whose base offsets and leader epochs are set and continue the log. Rolls the segment first where
   * needed. The first batch of an empty log may begin before the log's start, which lies within it then. All of it, or it throws `IoError` and the log is unchanged. `nowMs` is wall time, for rolling.
   * In `fsync` mode they may be in memory alone until they are durable; where `atOnce` is true they are in the page cache when this returns, and so
   * outlive the process. The batches must not change any more: what the tail cache has no room for goes to the journal from where it is.
   */
  append(batches: readonly Uint8Array[], nowMs: number, atOnce?: boolean): void
  /** A new leader records (epoch, end offset) before it writes. */
  beginEpoch(epoch: number): void
  /**
   * Whole batches from the one that contains `from` (of a gap only what is left of it), at most `maxBytes` except that the first batch always comes whole, none that
   * starts at or above `below`. Served from the tail cache in the same call (returned), else null and `done` is called later. May
   * give less than there is (a read from disk ends with its segment, and after 8 MiB); nothing at all only at `below` or the end.
   * The slice lies in what `memory` gave, and so is good for as long as that is; in memory of its own where none is given. Fails with
   * ENOENT below the log start.
   */
  // oxlint-disable-next-line max-params -- what, how much, up to where, where to, for whom.
  read(from: number, maxBytes: number, below: number, done: Done<LogSlice>, memory?: ReadMemory): LogSlice | null
  /**
   * The same for a reader that stores what it gets: batches from disk are held against their CRC and against the epochs that wrote here. Where they
   * contradict those the log is quarantined, and the read fails.
   */
  readProven(from: number, maxBytes: number, below: number, done: Done<LogSlice>): LogSlice | null
  /**
   * The same from the tail cache alone, without a copy: the parts lie in the cache's own memory and are good until anything is appended
   * to any log of the directory. Null where the cache does not hold `from`, or the log is not to be read.
   */
  peek(from: number, maxBytes: number, below: number): LogSlice | null
  /**
   * Removes everything at and above `offset`, and the whole batch that contains it (of a gap only that part); raises the generation; durable before the next
   * durable report. Throws `IoError`.
   */
  truncate(offset: number): void
  /** Forgets everything and starts empty at `offset` (a follower whose leader's log start is above its end). */
  restart(offset: number): void
  /** Moves `logStart` up (DeleteRecords, or the leader's log start); removes whole segments below it. */
  advanceLogStart(offset: number): void
  /** The largest epoch at or below `epoch` that the log knows, and where it ends; null when it knows none. */
  epochEnd(epoch: number): EpochEnd | null
  /** The first record at or after `timestamp`, or null. A special timestamp of ListOffsets is the caller's affair. */
  offsetForTimestamp(timestamp: number, done: Done<TimestampHit | null>): void
  /** The record with the largest timestamp, or null for an empty log. */
  maxTimestamp(done: Done<TimestampHit | null>): void
  checkpointHighWatermark(offset: number): void
  /** Applies delete retention; whole segments below `highWatermark` only. Returns the new log start. */
  applyRetention(highWatermark: number, nowMs: number): number
  close(done: Done<void>): void
}

/** What only checks look at, as it is now: live, without a copy. */
export interface LogInspection {
  /**
   * Oldest first, at least one. `size` counts bytes of whole batches; the file may be longer for a moment, and the last one is shorter by what
   * `unwritten` holds.
   */
  readonly segments: readonly { readonly baseOffset: number; readonly size: number; readonly logPath: string }[]
  readonly unwritten: readonly Uint8Array[]
  readonly epochs: {
    /** Where each leader epoch begins, rising. */
    readonly entries: readonly { readonly epoch: number; readonly startOffset: number }[]
  }
}

/** What a log directory holds at start. */
export interface OpenedLogs {
  readonly logs: readonly PartitionLog[]
  /** Whether the last stop was clean (its marker was there; it is removed by opening). */
  readonly clean: boolean
  /** Partitions whose recovery cut below the checkpointed watermark, or that are quarantined. */
  readonly damaged: readonly DamagedLog[]
  /** Partitions that lost an unsynced tail at or above what was promised, which is no damage. */
  readonly torn: readonly TornLog[]
}

export interface DamagedLog {
  readonly topicId: Uuid
  readonly partition: number
  readonly reason: string
}

export interface TornLog {
  readonly topicId: Uuid
  readonly partition: number
  /** The offset at which the log ends now. */
  readonly endOffset: number
  readonly lostBytes: number
}

/** One of `log.dirs`. All its logs share one journal. */
export interface LogDirectory {
  readonly path: string
  readonly directoryId: Uuid
  /** Recovers what an unclean stop left; a folder whose topic id `known` refuses is moved aside, never opened. */
  open(done: Done<OpenedLogs>): void
  /** Makes the folder and its `partition.metadata` (synced before the first append). */
  create(request: CreateLog, done: Done<PartitionLog>): void
  /** Renames the folder to `<topic>-<partition>.<uuid>-delete`, then removes it after the `fileDeleteDelayMs` that the log was configured with. */
  delete(log: PartitionLog): void
  /** Moves a folder of a topic that the cluster does not know to `stray/`, never appended to again. */
  moveAside(log: PartitionLog, done: Done<void>): void
  /** Puts a quarantined or diverged log's bytes aside and begins an empty one at `offset`. */
  replace(log: PartitionLog, offset: number, done: Done<PartitionLog>): void
  /**
   * Compacts those logs that need it, in the background and one after another, the filthiest first; nothing while that goes on. What is
   * compacted lies below the watermark that the log was last told, in segments that get no more appends and are on disk. No offset
   * changes, and where batches went there is a gap (`isGap`), so that batches always follow each other without a hole.
   */
  compact(settings: CompactionSettings): void
  /** Writes the checkpoints: recovery points, watermarks, log starts, ends of what is compacted. */
  checkpoint(done: Done<void>): void
  /** Syncs, checkpoints, and writes the clean-shutdown marker. */
  close(done: Done<void>): void
  readonly usableBytes: number
  readonly totalBytes: number
  /** Below the reserve appends are refused with 56 until space is back. */
  readonly full: boolean
}

export interface CreateLog {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  readonly config: LogConfig
  /** Where an empty log starts; 0 for a new partition. */
  readonly startOffset: number
  readonly events: LogEvents
}

/**
 * `fsync`: durable means written to the directory's journal, synchronously, before it is promised. `pagecache`: a segment is synced in the
 * background once it gets no more appends, and all of them at a clean stop.
 */
export type FlushMode = 'fsync' | 'pagecache'

export interface LogDirectoryOptions {
  readonly path: string
  readonly directoryId: Uuid
  readonly flushMode: FlushMode
  /** Appends are refused while less than this is free. */
  readonly reserveBytes: number
  /** Memory for copies of recent appends, from which the tail is read. 32 MiB unless given. */
  readonly tailCacheBytes?: number
  /** Memory for the indexes of older segments that reads need. 16 MiB unless given. */
  readonly indexCacheBytes?: number
  /** Segment files held open at once. 1,024 unless given. */
  readonly maxOpenFiles?: number
  /** In `pagecache` mode, how long anything may stay unsynced. No limit unless given. */
  readonly backgroundFlushMs?: number
  /** In `fsync` mode, how much of one log may be in the journal alone before its segment is written. 256 KiB unless given; 0 writes at once. */
  readonly writeBehindBytes?: number
  /** A file of the journal is full at this size. 32 MiB unless given. */
  readonly journalFileBytes?: number
  /** Called after the durable reports of a group or round, which came in the same turn: the moment to send one ack for all. */
  readonly roundEnded?: () => void
  /** Makes, for each log, what is told of its batches. */
  readonly observe?: () => BatchObserver
  /** False for a folder of a topic that the cluster does not know: it is moved to `stray/` and not opened. */
  readonly known?: (topicId: Uuid, partition: number) => boolean
}
