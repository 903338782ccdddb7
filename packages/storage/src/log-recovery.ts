import { type Disk, type Done, IoError } from '@millrace/base'
import { BATCH_HEADER_BYTES, baseOffset, lastOffset, leaderEpoch, maxTimestamp, nextOffset } from '@millrace/records'
import { walkBatches } from './batch-walk.ts'
import { EpochHistory } from './epoch-history.ts'
import { DELETED_FILE } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import { segmentAt } from './log-reads.ts'
import { syncIndexes } from './log-sync.ts'
import type { OpenFiles } from './open-files.ts'
import type { Reaper } from './reaper.ts'
import { type Cut, type Segment, strangeBeginning } from './segment.ts'
import type { FlushMode } from './types.ts'

/** The interval of a topic is not known yet when its log is recovered; any interval makes a right index. */
const INDEX_INTERVAL_BYTES = 4096

export interface RecoveryRequest {
  readonly disk: Disk
  readonly files: OpenFiles
  readonly reaper: Reaper
  readonly flushMode: FlushMode
  readonly folder: string
  /** By base offset; at least one. */
  readonly segments: Segment[]
  /** Null where the checkpoint is missing or damaged: then everything is walked. */
  readonly epochs: EpochHistory | null
  readonly recoveryPoint: number
  readonly highWatermark: number
  /** The journal has what follows the recovery point, and is replayed next: nothing of that part is missed here. */
  readonly journaled: boolean
  /** The log was cut since its indexes were synced: their files may be of different moments, and prove nothing. */
  readonly truncated: boolean
  /** From this offset on it is not known that bytes are on disk, even if they can be read. */
  readonly unsyncedFrom: number
  /** A read has failed before. */
  readonly again?: boolean
}

export interface Recovered {
  readonly epochs: EpochHistory
  readonly endOffset: number
  /** Nothing was changed then. */
  readonly quarantined: string | null
  readonly lostBytes: number
  /** What was found where the log ends now; empty when it was whole. */
  readonly detail: string
}

/**
 * Makes a log whole that was not stopped cleanly: walks it from the recovery point on, remakes its indexes and epochs, and decides
 * what damage means. At or after what was promised it is a torn tail, which is cut; before, it is rot, and nothing is touched. Ends
 * with a sync, because bytes that are merely readable after a crash are not durable. Fails when that does, and where the log could not be
 * looked at.
 */
export function recoverLog(request: RecoveryRequest, done: Done<Recovered>): void {
  new Recovery(request, done).start()
}

class Recovery {
  private readonly request: RecoveryRequest
  private readonly done: Done<Recovered>
  private readonly epochs: EpochHistory
  private readonly firstWalked: number
  /** The offset that the next batch begins at. */
  private next: number
  private detail = ''
  private sawBatch = false
  /** Where what may not be on disk begins; null until the walk has come there. */
  private unsynced: { readonly segment: Segment; readonly position: number } | null = null
  private cacheDoubted = false

  constructor(request: RecoveryRequest, done: Done<Recovered>) {
    this.request = request
    this.done = done
    const from = request.epochs === null ? 0 : request.recoveryPoint
    // The one that ends there too: it may hold what a cut at its end, told by the journal, had not taken yet.
    this.firstWalked = request.segments.indexOf(segmentAt(request.segments, from - 1))
    this.epochs = request.epochs ?? new EpochHistory()
    this.next = (request.segments[this.firstWalked] as Segment).baseOffset
  }

  start(): void {
    const { disk, files, epochs, segments, recoveryPoint, truncated } = this.request
    const first = segments[this.firstWalked] as Segment
    // Only a log's last segment is ever empty, and what is below the recovery point was on disk.
    const emptied = segments.slice(0, this.firstWalked).find(({ size }) => size === 0)
    if (emptied !== undefined) return this.finish(`${emptied.logPath} is empty, and others follow`, 0)
    if (epochs === null || truncated) {
      first.index.forget()
      epochs?.truncateEnd(this.next)
      return this.walk(this.firstWalked, 0)
    }
    let start: Cut
    try {
      start = first.resumeAt({ disk, files, indexIntervalBytes: INDEX_INTERVAL_BYTES }, recoveryPoint)
    } catch (error) {
      return this.failed(error)
    }
    this.next = start.endOffset
    // What is cached beyond this point is told again by the batches.
    epochs.truncateEnd(this.next)
    if (start.epoch >= 0 && start.epoch !== epochs.lastEpoch) return this.startWithoutCache()
    this.walk(this.firstWalked, start.position)
  }

  /** The log contradicts the epoch checkpoint, which has no checksum: it goes for nothing, and everything is walked. */
  private startWithoutCache(): void {
    recoverLog({ ...this.request, epochs: null }, this.done)
  }

  private walk(at: number, from: number): void {
    const segment = this.request.segments[at]
    if (segment === undefined) return this.judge(at - 1, null)
    if (at > this.firstWalked) {
      segment.index.forget()
      // Segments leave no gap between them, so one that begins elsewhere follows a tail that is lost, or is not of this log.
      if (segment.baseOffset !== this.next) {
        this.detail = `segment ${segment.baseOffset} follows where offset ${this.next} was due`
        return this.judge(at, 0)
      }
    }
    readBeginning(this.request.disk, segment.logPath, (error, header) => {
      if (error !== null) return this.failed(error)
      const strange = strangeBeginning(header, segment.baseOffset)
      // Nothing of a segment that was never synced is promised but by the journal: a power cut may leave anything in it.
      const { journaled, unsyncedFrom } = this.request
      const isPromised = !journaled || segment.baseOffset < unsyncedFrom
      if (strange !== null && isPromised) return this.finish(`${segment.logPath}: ${strange}`, 0)
      this.walkFrom(at, from)
    })
  }

  private walkFrom(at: number, from: number): void {
    const segment = this.request.segments[at] as Segment
    const visit = (bytes: Uint8Array, where: number, position: number, size: number): boolean =>
      this.visit(segment, { bytes, at: where, position, size })
    const walk = { path: segment.logPath, from, to: segment.size, checkCrc: true, visit }
    walkBatches(this.request.disk, walk, (error, end) => {
      if (error !== null) return this.failed(error)
      if (this.cacheDoubted) return this.startWithoutCache()
      if (end.why === 'end') return this.walk(at + 1, 0)
      if (end.why === 'damage') this.detail = end.detail
      this.judge(at, end.position)
    })
  }

  private visit(segment: Segment, batch: { bytes: Uint8Array; at: number; position: number; size: number }): boolean {
    const { bytes, at, position, size } = batch
    const base = baseOffset(bytes, at)
    const epoch = leaderEpoch(bytes, at)
    // Logs are dense, compacted ones too: a gap stands for what is gone.
    if (base !== this.next) this.detail = `a batch at offset ${base} where ${this.next} was due`
    else if (epoch < this.epochs.lastEpoch) {
      this.detail = `epoch ${epoch} after ${this.epochs.lastEpoch}`
      this.cacheDoubted = this.request.epochs !== null && !this.sawBatch
    } else if (lastOffset(bytes, at) - segment.baseOffset >= 2 ** 31)
      this.detail = `offset ${base} is not of this segment`
    if (this.detail !== '') return false
    this.sawBatch = true
    if (base >= this.request.unsyncedFrom) this.unsynced ??= { segment, position }
    if (epoch > this.epochs.lastEpoch) this.epochs.assign(epoch, base)
    if (position === 0) segment.firstTimestamp = maxTimestamp(bytes, at)
    const last = lastOffset(bytes, at) - segment.baseOffset
    segment.index.add({ position, size, lastOffset: last, maxTimestamp: maxTimestamp(bytes, at) }, INDEX_INTERVAL_BYTES)
    this.next = nextOffset(bytes, at)
    return true
  }

  /** The walk ended in segment number `at`: at `position`, or with the log where that is null. */
  private judge(at: number, position: number | null): void {
    const { recoveryPoint, highWatermark, flushMode, journaled } = this.request
    // In page-cache mode the watermark may run ahead of the disk: a tail that is lost there was never promised to survive.
    const promised = flushMode === 'fsync' && !journaled ? Math.max(recoveryPoint, highWatermark) : recoveryPoint
    if (this.next < promised) {
      const found = position === null ? 'the log ends there' : this.detail
      return this.finish(`at offset ${this.next}, below the promised ${promised}: ${found}`, 0)
    }
    let lostBytes = 0
    try {
      if (position !== null) lostBytes = this.cut(at, position)
      this.settle()
    } catch (error) {
      // The disk takes no writes: that says nothing about what the log holds.
      if (!(error instanceof IoError)) throw error
      return this.done(error, this.outcome(null, lostBytes))
    }
    this.sync((error) => {
      if (error === null) this.finish(null, lostBytes)
      else this.done(error, this.outcome(null, lostBytes))
    })
  }

  private cut(at: number, position: number): number {
    const { segments, files } = this.request
    // A segment of which nothing is left goes too, unless it is the only one or begins exactly where the log ends.
    const empty = position === 0 && at > 0 && (segments[at] as Segment).baseOffset !== this.next
    const keep = empty ? at : at + 1
    let lost = 0
    for (const segment of segments.splice(keep).reverse()) {
      lost += segment.size
      this.remove(segment)
    }
    const last = segments.at(-1) as Segment
    last.writable = true
    if (empty || position === last.size) return lost
    lost += last.size - position
    files.now(last).truncateNow(position)
    last.size = position
    return lost
  }

  private remove(segment: Segment): void {
    const { files, reaper } = this.request
    segment.removed = true
    files.close(segment)
    const renamed = segment.paths.map((path) => reaper.renameAway(path, DELETED_FILE))
    reaper.removeLater(
      renamed.filter((path) => path !== null),
      0,
    )
  }

  /** Writes the remade indexes; the last segment goes on from here. */
  private settle(): void {
    const { segments, disk } = this.request
    const last = segments.at(-1) as Segment
    for (const segment of segments.slice(this.firstWalked)) {
      try {
        if (segment !== last) segment.index.finish()
        segment.index.spill(disk)
      } catch (error) {
        // An index is a cache: entries stay in memory, and a file that lacks them is remade when it is needed.
        if (!(error instanceof IoError)) throw error
      }
    }
    last.awake = true
    last.writable = true
  }

  private sync(done: Done<void>): void {
    const { segments, files, disk, folder } = this.request
    const syncOne = (segment: Segment, ended: Done<void>): void =>
      files.later(segment, (error, file) => {
        if (error !== null) return ended(error)
        file.sync((failed) => (failed === null ? syncIndexes(disk, segment, ended) : ended(failed)))
      })
    inOrder(
      [
        (ended) => this.writeOver(ended),
        (ended) => eachLimited(segments.slice(this.firstWalked), 1, syncOne, ended),
        (ended) => disk.syncDir(folder, ended),
      ],
      done,
    )
  }

  /**
   * Bytes that an earlier process wrote and failed to sync can be read like any others, and no sync writes them again: the kernel takes
   * their pages for clean. So what is not known to be on disk is written over with itself. Page-cache mode promises nothing that needs it.
   */
  private writeOver(done: Done<void>): void {
    const { segments, disk, flushMode } = this.request
    const { unsynced } = this
    if (unsynced === null || flushMode !== 'fsync') return done(null)
    const first = segments.indexOf(unsynced.segment)
    const writeOne = (segment: Segment, ended: Done<void>): void => {
      const from = segment === unsynced.segment ? unsynced.position : 0
      if (from >= segment.size) ended(null)
      else writeOverItself(disk, segment.logPath, { from, to: segment.size }, ended)
    }
    eachLimited(first < 0 ? [] : segments.slice(first), 1, writeOne, done)
  }

  private finish(quarantined: string | null, lostBytes: number): void {
    this.done(null, this.outcome(quarantined, lostBytes))
  }

  private outcome(quarantined: string | null, lostBytes: number): Recovered {
    return { epochs: this.epochs, endOffset: this.next, quarantined, lostBytes, detail: this.detail }
  }

  /**
   * What the disk can not read, twice, is as good as rotten. Anything else (handles, memory, rights) says nothing about the log: the opening
   * fails, and the next start tries again.
   */
  private failed(error: unknown): void {
    if (!(error instanceof IoError)) throw error
    if (error.code !== 'EIO') return this.done(error, this.outcome(null, 0))
    if (this.request.again === true) return this.finish(error.message, 0)
    // The epochs are as far as the walk came.
    recoverLog({ ...this.request, epochs: null, again: true }, this.done)
  }
}

/** The first bytes of a file: fewer than a header where it is shorter. */
function readBeginning(disk: Disk, path: string, done: Done<Uint8Array>): void {
  const header = new Uint8Array(BATCH_HEADER_BYTES)
  disk.open(path, 'read', (error, file) => {
    if (error !== null) return done(error, header)
    file.read(0, header, (unread, count) => file.close(() => done(unread, header.subarray(0, count))))
  })
}

/** Bytes that are written over at once. */
const REWRITE_BYTES = 1024 * 1024

/** Reads a part of a file and writes it where it was, on disk when `done` is called. */
function writeOverItself(
  disk: Disk,
  path: string,
  { from, to }: { readonly from: number; readonly to: number },
  done: Done<void>,
): void {
  disk.open(path, 'overwrite', (error, file) => {
    if (error !== null) return done(error)
    const end: Done<void> = (failed) => file.close((unclosed) => done(failed ?? unclosed))
    const step = (at: number): void => {
      if (at >= to) return end(null)
      const into = new Uint8Array(Math.min(REWRITE_BYTES, to - at))
      file.read(at, into, (unread, count) => {
        if (unread !== null || count === 0) return end(unread)
        file.writeAt(at, [into.subarray(0, count)], (failed) => (failed === null ? step(at + count) : end(failed)))
      })
    }
    step(from)
  })
}
