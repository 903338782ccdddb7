import type { Done, IoError, Uuid, World } from '@millrace/base'
import type { PartitionImage } from '@millrace/metadata'
import {
  type CreateLog,
  openLogDirectory,
  type DamagedLog,
  type LogDirectory,
  type LogEvents,
  type PartitionLog,
} from '@millrace/storage'
import { type FoundLog, OwnDirectory } from './own-directory.ts'
import type { BrokerConfig } from './seams.ts'

/** Kept free for checkpoints, indexes and the metadata log: a full disk refuses appends before it refuses those. */
const RESERVE_BYTES = 64 << 20

/** Until a log has a replica nobody needs to hear of it. */
const NOBODY: LogEvents = { durable: () => {}, failed: () => {} }

export interface OwnDirectoriesHost {
  readonly world: World
  readonly config: BrokerConfig
  /** A directory failed while it was used. */
  logFailed(directory: OwnDirectory, error: IoError): void
}

/** The broker's log directories: what they hold at the start, and where new logs go. */
export class OwnDirectories {
  readonly list: readonly OwnDirectory[]
  readonly damaged: DamagedLog[] = []
  private readonly host: OwnDirectoriesHost
  /** Logs that were found and that no partition has claimed yet. */
  private readonly unclaimed = new Map<string, FoundLog[]>()

  constructor(host: OwnDirectoriesHost) {
    this.host = host
    const { world, config } = host
    const { flushMode } = config
    this.list = config.logDirs.map(
      ({ path, directoryId }) =>
        new OwnDirectory(openLogDirectory(world, { path, directoryId, flushMode, reserveBytes: RESERVE_BYTES })),
    )
  }

  /** Recovers all directories side by side. One that cannot be opened is offline; `done` fails when none is left. */
  open(done: Done<void>): void {
    let left = this.list.length
    for (const directory of this.list)
      directory.logs.open((error, opened) => {
        if (error !== null) this.fail(directory, error)
        else {
          directory.clean = opened.clean
          this.damaged.push(...opened.damaged)
          for (const log of opened.logs) this.found({ directory, log })
          this.report(directory, opened.logs.length)
        }
        if (--left > 0) return
        done(this.list.some(({ failure }) => failure === null) ? null : (this.list[0]?.failure ?? null))
      })
  }

  /** The log of a partition as it was found at the start, from the directory that the metadata names if it is there twice. */
  claim({ topicId, topic, partition }: PartitionImage, wanted: Uuid | null): FoundLog | null {
    const key = keyOf(topicId, partition)
    const found = this.unclaimed.get(key)
    if (found === undefined) return null
    const at = Math.max(
      0,
      found.findIndex(({ directory }) => directory.directoryId === wanted),
    )
    const [claimed] = found.splice(at, 1)
    if (found.length === 0) this.unclaimed.delete(key)
    else this.host.world.log.warn({ topic, partition }, 'partition found in more than one directory')
    return claimed ?? null
  }

  /** Where a new log goes: the directory that the metadata names, else the one with the fewest. Null when none is usable. */
  choose(wanted: Uuid | null): OwnDirectory | null {
    const usable = this.list.filter(({ failure }) => failure === null)
    const named = usable.find(({ directoryId }) => directoryId === wanted)
    return (
      named ??
      usable.reduce<OwnDirectory | null>(
        (best, each) => (best === null || each.replicas < best.replicas ? each : best),
        null,
      )
    )
  }

  create(directory: OwnDirectory, request: Omit<CreateLog, 'events'>, done: (found: FoundLog | null) => void): void {
    directory.logs.create({ ...request, events: NOBODY }, (error, log) => this.made(directory, error, log, done))
  }

  /** The doubtful bytes are put aside and an empty log begins. */
  replace({ directory, log }: FoundLog, done: (found: FoundLog | null) => void): void {
    directory.logs.replace(log, 0, (error, fresh) => this.made(directory, error, fresh, done))
  }

  /** What no partition of the cluster claimed is never appended to again. */
  moveStraysAside(): void {
    const strays = [...this.unclaimed.values()].flat()
    this.unclaimed.clear()
    for (const { directory, log } of strays) {
      const { topic, partition, topicId } = log
      this.host.world.log.warn(
        { topic, partition, topicId, directory: directory.path },
        'folder of no replica of this broker moved aside',
      )
      directory.logs.moveAside(log, (error) => {
        if (error !== null) this.host.world.log.error({ topic, partition, error }, 'folder cannot be moved aside')
      })
    }
  }

  checkpoint(): void {
    for (const directory of this.list)
      if (directory.failure === null)
        directory.logs.checkpoint((error) => {
          if (error !== null && directory.failure === null) this.host.logFailed(directory, error)
        })
  }

  of(logs: LogDirectory): OwnDirectory {
    return this.list.find((each) => each.logs === logs) as OwnDirectory
  }

  /** Syncs and closes; each directory that can be trusted gets its clean marker. The value tells whether all did. */
  close(done: (clean: boolean) => void): void {
    let left = this.list.length
    let clean = true
    const one = (error: IoError | null): void => {
      if (error !== null) {
        clean = false
        this.host.world.log.error({ error }, 'directory not closed cleanly')
      }
      if (--left === 0) done(clean)
    }
    for (const directory of this.list) {
      if (directory.failure === null) directory.logs.close(one)
      else one(directory.failure)
    }
  }

  private made(
    directory: OwnDirectory,
    error: IoError | null,
    log: PartitionLog,
    done: (found: FoundLog | null) => void,
  ): void {
    if (error === null) return done({ directory, log })
    if (directory.failure === null) this.host.logFailed(directory, error)
    done(null)
  }

  private found(found: FoundLog): void {
    const { topicId, partition } = found.log
    const key = keyOf(topicId, partition)
    const others = this.unclaimed.get(key)
    if (others === undefined) this.unclaimed.set(key, [found])
    else others.push(found)
  }

  private fail(directory: OwnDirectory, error: IoError): void {
    directory.failure = error
    this.host.world.log.error({ directory: directory.path, error }, 'directory cannot be opened')
  }

  private report({ path, clean }: OwnDirectory, logs: number): void {
    this.host.world.log.info({ directory: path, logs, clean }, 'directory opened')
  }
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}/${partition}`
}
