import { type Disk, type Done, IoError } from '@millrace/base'
import { baseOffset, leaderEpoch, nextOffset, splitBatches } from '@millrace/records'
import type { JournalPiece, LogChanges } from './journal-changes.ts'
import type { SegmentedLog } from './partition-log.ts'
import type { LogSlice } from './types.ts'

/** What the checkpoints said of a log, as far as the journal lets it stand. */
export interface Promised {
  readonly recoveryPoint: number
  readonly highWatermark: number
  readonly logStart: number
}

/** What checkpoints promise of a log that the journal says this of: a truncation takes promises back. */
export function promisedAfter(promised: Promised, changes: LogChanges): Promised {
  const { recoveryPoint, highWatermark, logStart } = promised
  const { beginning, start, lowest, lowered } = changes
  if (beginning !== null)
    return { recoveryPoint: beginning, highWatermark: Math.min(highWatermark, beginning, lowered), logStart: start }
  return {
    recoveryPoint: Math.min(recoveryPoint, lowest),
    highWatermark: Math.min(highWatermark, lowered),
    logStart: Math.max(logStart, start),
  }
}

/** Bytes that a replay appended, and those that it had no place for. */
export interface Replayed {
  readonly appended: number
  readonly dropped: number
}

/**
 * Does to a log what the journal says was done to it. What its segments hold already is compared and left alone: after the mere death of a
 * process they hold all of it, and more. A truncation is done to the segments before it is in the journal, so a log may end before the
 * journal's batches, or hold a later epoch in their place: it was cut by a process that died at once, and the replay ends there. Whoever
 * calls holds what there is then against what was promised. `done` fails only when the disk does; a log that contradicts the journal below
 * `settled` is quarantined.
 */
// oxlint-disable-next-line max-params -- what is done to whom, and how it ended.
export function replayChanges(log: SegmentedLog, changes: LogChanges, settled: number, done: Done<Replayed>): void {
  new LogReplay(log, changes, settled, done).start()
}

class LogReplay {
  private readonly log: SegmentedLog
  private readonly changes: LogChanges
  /** Below, the segments were on disk at the checkpoint, and nothing has cut them since. */
  private readonly settled: number
  private readonly done: Done<Replayed>
  private readonly replayed = { appended: 0, dropped: 0 }

  // oxlint-disable-next-line max-params -- a constructor that one place calls.
  constructor(log: SegmentedLog, changes: LogChanges, settled: number, done: Done<Replayed>) {
    this.log = log
    this.changes = changes
    this.settled = settled
    this.done = done
  }

  start(): void {
    if (this.changes.problem !== null) return this.doubt(this.changes.problem)
    this.replay(0)
  }

  private replay(from: number): void {
    const { pieces } = this.changes
    let index = from
    while (index < pieces.length && (pieces[index] as JournalPiece).end <= this.settled) index++
    const piece = pieces[index]
    if (piece === undefined) return this.finish()
    readPiece(this.log.services.world.disk, piece, (error, bytes) => {
      if (error !== null) return this.done(error, this.replayed)
      // What lies below the log's first segment was removed on purpose, and what was settled may have been compacted since.
      const batches = splitBatches(bytes).filter(
        (batch) =>
          nextOffset(batch, 0) <= piece.end && nextOffset(batch, 0) > Math.max(this.log.logStart, this.settled),
      )
      this.compare(piece, batches, () => this.replay(index + 1))
    })
  }

  /** Goes on behind the first batches for as long as the log holds the same, and appends the others. */
  private compare(piece: JournalPiece, batches: readonly Uint8Array[], then: () => void): void {
    const { log } = this
    const [first] = batches
    if (first === undefined) return then()
    const offset = baseOffset(first, 0)
    if (offset >= log.endOffset) return this.append(piece, batches, then)
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0)
    const compared: Done<LogSlice> = (error, slice) => {
      if (log.quarantined !== null) return this.done(null, this.replayed)
      if (error !== null) return this.done(error, this.replayed)
      const same = countSame(batches, slice.parts[0] ?? new Uint8Array(0))
      if (same > 0) return this.compare(piece, batches.slice(same), then)
      if (offset < this.settled) return this.doubt(`at offset ${offset} it is not what the journal has`)
      if (this.does(() => log.truncate(offset))) this.append(piece, batches, then)
    }
    const slice = log.read(offset, bytes, piece.end, compared)
    if (slice !== null) compared(null, slice)
  }

  private append(piece: JournalPiece, batches: readonly Uint8Array[], then: () => void): void {
    const { log } = this
    if (piece.from > log.endOffset || leaderEpoch(batches[0] as Uint8Array, 0) < log.lastEpoch) return this.stop(piece)
    if (!this.does(() => log.append(batches, log.services.world.clock.wallMs()))) return
    for (const batch of batches) this.replayed.appended += batch.length
    then()
  }

  /** The log was cut before the journal could say so. */
  private stop(piece: JournalPiece): void {
    const { pieces } = this.changes
    for (const lost of pieces.slice(pieces.indexOf(piece))) this.replayed.dropped += lost.bytes
    this.done(null, this.replayed)
  }

  private finish(): void {
    const { log, changes } = this
    const { end, truncated } = changes
    // Bytes behind the end are of appends that were never durable, or of what was cut: only where nothing was cut is it sure which.
    const cut = truncated && end !== null && end < log.endOffset
    if (!cut || this.does(() => log.truncate(Math.max(end, log.logStart)))) this.done(null, this.replayed)
  }

  private doubt(reason: string): void {
    this.log.quarantine(`the journal does not fit the log: ${reason}`)
    this.done(null, this.replayed)
  }

  /** False when it failed, which was told then. */
  private does(run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      this.done(this.log.quarantined === null ? error : null, this.replayed)
      return false
    }
  }
}

/** How many batches lie in `bytes` one after another. */
function countSame(batches: readonly Uint8Array[], bytes: Uint8Array): number {
  let [count, at] = [0, 0]
  for (const batch of batches) {
    if (Buffer.compare(batch, bytes.subarray(at, at + batch.length)) !== 0) break
    at += batch.length
    count++
  }
  return count
}

function readPiece(disk: Disk, piece: JournalPiece, done: Done<Uint8Array>): void {
  const into = new Uint8Array(piece.bytes)
  disk.open(piece.path, 'read', (error, file) => {
    if (error !== null) return done(error, into)
    file.read(piece.at, into, (failed, count) =>
      file.close(() => {
        const short = count < into.length ? new IoError('EIO', piece.path, 'the file is shorter than it was') : null
        done(failed ?? short, into)
      }),
    )
  })
}
