import type { Done } from '@millrace/base'
import { type Checkpoints, type DirectoryCheckpoints } from './directory-checkpoints.ts'
import { CLEAN_SHUTDOWN, folderName, isDeletedFolder, partitionOfFolder, strayFolderName } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import { DEFAULT_LOG_CONFIG } from './log-config.ts'
import { type OpenedFolder, openFolder } from './log-opening.ts'
import type { LogServices } from './log-services.ts'
import { SegmentedLog } from './partition-log.ts'
import { readSmallFile } from './small-file.ts'
import type { DamagedLog, LogDirectoryOptions, OpenedLogs, TornLog } from './types.ts'

/** Folders opened at once. */
const PARALLEL_FOLDERS = 16

/** What an opening needs of its directory. */
export interface OpeningDirectory extends LogServices {
  adopt(log: SegmentedLog): void
  openLogs(): Iterable<SegmentedLog>
  putAside(folder: string, name: string, done: Done<void>): void
  freshId(): string
}

function parentOf(path: string): string {
  const cut = path.replace(/\/+$/, '').lastIndexOf('/')
  return cut < 0 ? '.' : path.slice(0, Math.max(cut, 1))
}

/** Finds what a directory holds, recovers what was not stopped cleanly, and takes the marker away before anything is written. */
export class DirectoryOpening {
  private readonly directory: OpeningDirectory
  private readonly options: LogDirectoryOptions
  private readonly store: DirectoryCheckpoints
  private clean = false
  private found: Checkpoints = { recoveryPoints: new Map(), highWatermarks: new Map(), logStarts: new Map() }
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
        (ended) => this.openFolders(ended),
        // In this order: beside the marker a recovery point is the end of a log, and a running log promises less than that.
        (ended) => this.removeMarker(ended),
        (ended) => this.store.write(() => this.directory.openLogs(), false, ended),
      ],
      (error) => done(error, { logs: this.logs, clean: this.clean, damaged: this.damaged, torn: this.torn }),
    )
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
    const request = { world, files, reaper, flushMode, path: options.path, name, topic, partition, known }
    openFolder({ ...request, checkpoints: this.found, clean: this.clean }, (error, opened) => {
      if (error !== null) return done(error)
      if (opened.kind === 'log') {
        this.adopt(opened)
        return done(null)
      }
      if (opened.kind === 'unfinished') return world.disk.remove(`${options.path}/${name}`, done)
      world.log.warn({ path: `${options.path}/${name}`, reason: opened.reason }, 'folder is of no known partition')
      directory.putAside(`${options.path}/${name}`, strayFolderName(topic, partition, directory.freshId()), done)
    })
  }

  private adopt({ state, recovered }: OpenedFolder & { kind: 'log' }): void {
    const log = new SegmentedLog(this.directory, state, DEFAULT_LOG_CONFIG)
    this.directory.adopt(log)
    this.logs.push(log)
    if (recovered === null) return
    const { topicId, partition } = state
    const { quarantined, lostBytes, endOffset, detail } = recovered
    const promised = this.found.highWatermarks.get(folderName(state.topic, partition)) ?? 0
    const fields = { path: state.folder, endOffset, lostBytes, detail }
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
