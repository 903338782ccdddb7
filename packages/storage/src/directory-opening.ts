import { parentOf, readSmallFile, type Done, type Uuid } from '@millrace/base'
import { type Checkpoints, type DirectoryCheckpoints } from './directory-checkpoints.ts'
import { CLEAN_SHUTDOWN, isDeletedFolder, partitionOfFolder, strayFolderName } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import type { LogChanges } from './journal-changes.ts'
import { type FoundJournal, logKey, readJournal } from './journal-reading.ts'
import { type Promised, replayChanges } from './journal-replay.ts'
import { DEFAULT_LOG_CONFIG } from './log-config.ts'
import { boundsWithin, type OpenedFolder, openFolder } from './log-opening.ts'
import type { Recovered } from './log-recovery.ts'
import type { LogServices } from './log-services.ts'
import { SegmentedLog } from './partition-log.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import type { DamagedLog, LogDirectoryOptions, OpenedLogs, TornLog } from './types.ts'

/** Folders opened at once. */
const PARALLEL_FOLDERS = 16

/** What an opening needs of its directory. */
export interface OpeningDirectory extends LogServices {
  readonly path: string
  adopt(log: SegmentedLog): void
  openLogs(): Iterable<SegmentedLog>
  putAside(folder: string, name: string, done: Done<void>): void
  /** What journal there was counts no more; where the mode has one, another begins. */
  beginJournal(done: Done<void>): void
  freshId(): string
}

type OpenedLog = OpenedFolder & { readonly kind: 'log' }

/** Finds what a directory holds, recovers what was not stopped cleanly, and takes the marker away before anything is written. */
export class DirectoryOpening {
  private readonly directory: OpeningDirectory
  private readonly options: LogDirectoryOptions
  private readonly store: DirectoryCheckpoints
  private clean = false
  private found: Checkpoints = {
    recoveryPoints: new Map(),
    highWatermarks: new Map(),
    logStarts: null,
    cleanedEnds: new Map(),
  }
  private journal: FoundJournal | null = null
  private readonly logs: SegmentedLog[] = []
  private readonly damaged: DamagedLog[] = []
  private readonly torn: TornLog[] = []

  constructor(directory: OpeningDirectory, options: LogDirectoryOptions, store: DirectoryCheckpoints) {
    this.directory = directory
    this.options = options
    this.store = store
  }

  run(done: Done<OpenedLogs>): void {
    inOrder(
      [
        (ended) => this.directory.world.disk.mkdir(this.options.path, ended),
        // The directory's own name. Its parent may be one that this process may not open, and then somebody else made the name.
        (ended) => this.directory.world.disk.syncDir(parentOf(this.options.path), () => ended(null)),
        (ended) => this.readCheckpoints(ended),
        (ended) => this.readJournal(ended),
        (ended) => this.openFolders(ended),
        (ended) => inOrder(this.endings(), ended),
      ],
      (error) => done(error, { logs: this.logs, clean: this.clean, damaged: this.damaged, torn: this.torn }),
    )
  }

  /** What ends the opening, by how the last process ended. */
  private endings(): ((done: Done<void>) => void)[] {
    const { directory } = this
    const checkpoint = (ended: Done<void>): void => this.store.write(() => directory.openLogs(), false, ended)
    const beginJournal = (ended: Done<void>): void => directory.beginJournal(ended)
    // A journal counts until its end is on disk in the segments, and told by the checkpoints.
    if (!this.clean) return [(ended) => this.settleReplayed(ended), checkpoint, beginJournal]
    // What a clean stop left of a journal must count no more once the marker is gone. And the marker goes first: beside it a recovery point
    // is the end of a log, and a running log promises less than that.
    return [beginJournal, (ended) => this.removeMarker(ended), checkpoint]
  }

  private readJournal(done: Done<void>): void {
    if (this.clean) return done(null)
    const { world, path } = this.directory
    readJournal(world.disk, path, (error, found) => {
      this.journal = found
      if (error !== null) return done(error)
      if (found !== null && found.groups > 0) {
        const { files, groups, bytes } = found
        world.log.info({ path, files, groups, bytes }, 'journal is replayed')
      }
      done(null)
    })
  }

  /** What was replayed is on disk. */
  private settleReplayed(done: Done<void>): void {
    this.directory.scheduler.drain((error) => {
      if (error === null) for (const log of this.logs) if (log.quarantined === null) log.becameDurable(log.endOffset)
      done(error)
    })
  }

  private readCheckpoints(done: Done<void>): void {
    const { disk } = this.directory.world
    readSmallFile(disk, `${this.options.path}/${CLEAN_SHUTDOWN}`, (error, marker) => {
      this.clean = marker !== null
      if (error !== null) return done(error)
      this.store.read((failed, found) => {
        this.found = found
        done(failed)
      })
    })
  }

  private openFolders(done: Done<void>): void {
    const { disk } = this.directory.world
    const { path } = this.options
    disk.list(path, (error, entries) => {
      if (error !== null) return done(error)
      const folders = entries.filter(({ kind }) => kind === 'directory').map(({ name }) => name)
      const deleted = folders.filter(isDeletedFolder)
      this.directory.reaper.removeLater(
        deleted.map((name) => `${path}/${name}`),
        0,
      )
      const partitions = folders.filter((name) => !isDeletedFolder(name) && partitionOfFolder(name) !== null)
      eachLimited(partitions, PARALLEL_FOLDERS, (name, ended) => this.openOne(name, ended), done)
    })
  }

  private openOne(name: string, done: Done<void>): void {
    const { directory, options } = this
    const { topic, partition } = partitionOfFolder(name) as { topic: string; partition: number }
    const { world, files, reaper, flushMode } = directory
    const known = options.known ?? ((): boolean => true)
    const changes = (topicId: Uuid, of: number): LogChanges | null =>
      this.journal?.changes.get(logKey(topicId, of)) ?? null
    const request = { world, files, reaper, flushMode, path: options.path, name, topic, partition, known, changes }
    openFolder({ ...request, checkpoints: this.found, clean: this.clean }, (error, opened) => {
      if (error !== null) return done(error)
      if (opened.kind === 'log') return this.adopt(opened, done)
      if (opened.kind === 'unfinished') return world.disk.remove(`${options.path}/${name}`, done)
      world.log.warn({ path: `${options.path}/${name}`, reason: opened.reason }, 'folder is of no known partition')
      directory.putAside(`${options.path}/${name}`, strayFolderName(topic, partition, directory.freshId()), done)
    })
  }

  private adopt(opened: OpenedLog, done: Done<void>): void {
    const log = new SegmentedLog(this.directory, opened.state, DEFAULT_LOG_CONFIG)
    this.directory.adopt(log)
    this.logs.push(log)
    const { changes, promised, recovered } = opened
    const finish = (lostBytes: number): void =>
      this.observe(log, opened, (error) => {
        if (error !== null) return done(error)
        const { detail } = recovered ?? { detail: '' }
        if (recovered !== null || log.quarantined !== null) this.report(log, detail, { lostBytes, promised })
        done(null)
      })
    if (changes === null) return finish(recovered?.lostBytes ?? 0)
    replayChanges(log, changes, promised.recoveryPoint, (error, { appended, dropped }) => {
      if (error !== null) return done(error)
      this.judge(log, promised)
      finish(Math.max(0, (recovered as Recovered).lostBytes - appended) + dropped)
    })
  }

  /** What is derived from the log's batches, now that it is what it will be. */
  private observe(log: SegmentedLog, { changes, promised, snapshots }: OpenedLog, done: Done<void>): void {
    const { observe } = this.options
    if (observe === undefined) return done(null)
    log.snapshots = new ProducerSnapshots(log, observe())
    if (log.quarantined !== null) return done(null)
    const trusted = changes?.emptied === true ? -1 : Math.min(promised.recoveryPoint, log.endOffset)
    log.snapshots.open(snapshots, trusted, done)
  }

  /** The journal is replayed: what the checkpoints promised must be there now. */
  private judge(log: SegmentedLog, promised: Promised): void {
    if (log.quarantined !== null) return
    const { endOffset, logStart: first } = log
    const due = this.directory.flushMode === 'fsync' ? promised.highWatermark : promised.recoveryPoint
    const { logStart, highWatermark } = boundsWithin(promised, first, endOffset)
    log.logStart = logStart
    log.highWatermark = highWatermark
    if (endOffset < Math.max(due, promised.recoveryPoint))
      log.quarantine(`at offset ${endOffset}, below the promised ${due}: the log ends there, and the journal`)
  }

  private report(log: SegmentedLog, detail: string, found: { lostBytes: number; promised: Promised }): void {
    const { topicId, partition, endOffset, quarantined } = log
    const { lostBytes } = found
    const promised = found.promised.highWatermark
    const fields = { path: log.folder, endOffset, lostBytes, detail }
    if (quarantined !== null) {
      this.directory.world.log.error({ ...fields, reason: quarantined }, 'log quarantined')
      this.damaged.push({ topicId, partition, reason: quarantined })
    } else if (endOffset < promised) {
      const reason = `cut at offset ${endOffset}, below the watermark ${promised}`
      this.directory.world.log.error({ ...fields, promised }, 'log lost its tail below the watermark')
      this.damaged.push({ topicId, partition, reason })
    }
    if (quarantined !== null || lostBytes === 0) return
    this.directory.world.log.warn(fields, 'torn tail cut')
    this.torn.push({ topicId, partition, endOffset, lostBytes })
  }

  private removeMarker(done: Done<void>): void {
    if (!this.clean) return done(null)
    const { disk } = this.directory.world
    disk.remove(`${this.options.path}/${CLEAN_SHUTDOWN}`, (error) => {
      if (error !== null) return done(error)
      disk.syncDir(this.options.path, done)
    })
  }
}
