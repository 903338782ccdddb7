import { readSmallFile, replaceSmallFile, type Done, type IoError, type World } from '@millrace/base'
import { encodeEpochs, encodeOffsets, parseOffsets } from './checkpoint-text.ts'
import { CLEANED_ENDS, folderName, HIGH_WATERMARKS, LEADER_EPOCHS, LOG_STARTS, RECOVERY_POINTS } from './file-names.ts'
import { eachLimited, inOrder } from './flow.ts'
import type { SegmentedLog } from './partition-log.ts'

const PARALLEL_FILES = 4

/** What the last process wrote of its logs, by folder name. Empty where a file is missing or damaged, but for the starts: those are null then. */
export interface Checkpoints {
  readonly recoveryPoints: ReadonlyMap<string, number>
  readonly highWatermarks: ReadonlyMap<string, number>
  readonly logStarts: ReadonlyMap<string, number> | null
  readonly cleanedEnds: ReadonlyMap<string, number>
}

interface WrittenEpochs {
  readonly log: SegmentedLog
  readonly version: number
  readonly content: Uint8Array
}

/** The three offset checkpoints of a directory, and the epoch histories of its logs. Writes follow each other. */
export class DirectoryCheckpoints {
  private readonly world: World
  private readonly path: string
  private running = false
  private waiting: Done<void>[] = []
  private clean = false
  /** What the file of the compacted ends has: most directories have nothing to compact. */
  private cleanedEnds: Uint8Array | null = null
  /** The folders that the files on disk may tell of. */
  private told: ReadonlySet<string> = new Set()

  constructor(world: World, path: string) {
    this.world = world
    this.path = path
  }

  read(done: Done<Checkpoints>): void {
    const found = new Map<string, ReadonlyMap<string, number> | null>()
    const names = [RECOVERY_POINTS, HIGH_WATERMARKS, LOG_STARTS, CLEANED_ENDS]
    const readOne = (name: string, ended: Done<void>): void =>
      readSmallFile(this.world.disk, `${this.path}/${name}`, (error, bytes) => {
        const offsets = bytes === null ? null : parseOffsets(bytes)
        if (bytes !== null && offsets === null)
          this.world.log.warn({ path: `${this.path}/${name}` }, 'checkpoint is damaged and goes for nothing')
        found.set(name, offsets)
        ended(error)
      })
    eachLimited(names, names.length, readOne, (error) => {
      this.told = new Set([...found.values()].flatMap((offsets) => [...(offsets?.keys() ?? [])]))
      done(error, {
        recoveryPoints: found.get(RECOVERY_POINTS) ?? new Map(),
        highWatermarks: found.get(HIGH_WATERMARKS) ?? new Map(),
        logStarts: found.get(LOG_STARTS) ?? null,
        cleanedEnds: found.get(CLEANED_ENDS) ?? new Map(),
      })
    })
  }

  /** Whether a start could take what is on disk for that of a log with this folder, also of one that was removed meanwhile. */
  tellsOf(name: string): boolean {
    return this.told.has(name)
  }

  /** Writes what the logs are like when the write begins, which is at or after this call. `clean`: nothing is appended any more. */
  write(logs: () => Iterable<SegmentedLog>, clean: boolean, done: Done<void>): void {
    this.waiting.push(done)
    this.clean ||= clean
    if (!this.running) this.begin(logs)
  }

  private begin(logs: () => Iterable<SegmentedLog>): void {
    const served = this.waiting
    this.waiting = []
    this.running = true
    this.writeNow([...logs()], this.clean, (error) => {
      this.running = false
      if (this.waiting.length > 0) this.begin(logs)
      for (const done of served) done(error)
    })
  }

  private writeNow(logs: readonly SegmentedLog[], clean: boolean, done: Done<void>): void {
    const recoveryPoints = new Map<string, number>()
    const highWatermarks = new Map<string, number>()
    const logStarts = new Map<string, number>()
    const cleanedEnds = new Map<string, number>()
    for (const log of logs) {
      const name = folderName(log.topic, log.partition)
      // A quarantined log has none: whoever opens it walks all of it.
      const recoveryPoint = clean ? log.endOffset : log.recoveryPoint
      log.promises(recoveryPoint)
      if (log.quarantined === null) recoveryPoints.set(name, recoveryPoint)
      highWatermarks.set(name, log.promisedWatermark)
      if (log.logStart > 0) logStarts.set(name, log.logStart)
      if (log.cleanedEnd > 0) cleanedEnds.set(name, log.cleanedEnd)
    }
    const telling = new Set(highWatermarks.keys())
    this.told = new Set([...this.told, ...telling])
    const { disk } = this.world
    const file = (name: string, offsets: ReadonlyMap<string, number>) =>
      replaceSmallFile(disk, this.path, name, encodeOffsets(offsets))
    // All of one moment: what is written later must not be newer than what is written first.
    const epochs = logs
      .filter((log) => log.epochs.version !== log.epochsWritten && log.quarantined === null)
      .map((log) => ({ log, version: log.epochs.version, content: encodeEpochs(log.epochs.entries) }))
    inOrder(
      [
        // Epochs below the log start are forgotten, so the log start must be on disk before them.
        file(LOG_STARTS, logStarts),
        // A recovery point says that what is below is not walked again, so the epochs of that part must be on disk before it.
        (ended) => eachLimited(epochs, PARALLEL_FILES, (one, written) => this.writeEpochs(one, written), ended),
        file(RECOVERY_POINTS, recoveryPoints),
        file(HIGH_WATERMARKS, highWatermarks),
        (ended) => this.writeCleanedEnds(encodeOffsets(cleanedEnds), ended),
      ],
      (error) => {
        if (error === null) this.told = telling
        done(error)
      },
    )
  }

  private writeCleanedEnds(content: Uint8Array, done: Done<void>): void {
    const before = this.cleanedEnds ?? encodeOffsets(new Map())
    if (Buffer.compare(before, content) === 0) return done(null)
    replaceSmallFile(
      this.world.disk,
      this.path,
      CLEANED_ENDS,
      content,
    )((error) => {
      if (error === null) this.cleanedEnds = content
      done(error)
    })
  }

  private writeEpochs({ log, version, content }: WrittenEpochs, done: Done<void>): void {
    if (log.closed) return done(null)
    replaceSmallFile(
      this.world.disk,
      log.folder,
      LEADER_EPOCHS,
      content,
    )((error: IoError | null) => {
      if (error === null) log.epochsWritten = version
      // The folder may have been renamed or removed meanwhile.
      done(log.closed ? null : error)
    })
  }
}
