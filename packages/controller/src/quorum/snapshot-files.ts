import {
  MillraceError,
  readSmallFile,
  replaceSmallFile,
  type DirEntry,
  type Disk,
  type Done,
  type IoError,
  type Logger,
} from '@millrace/base'
import { decodeSnapshot, encodeSnapshot, type Snapshot } from './snapshot-format.ts'

/** Which snapshot: two nodes that hold the same point hold the same state. */
export interface SnapshotPoint {
  readonly index: number
  readonly term: number
}

const NAME = /^snapshot-(\d{20})-(\d+)\.mrsnap$/
const PART = /^snapshot-(\d{20})-\d+\.mrsnap\.part$/
const LEFTOVER = /^snapshot-.*\.tmp$/

/**
 * The snapshots of one node. The newest two are kept, and the log reaches back to the older one: when the newest turns out to
 * be flipped or half written, the older one and the log give the same state.
 */
export class SnapshotFiles {
  readonly #disk: Disk
  readonly #directory: string
  readonly #log: Logger
  #held: SnapshotPoint[] = []

  constructor(disk: Disk, directory: string, log: Logger) {
    this.#disk = disk
    this.#directory = directory
    this.#log = log
  }

  get newest(): SnapshotPoint | null {
    return this.#held.at(-1) ?? null
  }

  /** Where the log must reach back to: the older of two snapshots. */
  get oldest(): SnapshotPoint | null {
    return this.#held[0] ?? null
  }

  has(point: SnapshotPoint): boolean {
    return this.#held.some(({ index, term }) => index === point.index && term === point.term)
  }

  pathOf(point: SnapshotPoint): string {
    return `${this.#directory}/${nameOf(point)}`
  }

  /** A file that is being fetched; it becomes a snapshot with `adopt`. */
  partPath(point: SnapshotPoint): string {
    return `${this.pathOf(point)}.part`
  }

  /**
   * Finds the newest snapshot that is whole, or null. A damaged one is put aside. Fails with a `MillraceError` for one of a
   * future version: this release would lose what it means.
   */
  load(done: (error: IoError | MillraceError | null, snapshot: Snapshot | null) => void): void {
    this.#disk.list(this.#directory, (error, entries) => {
      if (error !== null) return done(error, null)
      const points = entries.flatMap(pointOf).toSorted((a, b) => a.index - b.index)
      for (const { name } of entries)
        if (LEFTOVER.test(name) || isOldPart(name, points.at(-1)?.index ?? 0))
          removeQuietly(this.#disk, `${this.#directory}/${name}`)
      this.#held = [...points]
      this.#loadNewest(points, done)
    })
  }

  /** Writes a snapshot; when `done` says so it is durable, and older ones but the last are gone. */
  save(snapshot: Snapshot, done: Done<void>): void {
    replaceSmallFile(
      this.#disk,
      this.#directory,
      nameOf(snapshot),
      encodeSnapshot(snapshot),
    )((error) => {
      if (error !== null) return done(error)
      this.#hold(snapshot, 2)
      done(null)
    })
  }

  /** A fetched file that is already durable under its final name replaces all others. */
  adopted(point: SnapshotPoint): void {
    this.#hold(point, 1)
  }

  #hold(point: SnapshotPoint, keep: number): void {
    this.#held = [...this.#held.filter(({ index }) => index < point.index), { index: point.index, term: point.term }]
    while (this.#held.length > keep) removeQuietly(this.#disk, this.pathOf(this.#held.shift() as SnapshotPoint))
  }

  #loadNewest(
    points: SnapshotPoint[],
    done: (error: IoError | MillraceError | null, snapshot: Snapshot | null) => void,
  ): void {
    const point = points.pop()
    if (point === undefined) return done(null, null)
    const read: Done<Uint8Array | null> = (error, content) => {
      if (error !== null) return done(error, null)
      const reading = decodeSnapshot(content ?? new Uint8Array(0))
      if (reading.kind === 'future') return done(futureVersion(this.pathOf(point), reading.version), null)
      if (reading.kind === 'valid') return done(null, reading.snapshot)
      this.#log.warn({ snapshot: this.pathOf(point), reason: reading.reason }, 'a snapshot is damaged and put aside')
      this.#held = this.#held.filter(({ index }) => index !== point.index)
      this.#disk.rename(this.pathOf(point), `${this.pathOf(point)}.damaged`, () => this.#loadNewest(points, done))
    }
    readSmallFile(this.#disk, this.pathOf(point), read, Infinity)
  }
}

function nameOf({ index, term }: SnapshotPoint): string {
  return `snapshot-${String(index).padStart(20, '0')}-${term}.mrsnap`
}

function pointOf({ name, kind }: DirEntry): readonly SnapshotPoint[] {
  const match = NAME.exec(name)
  return match === null || kind !== 'file' ? [] : [{ index: Number(match[1]), term: Number(match[2]) }]
}

/** Removes a file that may not be there. What cannot be removed is left: it only takes space. */
export function removeQuietly(disk: Disk, path: string): void {
  disk.remove(path, () => {})
}

/** A fetch that was given up on; a newer one may go on where it ended. */
function isOldPart(name: string, newestIndex: number): boolean {
  const index = PART.exec(name)?.[1]
  return index !== undefined && Number(index) <= newestIndex
}

function futureVersion(path: string, version: number): MillraceError {
  return new MillraceError('STORE_DAMAGED', `${path} has format version ${version}, which this release cannot read`, {
    fix: 'start the release that wrote it, or a newer one',
  })
}
