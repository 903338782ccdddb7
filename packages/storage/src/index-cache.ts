import { type Disk, type Done, type File, IoError, tryAppend } from '@millrace/base'
import { walkBatches } from './batch-walk.ts'
import { lastOffset, maxTimestamp } from '@millrace/records'
import { eachLimited } from './flow.ts'
import type { IndexFile } from './index-file.ts'
import { IndexTable } from './index-table.ts'
import { Rot, type Segment } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'

/** How often a load that the log's changes overtook is begun again. */
const MAX_ATTEMPTS = 8

/** Brings the indexes of segments into memory for reads, rebuilds those that are not what they should be, and bounds them all. */
export class IndexCache {
  private readonly disk: Disk
  private readonly limitBytes: number
  /** In order of use, with the bytes that each takes. */
  private readonly loaded = new Map<Segment, number>()
  private readonly loading = new Map<Segment, Done<void>[]>()
  private usedBytes = 0
  rebuilds = 0

  constructor(disk: Disk, limitBytes: number) {
    this.disk = disk
    this.limitBytes = limitBytes
  }

  /** The segment was looked up: it stays longer. */
  used(segment: Segment): void {
    const bytes = this.loaded.get(segment)
    if (bytes === undefined) return
    this.loaded.delete(segment)
    this.loaded.set(segment, bytes)
  }

  forget(segment: Segment): void {
    this.usedBytes -= this.loaded.get(segment) ?? 0
    this.loaded.delete(segment)
    segment.index.unload()
  }

  /** Both indexes are in memory after `done`, right as far as they can be checked without the log. `interval` is for a rebuild. */
  load(segment: Segment, intervalBytes: number, done: Done<void>): void {
    this.share(segment, done, (ended) => this.attempt(segment, intervalBytes, MAX_ATTEMPTS, ended))
  }

  /** The indexes were caught lying about the log: they are made anew from it. Fails with EIO where the log is damaged. */
  rebuild(segment: Segment, intervalBytes: number, done: Done<void>): void {
    this.share(segment, done, (ended) => this.rebuildNow(segment, intervalBytes, MAX_ATTEMPTS, ended))
  }

  private share(segment: Segment, done: Done<void>, run: (ended: Done<void>) => void): void {
    const waiting = this.loading.get(segment)
    if (waiting !== undefined) return void waiting.push(done)
    const waiters = [done]
    this.loading.set(segment, waiters)
    run((error) => {
      this.loading.delete(segment)
      if (error === null) this.admit(segment)
      for (const waiter of waiters) waiter(error)
    })
  }

  // oxlint-disable-next-line max-params -- one retried step.
  private attempt(segment: Segment, intervalBytes: number, attempts: number, done: Done<void>): void {
    const { offsets, times, version } = segment.index
    this.readTable(offsets, (noOffsets, offsetTable) => {
      this.readTable(times, (noTimes, timeTable) => {
        if (segment.index.version !== version && attempts > 0)
          return this.attempt(segment, intervalBytes, attempts - 1, done)
        const whole = noOffsets === null && noTimes === null
        if (!whole || !SegmentIndex.plausible(offsetTable, timeTable, segment.size))
          return this.rebuildNow(segment, intervalBytes, attempts, done)
        offsets.loaded = offsetTable
        times.loaded = timeTable
        done(null)
      })
    })
  }

  private readTable(index: IndexFile, done: Done<IndexTable>): void {
    if (index.loaded !== null) return done(null, index.loaded)
    const bytes = new Uint8Array(index.fileCount * index.width)
    this.disk.open(index.path, 'read', (error, file) => {
      if (error !== null) return done(error, new IndexTable(index.width))
      file.read(0, bytes, (failed, count) =>
        close(file, () => done(failed ?? short(file, count, bytes.length), new IndexTable(index.width, bytes))),
      )
    })
  }

  // oxlint-disable-next-line max-params -- one retried step.
  private rebuildNow(segment: Segment, intervalBytes: number, attempts: number, done: Done<void>): void {
    this.rebuilds++
    const { version, offsets } = segment.index
    const fresh = new SegmentIndex('', 0, 0)
    // Entries in memory were made by this process and stand; the file's part ends where they begin.
    const written = segment.size - segment.lag
    const to = offsets.tail.count > 0 ? Math.min(offsets.tail.int32(0, 4), written) : written
    const request = {
      path: segment.logPath,
      from: 0,
      to,
      checkCrc: false,
      visit: (bytes: Uint8Array, at: number, position: number, size: number): boolean => {
        const last = lastOffset(bytes, at) - segment.baseOffset
        fresh.add({ position, size, lastOffset: last, maxTimestamp: maxTimestamp(bytes, at) }, intervalBytes)
        return true
      },
    }
    walkBatches(this.disk, request, (error, end) => {
      if (error !== null) return done(error)
      if (segment.index.version !== version)
        return attempts > 0
          ? this.rebuildNow(segment, intervalBytes, attempts - 1, done)
          : done(new IoError('EIO', segment.logPath, 'it changes while its index is made'))
      if (end.why === 'damage') return done(new Rot(segment.logPath, `${end.detail}, at byte ${end.position}`))
      if (!segment.writable) fresh.finish()
      segment.index.adopt(fresh)
      done(null)
      if (!segment.writable) this.publish(segment)
    })
  }

  /** Writes rebuilt indexes to their files, as one step each. Until then, and if it fails, they are only in memory. */
  private publish(segment: Segment): void {
    const { version, offsets, times } = segment.index
    const names = [offsets, times].map((index) => ({ index, temporary: `${index.path}.tmp` }))
    const write = ({ index, temporary }: { index: IndexFile; temporary: string }, done: Done<void>): void => {
      this.disk.open(temporary, 'create', (error, file) => {
        if (error !== null) return done(error)
        const refused = tryAppend(file, [index.tail.content])
        if (refused !== null) return file.close(() => done(refused))
        file.sync((unsynced) => file.close(() => done(unsynced)))
      })
    }
    eachLimited(names, 1, write, (error) => {
      if (error !== null || segment.removed || segment.held || segment.index.version !== version) return
      try {
        for (const { index, temporary } of names) {
          this.disk.renameNow(temporary, index.path)
          index.published()
        }
      } catch (cause) {
        if (!(cause instanceof IoError)) throw cause
      }
      this.admit(segment)
      this.disk.syncDir(segment.folder, () => undefined)
    })
  }

  private admit(segment: Segment): void {
    this.usedBytes -= this.loaded.get(segment) ?? 0
    this.loaded.delete(segment)
    const bytes = segment.index.loadedBytes
    this.loaded.set(segment, bytes)
    this.usedBytes += bytes
    for (const [oldest] of this.loaded) {
      if (this.usedBytes <= this.limitBytes || oldest === segment) return
      this.forget(oldest)
    }
  }
}

function close(file: File, then: () => void): void {
  file.close(then)
}

function short(file: File, count: number, expected: number): IoError | null {
  return count === expected ? null : new IoError('EIO', file.path, `${count} bytes where ${expected} were expected`)
}
