import { type Done, IoError, readSmallFile, type Uuid, type World } from '@millrace/base'
import { parseEpochs, parsePartitionMetadata } from './checkpoint-text.ts'
import type { Checkpoints } from './directory-checkpoints.ts'
import { EpochHistory } from './epoch-history.ts'
import { completeSwaps } from './compaction-swap.ts'
import { DELETED_FILE, LEADER_EPOCHS, PARTITION_METADATA, QUARANTINED, segmentFileName } from './file-names.ts'
import { type FolderListing, readListing } from './folder-listing.ts'
import type { LogChanges } from './journal-changes.ts'
import { type Promised, promisedAfter } from './journal-replay.ts'
import { type Recovered, recoverLog } from './log-recovery.ts'
import type { OpenFiles } from './open-files.ts'
import type { LogState } from './partition-log.ts'
import { markQuarantined } from './quarantine.ts'
import type { Reaper } from './reaper.ts'
import { Segment } from './segment.ts'
import type { FlushMode } from './types.ts'

export interface OpeningRequest {
  readonly world: World
  readonly files: OpenFiles
  readonly reaper: Reaper
  readonly flushMode: FlushMode
  readonly path: string
  readonly name: string
  readonly topic: string
  readonly partition: number
  readonly checkpoints: Checkpoints
  /** The last stop was clean: nothing is walked unless the folder contradicts the checkpoints. */
  readonly clean: boolean
  readonly known: (topicId: Uuid, partition: number) => boolean
  /** What the journal says of a log. */
  readonly changes: (topicId: Uuid, partition: number) => LogChanges | null
}

/** What became of one folder. */
export type OpenedFolder =
  | {
      readonly kind: 'log'
      readonly state: LogState
      readonly recovered: Recovered | null
      /** What the journal says of it, which is still to be done. */
      readonly changes: LogChanges | null
      readonly promised: Promised
      /** Offsets of the producer snapshots in the folder. */
      readonly snapshots: readonly number[]
    }
  /** A creation that was never finished: nothing was ever appended. */
  | { readonly kind: 'unfinished' }
  | { readonly kind: 'foreign'; readonly reason: string }

/** Opens the log in one folder. Fails only when the disk does. */
export function openFolder(request: OpeningRequest, done: Done<OpenedFolder>): void {
  new Opening(request, done).start()
}

/** What is known of a log before its segments are read. */
type Known = Promised & { readonly epochs: EpochHistory }

class Opening {
  private readonly request: OpeningRequest
  private readonly done: Done<OpenedFolder>
  private readonly folder: string
  private topicId: Uuid = ''
  private changes: LogChanges | null = null
  private listing: FolderListing = {
    segments: [],
    snapshots: [],
    leftovers: [],
    provisional: [],
    swaps: [],
    quarantined: false,
  }

  constructor(request: OpeningRequest, done: Done<OpenedFolder>) {
    this.request = request
    this.done = done
    this.folder = `${request.path}/${request.name}`
  }

  start(): void {
    const { disk } = this.request.world
    disk.list(this.folder, (error, entries) => {
      if (error !== null) return this.failed(error)
      this.listing = readListing(this.folder, entries)
      if (this.listing.swaps.length > 0 && !this.listing.quarantined) return this.completeSwaps()
      readSmallFile(disk, `${this.folder}/${PARTITION_METADATA}`, (unread, bytes) => {
        if (unread !== null) return this.failed(unread)
        this.identify(bytes)
      })
    })
  }

  /** Each ends with its mark removed, so that the next listing has none. */
  private completeSwaps(): void {
    const { world, reaper } = this.request
    completeSwaps({ disk: world.disk, reaper, folder: this.folder, listing: this.listing }, (error) =>
      error === null ? this.start() : this.failed(error),
    )
  }

  private identify(metadata: Uint8Array | null): void {
    const empty = this.listing.segments.every(({ size }) => size === 0)
    const topicId = metadata === null ? null : parsePartitionMetadata(metadata)
    if (topicId === null && empty) return this.done(null, { kind: 'unfinished' })
    if (topicId === null) return this.done(null, { kind: 'foreign', reason: 'no topic id is recorded for it' })
    this.topicId = topicId
    if (!this.request.known(topicId, this.request.partition))
      return this.done(null, { kind: 'foreign', reason: `topic id ${topicId} is not of this cluster` })
    this.changes = this.request.changes(topicId, this.request.partition)
    readSmallFile(this.request.world.disk, `${this.folder}/${LEADER_EPOCHS}`, (error, bytes) => {
      if (error !== null) return this.failed(error)
      const starts = bytes === null ? null : parseEpochs(bytes)
      this.open(starts === null ? null : new EpochHistory(starts))
    })
  }

  private open(epochs: EpochHistory | null): void {
    const { clean } = this.request
    try {
      this.removeLeftovers()
    } catch (error) {
      return this.failed(error as IoError)
    }
    const promised = this.promised()
    const known = { ...promised, epochs: epochs ?? new EpochHistory() }
    if (this.listing.quarantined) return this.openQuarantined(known)
    const { emptied, beginning } = this.changes ?? {}
    if (emptied === true) return this.openAnew(beginning ?? 0, promised)
    const segments = this.dropBelow(promised.logStart)
    if (segments.length === 0) return this.openWithout(promised)
    const lostHead = this.lostHead(segments[0] as Segment, promised)
    if (lostHead !== null) {
      const journaled = this.journaledFrom(promised)
      return journaled === null ? this.openRotten(segments, known, lostHead) : this.openAnew(journaled, promised)
    }
    const empty = segments.every(({ size }) => size === 0)
    const last = segments.at(-1) as Segment
    // A checkpoint is written at a clean stop only for what it knew, and an epoch history only once there is an epoch.
    const trusted =
      clean && promised.recoveryPoint >= last.baseOffset && (epochs !== null || empty) && this.hasRecoveryPoint()
    if (trusted) return this.finish(segments, { ...known, endOffset: promised.recoveryPoint }, null)
    this.recover(segments, epochs, promised)
  }

  private removeLeftovers(): void {
    const { reaper } = this.request
    const { leftovers, provisional } = this.listing
    const renamed = provisional.map((name) => reaper.renameAway(`${this.folder}/${name}`, DELETED_FILE))
    const paths = [...leftovers.map((name) => `${this.folder}/${name}`), ...renamed]
    reaper.removeLater(
      paths.filter((path) => path !== null),
      0,
    )
  }

  /** Segments wholly below the log start were being removed when the last process ended: some may be gone, so all go. */
  private dropBelow(logStart: number): Segment[] {
    const { segments } = this.listing
    const first = segments.findIndex((_, at) => (segments[at + 1]?.baseOffset ?? Number.POSITIVE_INFINITY) > logStart)
    for (const files of segments.slice(0, Math.max(first, 0)))
      this.request.reaper.removeLater(new Segment(files).paths, 0)
    return segments.slice(Math.max(first, 0)).map((files) => new Segment(files))
  }

  /**
   * What is deleted at the start keeps its name until the start is told, so a first segment above the start follows one that is lost. Only a log
   * that began anew above its former end may not have told so yet.
   */
  private lostHead({ baseOffset }: Segment, { logStart, recoveryPoint, highWatermark }: Promised): string | null {
    const told = this.request.checkpoints.logStarts !== null || (this.changes?.beginning ?? null) !== null
    const knownEnd = Math.max(recoveryPoint, highWatermark, this.changes?.pieces.at(-1)?.end ?? 0)
    if (!told || baseOffset <= logStart || baseOffset > knownEnd) return null
    return `the first segment begins at offset ${baseOffset}, the log at ${logStart}`
  }

  /**
   * From where the journal has all of the log, at or below its start: the files are not needed then. A power cut takes a young segment's
   * name and leaves a later one's, after everything before was deleted. Null when the files hold something that the journal does not.
   */
  private journaledFrom({ recoveryPoint, logStart }: Promised): number | null {
    const first = this.changes?.pieces[0]
    if (first === undefined || Math.max(first.from, recoveryPoint) > logStart) return null
    return Math.max(first.from, recoveryPoint)
  }

  /** Nothing of it is trusted, and nothing changed. */
  private openRotten(segments: Segment[], known: Known, quarantined: string): void {
    const endOffset = Math.max(known.highWatermark, (segments.at(-1) as Segment).baseOffset)
    const { epochs } = known
    this.finish(segments, { ...known, endOffset }, { epochs, endOffset, quarantined, lostBytes: 0, detail: '' })
  }

  /** An earlier process met rot: what is here is not looked at again, until the log is replaced. */
  private openQuarantined(known: Known): void {
    readSmallFile(this.request.world.disk, `${this.folder}/${QUARANTINED}`, (error, bytes) => {
      if (error !== null) return this.failed(error)
      const reason = new TextDecoder().decode(bytes ?? new Uint8Array(0)) || 'quarantined by an earlier process'
      const found = this.listing.segments.map((files) => new Segment(files))
      const segments = found.length > 0 ? found : [Segment.empty(this.folder, known.logStart, 0)]
      this.openRotten(segments, known, reason)
    })
  }

  private promised(): Promised {
    const { checkpoints, name } = this.request
    const promised = {
      recoveryPoint: checkpoints.recoveryPoints.get(name) ?? 0,
      highWatermark: checkpoints.highWatermarks.get(name) ?? 0,
      logStart: checkpoints.logStarts?.get(name) ?? 0,
    }
    return this.changes === null ? promised : promisedAfter(promised, this.changes)
  }

  private hasRecoveryPoint(): boolean {
    return this.request.checkpoints.recoveryPoints.has(this.request.name)
  }

  /** No segment at all: what was promised is gone, or nothing was ever promised and the first file is made again. */
  private openWithout(promised: Promised): void {
    const { recoveryPoint, highWatermark, logStart } = promised
    // What the journal has of it counts as there until it is replayed.
    const offset = this.changes === null ? Math.max(recoveryPoint, highWatermark) : recoveryPoint
    this.openEmpty(
      this.journaledFrom(promised) ?? logStart,
      promised,
      offset > logStart ? `every segment is gone, the log was promised up to offset ${offset}` : null,
    )
  }

  /** The log began anew: whatever is here is of before, and the journal has all of what came then. */
  private openAnew(offset: number, promised: Promised): void {
    const { reaper, files } = this.request
    try {
      for (const found of this.listing.segments) {
        const segment = new Segment(found)
        const renamed = segment.paths.map((path) => reaper.renameAway(path, DELETED_FILE))
        reaper.removeLater(
          renamed.filter((path) => path !== null),
          0,
        )
        files.close(segment)
      }
    } catch (error) {
      return this.failed(error as IoError)
    }
    this.openEmpty(offset, promised, null)
  }

  private openEmpty(offset: number, promised: Promised, quarantined: string | null): void {
    const { world, files } = this.request
    const segment = Segment.empty(this.folder, offset, world.clock.wallMs())
    world.disk.open(`${this.folder}/${segmentFileName(segment.baseOffset, 'log')}`, 'append', (error, file) => {
      if (error !== null) return this.failed(error)
      segment.writable = true
      files.keep(segment, file)
      const { baseOffset: endOffset } = segment
      const recovered = { epochs: new EpochHistory(), endOffset, quarantined, lostBytes: 0, detail: '' }
      world.disk.syncDir(this.folder, (unsynced) => {
        if (unsynced !== null) return this.failed(unsynced)
        this.finish([segment], { ...promised, endOffset, epochs: recovered.epochs }, recovered)
      })
    })
  }

  private recover(segments: Segment[], epochs: EpochHistory | null, promised: Promised): void {
    const { world, files, reaper, flushMode } = this.request
    const journaled = this.changes !== null
    const truncated = this.changes?.truncated ?? false
    const unsyncedFrom = this.unsyncedFrom(promised)
    const log = { folder: this.folder, segments, epochs, journaled, truncated, unsyncedFrom, ...promised }
    recoverLog({ disk: world.disk, files, reaper, flushMode, ...log }, (error, recovered) => {
      if (error !== null) return this.failed(error)
      this.finish(segments, { ...promised, endOffset: recovered.endOffset, epochs: recovered.epochs }, recovered)
    })
  }

  /** What the journal holds no more was synced before the journal let go of it. */
  private unsyncedFrom({ recoveryPoint }: Promised): number {
    const piece = this.changes?.pieces.find(({ end }) => end > recoveryPoint)
    return Math.max(recoveryPoint, piece?.from ?? 0)
  }

  private finish(
    segments: Segment[],
    known: Known & { readonly endOffset: number },
    recovered: Recovered | null,
  ): void {
    const { topic, partition, world } = this.request
    const first = segments[0] as Segment
    const quarantined = recovered?.quarantined ?? null
    if (quarantined !== null && !this.listing.quarantined) markQuarantined(world, this.folder, quarantined)
    // What the journal has is not counted yet.
    const changes = quarantined === null ? this.changes : null
    const { logStart, highWatermark } =
      changes === null
        ? boundsWithin(known, first.baseOffset, known.endOffset)
        : { logStart: first.baseOffset, highWatermark: first.baseOffset }
    const state: LogState = {
      topic,
      topicId: this.topicId,
      partition,
      folder: this.folder,
      segments,
      epochs: known.epochs,
      logStart,
      endOffset: known.endOffset,
      durableEnd: known.endOffset,
      highWatermark: quarantined === null ? highWatermark : known.highWatermark,
      cleanedEnd: this.cleanedEnd(),
      quarantined,
    }
    const { snapshots } = this.listing
    this.done(null, { kind: 'log', state, recovered, changes, promised: known, snapshots })
  }

  /** What was cut since, and appended anew, is not compacted. */
  private cleanedEnd(): number {
    const told = this.request.checkpoints.cleanedEnds.get(this.request.name) ?? 0
    const { changes } = this
    return changes === null ? told : Math.min(told, changes.beginning === null ? changes.lowest : 0)
  }

  private failed(error: IoError): void {
    this.done(error, { kind: 'unfinished' })
  }
}

/** What checkpoints say of a log's start and watermark, as far as it fits one that holds [first, end). */
export function boundsWithin(
  { logStart, highWatermark }: Promised,
  first: number,
  end: number,
): { logStart: number; highWatermark: number } {
  const start = Math.min(Math.max(first, logStart), Math.max(end, first))
  return { logStart: start, highWatermark: Math.min(Math.max(highWatermark, start), end) }
}
