import { type Done, IoError, replaceSmallFile, type Uuid, type World } from '@millrace/base'
import { encodeCleanShutdown } from './checkpoint-text.ts'
import { Compactor } from './compactor.ts'
import { DirectoryCheckpoints } from './directory-checkpoints.ts'
import { DirectoryOpening } from './directory-opening.ts'
import { DiskSpace } from './disk-space.ts'
import { CLEAN_SHUTDOWN, deletedFolderName, folderName, STRAY, strayFolderName } from './file-names.ts'
import { inOrder } from './flow.ts'
import { FolderSync } from './folder-sync.ts'
import { IndexCache } from './index-cache.ts'
import { Journal } from './journal.ts'
import { JOURNAL_FILE_BYTES, removeJournal, replaceLife, retireJournal } from './journal-files.ts'
import { listSlots } from './journal-reading.ts'
import { createLog } from './log-creation.ts'
import type { LogServices } from './log-services.ts'
import { OpenFiles } from './open-files.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Reaper } from './reaper.ts'
import { SyncScheduler } from './sync-scheduler.ts'
import { TailCache } from './tail-cache.ts'
import type {
  BatchObserver,
  CompactionSettings,
  CreateLog,
  FlushMode,
  LogDirectory,
  LogDirectoryOptions,
  OpenedLogs,
  PartitionLog,
} from './types.ts'
import { WriteBehind } from './write-behind.ts'

const MIB = 1024 * 1024
const DEFAULT_TAIL_BYTES = 32 * MIB
const DEFAULT_INDEX_BYTES = 16 * MIB
const DEFAULT_OPEN_FILES = 1024
const DEFAULT_WRITE_BEHIND_BYTES = 256 * 1024
/** Logs created at once. */
const PARALLEL_CREATIONS = 16

/**
 * A log directory on the world's disk. Nothing is read or written before `open`, which must have answered before any other call. The
 * owner makes sure that no other process uses the directory.
 */
export function openLogDirectory(world: World, options: LogDirectoryOptions): LogDirectory {
  return new FileLogDirectory(world, options)
}

class FileLogDirectory implements LogDirectory, LogServices {
  readonly path: string
  readonly directoryId: Uuid
  readonly world: World
  readonly flushMode: FlushMode
  readonly files: OpenFiles
  readonly indexes: IndexCache
  readonly tails: TailCache
  readonly scheduler: SyncScheduler
  readonly space: DiskSpace
  readonly reaper: Reaper
  readonly observe: (() => BatchObserver) | null
  failed: IoError | null = null
  journal: Journal | null = null
  behind: WriteBehind | null = null
  private opened = false
  private readonly options: LogDirectoryOptions
  private readonly checkpoints: DirectoryCheckpoints
  private readonly names: FolderSync
  private readonly compactor: Compactor
  private readonly logs = new Map<string, SegmentedLog>()
  private creating = 0
  private readonly creations: (() => void)[] = []

  constructor(world: World, options: LogDirectoryOptions) {
    this.world = world
    this.options = options
    this.path = options.path
    this.directoryId = options.directoryId
    this.flushMode = options.flushMode
    this.files = new OpenFiles(world.disk, options.maxOpenFiles ?? DEFAULT_OPEN_FILES, () => this.scheduler.hurry(null))
    this.indexes = new IndexCache(world.disk, options.indexCacheBytes ?? DEFAULT_INDEX_BYTES)
    this.tails = new TailCache(options.tailCacheBytes ?? DEFAULT_TAIL_BYTES)
    this.space = new DiskSpace({ world, path: options.path, reserveBytes: options.reserveBytes })
    this.reaper = new Reaper(world)
    this.observe = options.observe ?? null
    this.checkpoints = new DirectoryCheckpoints(world, options.path)
    this.names = new FolderSync(world.disk, options.path)
    this.compactor = new Compactor(this, () => this.logs.values())
    const { flushMode, backgroundFlushMs } = options
    this.scheduler = new SyncScheduler({
      timers: world.timers,
      failed: (error) => this.fail(error),
      // With a journal its groups are the rounds.
      roundEnded: () => flushMode === 'pagecache' && options.roundEnded?.(),
      intervalUs: flushMode === 'pagecache' && backgroundFlushMs !== undefined ? backgroundFlushMs * 1000 : null,
    })
  }

  get full(): boolean {
    return this.space.full
  }

  get usableBytes(): number {
    return Math.max(0, this.space.freeBytes)
  }

  get totalBytes(): number {
    let used = 0
    for (const log of this.logs.values()) used += log.sizeBytes
    return used + this.usableBytes
  }

  open(done: Done<OpenedLogs>): void {
    new DirectoryOpening(this, this.options, this.checkpoints).run((error, opened) => {
      if (error !== null) return done(error, { logs: [], clean: false, damaged: [], torn: [] })
      this.space.start()
      this.opened = true
      done(null, opened)
    })
  }

  beginJournal(done: Done<void>): void {
    const { world, path, flushMode } = this
    if (flushMode === 'pagecache') return retireJournal(world, path, done)
    const journal = this.makeJournal()
    listSlots(world.disk, path, (error, slots) => {
      if (error !== null) return done(error)
      inOrder([replaceLife(world.disk, path, journal.life), (ended) => journal.begin(slots, ended)], (failed) => {
        if (failed === null) {
          this.journal = journal
          this.behind = this.makeWriteBehind()
        }
        done(failed)
      })
    })
  }

  private makeJournal(): Journal {
    const { world, path, tails, space, options } = this
    return new Journal({
      world,
      path,
      tails,
      space,
      fileBytes: options.journalFileBytes ?? JOURNAL_FILE_BYTES,
      failed: (error) => this.fail(error),
      groupEnded: () => options.roundEnded?.(),
      checkpoint: (done) => {
        // Without this what is in the journal alone would count as being in the segments.
        const refused = this.behind?.writeOut() ?? null
        if (refused !== null) return done(refused)
        inOrder([(ended) => this.scheduler.sync(ended), (ended) => this.checkpoint(ended)], done)
      },
    })
  }

  private makeWriteBehind(): WriteBehind {
    const { world, options, space } = this
    return new WriteBehind(world, {
      bytesPerLog: options.writeBehindBytes ?? DEFAULT_WRITE_BEHIND_BYTES,
      tails: this.tails,
      failed: (error) => this.fail(error),
      ranOut: () => space.ranOut(),
    })
  }

  adopt(log: SegmentedLog): void {
    this.logs.set(folderName(log.topic, log.partition), log)
  }

  openLogs(): Iterable<SegmentedLog> {
    return this.logs.values()
  }

  create(request: CreateLog, done: Done<PartitionLog>): void {
    const problem = this.refusal(folderName(request.topic, request.partition))
    if (problem !== null) return void this.world.timers.after(0, () => done(problem, NO_LOG))
    const begin = (): void => {
      this.creating++
      this.createNow(request, (error, log) => {
        this.creating--
        this.creations.shift()?.()
        done(error, log)
      })
    }
    if (this.creating < PARALLEL_CREATIONS) begin()
    else this.creations.push(begin)
  }

  private refusal(name: string): IoError | null {
    if (this.failed !== null) return this.failed
    return this.logs.has(name) ? new IoError('EEXIST', `${this.path}/${name}`, 'the log is there already') : null
  }

  private createNow(request: CreateLog, done: Done<PartitionLog>): void {
    const name = folderName(request.topic, request.partition)
    // With a journal that says where the new log begins. Without one a start would hold it against what an earlier log of its name had.
    if (this.journal === null && this.checkpoints.tellsOf(name))
      return this.checkpoint((error) => {
        const refused = error ?? this.refusal(name)
        if (refused === null) this.createNow(request, done)
        else done(refused, NO_LOG)
      })
    createLog(this, this.names, request, (error, log) => {
      const refused = error ?? this.refusal(name)
      if (refused !== null) {
        if (error === null) log.release()
        return done(refused, NO_LOG)
      }
      this.adopt(log)
      done(null, log)
    })
  }

  delete(log: PartitionLog): void {
    const own = this.retire(log)
    const target = `${this.path}/${deletedFolderName(own.topic, own.partition, this.freshId())}`
    try {
      this.world.disk.renameNow(own.folder, target)
    } catch (error) {
      return this.fail(error as IoError)
    }
    this.names.sync((error) => error !== null && this.fail(error))
    this.reaper.removeLater([target], own.config.fileDeleteDelayMs)
  }

  moveAside(log: PartitionLog, done: Done<void>): void {
    const own = this.retire(log)
    this.putAside(own.folder, strayFolderName(own.topic, own.partition, this.freshId()), done)
  }

  /** Moves a folder into `stray/`, durably. */
  putAside(folder: string, name: string, done: Done<void>): void {
    const { disk } = this.world
    const stray = `${this.path}/${STRAY}`
    inOrder(
      [
        (ended) => disk.mkdir(stray, ended),
        (ended) => disk.rename(folder, `${stray}/${name}`, ended),
        (ended) => disk.syncDir(stray, ended),
        (ended) => this.names.sync(ended),
      ],
      (error) => {
        this.world.log.warn({ path: folder, to: `${stray}/${name}`, error }, 'folder put aside')
        done(error)
      },
    )
  }

  replace(log: PartitionLog, offset: number, done: Done<PartitionLog>): void {
    const own = log as SegmentedLog
    const { topic, topicId, partition, config, events } = own
    this.moveAside(log, (error) => {
      if (error !== null) return done(error, NO_LOG)
      this.create({ topic, topicId, partition, config, startOffset: offset, events }, done)
    })
  }

  /** The log is this directory's no more; its name is free. */
  private retire(log: PartitionLog): SegmentedLog {
    const own = log as SegmentedLog
    own.release()
    this.logs.delete(folderName(own.topic, own.partition))
    return own
  }

  freshId(): string {
    const bytes = new Uint8Array(16)
    this.world.random.fill(bytes)
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  }

  compact(settings: CompactionSettings): void {
    this.compactor.run(settings)
  }

  checkpoint(done: Done<void>): void {
    if (this.failed !== null) return void this.world.timers.after(0, () => done(this.failed))
    this.checkpoints.write(
      () => this.logs.values(),
      false,
      (error) => {
        // A full disk passes; what was there before is still there.
        if (error !== null && error.code !== 'ENOSPC') this.fail(error)
        done(error)
      },
    )
  }

  afterCheckpoint(run: (error: IoError | null) => void): void {
    this.checkpoint(run)
  }

  lowerCheckpoint(done: (error: IoError | null) => void): void {
    // The opening writes checkpoints once it knows all logs.
    if (this.opened) this.checkpoint(done)
    else done(null)
  }

  fail(error: IoError): void {
    if (this.failed !== null) return
    this.failed = error
    this.world.log.error({ path: this.path, error }, 'log directory failed, nothing of it is served any more')
    this.scheduler.end()
    this.journal?.end()
    this.behind?.end()
    this.space.end()
    this.reaper.end()
    for (const log of this.logs.values()) log.events.failed(error)
  }

  close(done: Done<void>): void {
    const { disk } = this.world
    if (this.failed !== null) return void this.world.timers.after(0, () => this.finish(this.failed, done))
    const journal = this.journal
    const steps = [
      (ended: Done<void>) => this.compactor.end(() => ended(null)),
      (ended: Done<void>) => this.drain(ended),
      (ended: Done<void>) => {
        for (const log of this.logs.values()) {
          log.stop()
          if (log.quarantined === null) log.snapshots?.take(log.endOffset)
        }
        this.checkpoints.write(() => this.logs.values(), true, ended)
      },
      replaceSmallFile(disk, this.path, CLEAN_SHUTDOWN, encodeCleanShutdown(-1)),
    ]
    // Beside the marker the journal counts no more.
    if (journal !== null)
      steps.push(
        (ended) => journal.close(ended),
        (ended) => removeJournal(disk, this.path, ended),
      )
    inOrder(steps, (error) => this.finish(error, done))
  }

  /** Whoever waits for the journal is told, and all segments are on disk. */
  private drain(done: Done<void>): void {
    const { journal, scheduler } = this
    const sync = (error: IoError | null): void => {
      const refused = error ?? this.behind?.writeOut() ?? null
      if (refused !== null) return done(refused)
      for (const log of this.logs.values()) log.settle()
      scheduler.drain((unsynced) => {
        if (unsynced !== null || journal === null || journal.idle) done(unsynced)
        else this.drain(done)
      })
    }
    if (journal === null) sync(null)
    else journal.flush(sync)
  }

  private finish(error: IoError | null, done: Done<void>): void {
    for (const log of this.logs.values()) log.release()
    this.scheduler.end()
    this.journal?.end()
    this.behind?.end()
    this.space.end()
    this.reaper.end()
    done(error)
  }
}

/** Stands where a failed call has no value; callers look at the error first. */
const NO_LOG = null as unknown as PartitionLog
