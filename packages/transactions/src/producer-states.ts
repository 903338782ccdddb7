import { assert } from '@millrace/base'
import type { AppendedBatch, BatchOrigin, ProducerBatch, ProducerVerdict, ProducerView } from './batch.ts'
import { COORDINATOR_EPOCH, EPOCH, ID, LAST_TIMESTAMP, LAST_WRITE_MS, NO_EPOCH, OPEN_FROM } from './producer-rows.ts'
import type { ProducerRows } from './producer-rows.ts'
import { decodeSnapshot, encodeSnapshot } from './producer-snapshot.ts'
import type { Checksum } from './producer-snapshot.ts'
import { ProducerTable } from './producer-table.ts'
import { lastSequence } from './sequence.ts'
import { UndoLog } from './undo-log.ts'
import { ACCEPTED, isKnowable, judge, nonsense, NOT_APPENDED } from './verdict.ts'

/** What the index of a table takes for one producer, about. */
const INDEX_BYTES = 40

/**
 * What one replica knows of the producers of its partition: a function of its log, so that leader, followers and a replica that reads its
 * log again come to the same. (When a producer is forgotten is up to each; whoever remembers longer only recognises more.)
 *
 * The leader asks `check` for each batch, appends what was accepted in that order, and reports each with `appended`, or all that are not
 * appended with `abandoned`. In between, batches are judged as if the accepted ones were in the log. A follower only reports.
 */
export class ProducerStates {
  private readonly table = new ProducerTable()
  /** Producers with batches that are accepted and not appended, as they will be. */
  private readonly ahead = new ProducerTable()
  /** Batches that are accepted and not appended. */
  private staged = 0
  private undoLog: UndoLog

  /** Knows nobody; the log begins at `startOffset`. */
  constructor(startOffset = 0) {
    this.undoLog = new UndoLog(startOffset)
  }

  /**
   * The state in a snapshot that was taken when the log ended at `endOffset` (the number in the file's name); to be followed by `replay` of
   * what the log has from there on. Throws `DecodeError` on damage.
   */
  static load(bytes: Uint8Array, endOffset: number, checksum: Checksum): ProducerStates {
    const states = new ProducerStates(endOffset)
    decodeSnapshot(bytes, checksum, states.table)
    return states
  }

  /** Producers that are remembered. */
  get size(): number {
    return this.table.size
  }

  /** Memory, near enough: 168 bytes of columns a producer, up to twice that while the table grows, and its place in the index. */
  get bytes(): number {
    return this.table.bytes + this.ahead.bytes + this.undoLog.bytes + this.size * INDEX_BYTES
  }

  /** What the leader does with a batch; accepting it changes what the next one is judged by. Allocates nothing for one that is accepted. */
  check(batch: ProducerBatch, origin: BatchOrigin): ProducerVerdict {
    const { producerId } = batch
    if (producerId === -1) return ACCEPTED
    const refusal = nonsense(batch, origin)
    if (refusal !== null) return refusal
    let row = this.ahead.rowOf(producerId)
    if (row >= 0) {
      const verdict = judge(this.ahead, row, batch, origin)
      if (verdict !== ACCEPTED) return verdict
    } else {
      const known = this.table.rowOf(producerId)
      const verdict = known < 0 ? ACCEPTED : judge(this.table, known, batch, origin)
      if (verdict !== ACCEPTED) return verdict
      row = known < 0 ? this.ahead.addBlank(producerId) : this.ahead.addCopy(this.table, known)
    }
    stage(this.ahead, row, batch)
    this.staged++
    return ACCEPTED
  }

  /**
   * A batch is in the log, as leader or as follower, which takes whatever its leader appended. `nowMs` is the wall time, from which the
   * producer is remembered.
   */
  appended(batch: AppendedBatch, nowMs: number): void {
    const { producerId } = batch
    if (!isKnowable(batch)) return
    assert(
      this.staged === 0 || this.ahead.rowOf(producerId) >= 0,
      `a batch of producer ${producerId} that was not checked`,
    )
    let row = this.table.rowOf(producerId)
    if (row < 0) row = this.table.addBlank(producerId)
    this.undoLog.push(this.table, row, batch.baseOffset + batch.lastOffsetDelta + 1)
    append(this.table, row, batch)
    this.table.setDouble(row, LAST_WRITE_MS, nowMs)
    if (this.staged > 0 && --this.staged === 0) this.ahead.clear()
  }

  /** A batch that the log had already: like `appended`, but the producer counts as last heard of at the batch's own time. */
  replay(batch: AppendedBatch): void {
    assert(this.staged === 0, 'a log is replayed before anything is appended to it')
    this.appended(batch, batch.maxTimestamp)
  }

  /** The batches that were accepted and not appended will not be. */
  abandoned(): void {
    this.staged = 0
    if (this.ahead.size > 0) this.ahead.clear()
  }

  /** The watermark passed `offset`: no truncation will reach below, so nothing is kept for it. Optional; the memory is bounded without. */
  settled(offset: number): void {
    this.undoLog.settled(offset)
  }

  /**
   * The log was cut to end at `endOffset`. True when the state is what replaying the rest would give; else nobody is known any more, and the host
   * makes the state anew: `load` of the last snapshot at or below `endOffset`, or an empty one, and `replay` from there.
   */
  truncate(endOffset: number): boolean {
    this.abandoned()
    if (endOffset < this.undoLog.floor) {
      // Where nobody is known, nobody was known below, or is forgotten: that needs no log, which may be long and of no such producers.
      const unknown = this.table.size === 0
      this.table.clear()
      this.undoLog = new UndoLog(endOffset)
      return unknown
    }
    this.undoLog.undo(endOffset, (rows, row) => this.restore(rows, row))
    return true
  }

  /**
   * Forgets producers that wrote nothing for `expirationMs` (producer.id.expiration.ms) and have no transaction open; looks at every one, so once
   * in minutes is often enough. Returns how many. A time to come, of a batch that was replayed, counts as now.
   */
  expire(nowMs: number, expirationMs: number): number {
    const { table } = this
    const before = table.size
    for (let row = before - 1; row >= 0; row--) {
      if (table.double(row, LAST_WRITE_MS) > nowMs) table.setDouble(row, LAST_WRITE_MS, nowMs)
      if (nowMs - table.double(row, LAST_WRITE_MS) < expirationMs || table.double(row, OPEN_FROM) >= 0) continue
      if (this.ahead.rowOf(table.double(row, ID)) < 0) table.remove(row)
    }
    return before - table.size
  }

  /** The state as a file that Apache Kafka reads too, named by where the log ends now. Batches that are not appended are not in it. */
  snapshot(checksum: Checksum): Uint8Array {
    return encodeSnapshot(this.table, checksum)
  }

  /** What is known of a producer; null when nothing is. */
  producer(producerId: number): ProducerView | null {
    const row = this.table.rowOf(producerId)
    return row < 0 ? null : this.table.view(row)
  }

  /** Where the newest batch of a producer ends, by which its numbers go on; null when nothing is known of it, or no batch of its epoch. */
  lastOffset(producerId: number): number | null {
    const { table } = this
    const row = table.rowOf(producerId)
    return row < 0 || table.count(row) === 0 ? null : table.offsetAt(row, table.slot(row, 0))
  }

  /** All producers, in no order. Ends early when somebody is forgotten meanwhile. */
  *producers(): Generator<ProducerView, void> {
    for (let row = 0; row < this.table.size; row++) yield this.table.view(row)
  }

  private restore(rows: ProducerRows, row: number): void {
    const { table } = this
    const now = table.rowOf(rows.double(row, ID))
    if (rows.integer(row, EPOCH) === NO_EPOCH) {
      if (now >= 0) table.remove(now)
    } else if (now < 0) table.addCopy(rows, row)
    else table.copy(now, rows, row)
  }
}

/** Changes a row to what it will be when the batch is in the log, as far as judging the next one needs it. */
function stage(rows: ProducerRows, row: number, batch: ProducerBatch): void {
  rows.enterEpoch(row, batch.producerEpoch)
  if (batch.control) rows.setDouble(row, OPEN_FROM, -1)
  else {
    const last = lastSequence(batch.baseSequence, batch.lastOffsetDelta)
    rows.push(row, last, batch.lastOffsetDelta, NOT_APPENDED, -1)
    if (batch.transactional) rows.setDouble(row, OPEN_FROM, 0)
  }
}

function append(rows: ProducerRows, row: number, batch: AppendedBatch): void {
  const { baseOffset, lastOffsetDelta } = batch
  // What is no time in a snapshot is none here either.
  const timestamp = Number.isSafeInteger(batch.maxTimestamp) ? batch.maxTimestamp : -1
  rows.enterEpoch(row, batch.producerEpoch)
  rows.setDouble(row, LAST_TIMESTAMP, timestamp)
  if (batch.control) {
    rows.setDouble(row, OPEN_FROM, -1)
    rows.setInteger(row, COORDINATOR_EPOCH, batch.coordinatorEpoch)
    return
  }
  const last = lastSequence(batch.baseSequence, lastOffsetDelta)
  rows.push(row, last, lastOffsetDelta, baseOffset + lastOffsetDelta, timestamp)
  if (batch.transactional && rows.double(row, OPEN_FROM) < 0) rows.setDouble(row, OPEN_FROM, baseOffset)
}
