import { type Done, type IoError, LONG_MAX, parseWhole, type Uuid, type World } from '@millrace/base'
import type { PartitionImage } from '@millrace/metadata'
import {
  type CreateLog,
  openLogDirectory,
  type CompactionSettings,
  type DamagedLog,
  type LogDirectory,
  type LogConfig,
  type LogEvents,
  type PartitionLog,
} from '@millrace/storage'
import { FolderTurns } from './folder-turns.ts'
import { type FoundLog, OwnDirectory } from './own-directory.ts'
import type { BrokerCounters } from './metrics.ts'
import type { PartitionLines } from './partition-lines.ts'
import { ReplicaProducers } from './replica-producers.ts'
import type { BrokerConfig } from './seams.ts'

/** Kept free for checkpoints, indexes and the metadata log: a full disk refuses appends before it refuses those. */
const RESERVE_BYTES = 64 << 20

/** Until a log has a replica nobody needs to hear of it. */
const NOBODY: LogEvents = { durable: () => {}, failed: () => {} }

/** After a disk was full or descriptors had run out. */
const RETRY_US = 1_000_000

interface Attempt {
  readonly directory: OwnDirectory
  readonly what: string
  readonly wanted: () => boolean
}

export interface OwnDirectoriesHost {
  readonly world: World
  readonly lines: PartitionLines
  readonly counters: BrokerCounters
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
  private readonly turns = new FolderTurns()
  private closing = false

  constructor(host: OwnDirectoriesHost) {
    this.host = host
    const { world, config } = host
    const { flushMode, properties } = config
    const roundEnded = (): void => void host.counters.syncRounds++
    const observe = (): ReplicaProducers => new ReplicaProducers()
    const common = { flushMode, reserveBytes: RESERVE_BYTES, roundEnded, observe }
    const tuned = { ...flushInterval(properties), ...journalSize(properties) }
    this.list = config.logDirs.map(
      (place) => new OwnDirectory(openLogDirectory(world, { ...place, ...common, ...tuned })),
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
    // A folder that bears the name of another topic got this id by accident: whose records it holds nobody knows.
    const named = found.filter(({ log }) => log.topic === topic)
    const claimed = named.find(({ directory }) => directory.directoryId === wanted) ?? named[0]
    if (claimed === undefined) return null
    found.splice(found.indexOf(claimed), 1)
    if (found.length === 0) this.unclaimed.delete(key)
    else this.host.world.log.warn({ topic, partition }, 'partition found in more than one directory')
    return claimed
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

  /**
   * Makes the folder of a partition, once nothing else uses its name. A full disk is waited for as long as `wanted` holds; null when the
   * directory failed, or it is not wanted any more.
   */
  create(
    directory: OwnDirectory,
    request: Omit<CreateLog, 'events'>,
    wanted: () => boolean,
    done: (found: FoundLog | null) => void,
  ): void {
    this.clearName(directory, request)
    this.turns.run(nameOf(request), (ended) =>
      this.insist(
        { directory, what: nameOf(request), wanted },
        (answer: Done<PartitionLog>) => directory.logs.create({ ...request, events: NOBODY }, answer),
        (log) => {
          ended()
          done(log === null ? null : { directory, log })
        },
      ),
    )
  }

  /** The doubtful bytes are put aside and an empty log begins. */
  replace({ directory, log }: FoundLog, config: LogConfig, done: (found: FoundLog | null) => void): void {
    const { topic, topicId, partition } = log
    const wanted = (): boolean => true
    this.moveAside({ directory, log }, (moved) => {
      if (!moved) return done(null)
      this.create(directory, { topic, topicId, partition, config, startOffset: 0 }, wanted, done)
    })
  }

  /** What is not among the partitions of this broker is never appended to again. */
  moveStraysAside(isOwn: (topicId: Uuid, partition: number) => boolean): void {
    this.moveUnclaimed(({ log }) => !isOwn(log.topicId, log.partition))
  }

  /** A second log of a partition that was claimed from another directory. */
  moveUnclaimedAside(): void {
    this.moveUnclaimed(() => true)
  }

  /** A log that has a name of a new partition is that of another one: it was deleted, or its id is not what it was. */
  private clearName(directory: OwnDirectory, { topic, partition }: Pick<CreateLog, 'topic' | 'partition'>): void {
    this.moveUnclaimed(
      (found) => found.log.partition === partition && found.log.topic === topic && found.directory === directory,
    )
  }

  private moveUnclaimed(isStray: (found: FoundLog) => boolean): void {
    for (const [key, found] of this.unclaimed) {
      if (!found.some(isStray)) continue
      const kept = found.filter((one) => !isStray(one))
      if (kept.length === 0) this.unclaimed.delete(key)
      else this.unclaimed.set(key, kept)
      for (const one of found) if (!kept.includes(one)) this.moveStrayAside(one)
    }
  }

  private moveStrayAside(stray: FoundLog): void {
    const { topic, partition, topicId } = stray.log
    const fields = { topic, partition, topicId, directory: stray.directory.path }
    this.host.lines.warn(fields, 'folder of no replica of this broker moved aside')
    this.moveAside(stray, () => {})
  }

  private moveAside({ directory, log }: FoundLog, done: (moved: boolean) => void): void {
    this.turns.run(nameOf(log), (ended) =>
      this.insist(
        { directory, what: nameOf(log), wanted: () => true },
        (answer: Done<boolean>) => directory.logs.moveAside(log, (error) => answer(error, true)),
        (moved) => {
          ended()
          done(moved !== null)
        },
      ),
    )
  }

  checkpoint(): void {
    for (const directory of this.list)
      if (directory.failure === null)
        directory.logs.checkpoint((error) => {
          if (error !== null && !isPassing(error)) this.host.logFailed(directory, error)
        })
  }

  /** Where something is being compacted already it goes on. */
  compact(settings: CompactionSettings): void {
    for (const directory of this.list) if (directory.failure === null) directory.logs.compact(settings)
  }

  of(logs: LogDirectory): OwnDirectory {
    return this.list.find((each) => each.logs === logs) as OwnDirectory
  }

  /** Syncs and closes; each directory that can be trusted gets its clean marker. The value tells whether all did. */
  close(done: (clean: boolean) => void): void {
    this.closing = true
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

  /** Tries again after a failure that passes; any other one is the directory's. */
  private insist<T>(attempt: Attempt, call: (answer: Done<T>) => void, done: (value: T | null) => void): void {
    const { directory, what, wanted } = attempt
    const { world } = this.host
    if (this.closing || directory.failure !== null || !wanted()) return done(null)
    call((error, value) => {
      if (error === null) return done(value)
      world.log.error({ directory: directory.path, folder: what, error }, 'folder cannot be changed')
      if (isPassing(error)) return void world.timers.after(RETRY_US, () => this.insist(attempt, call, done))
      if (error.code !== 'EEXIST') this.host.logFailed(directory, error)
      done(null)
    })
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

/** How long anything may stay unsynced in `pagecache` mode, where the operator sets a limit. */
function flushInterval(properties: ReadonlyMap<string, string>): { backgroundFlushMs?: number } {
  const name = ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'].find((key) => properties.has(key))
  const backgroundFlushMs = name === undefined ? LONG_MAX : parseWhole(properties.get(name) ?? '')
  return backgroundFlushMs > 0 && backgroundFlushMs < LONG_MAX ? { backgroundFlushMs } : {}
}

function journalSize(properties: ReadonlyMap<string, string>): { journalFileBytes?: number } {
  const set = properties.get('journal.file.bytes')
  return set === undefined ? {} : { journalFileBytes: parseWhole(set) }
}

/** A failure that says nothing about the disk: it is full, or the process has too many files open or too little memory. */
export function isPassing({ code }: IoError): boolean {
  return code === 'ENOSPC' || code === 'EMFILE' || code === 'ENOMEM'
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}/${partition}`
}
