import {
  assembleBatch,
  baseOffset,
  codec,
  compress,
  hasDeleteHorizon,
  baseTimestamp,
  InvalidBatch,
  isControl,
  isGap,
  isTransactional,
  lastOffset,
  lastOffsetDelta,
  optionsOf,
  producerId,
  recordCount,
  RecordFilter,
  RecordReader,
} from '@millrace/records'
import type { OffsetMap } from './compaction-map.ts'

/** A batch's part of a pass, in pieces. */
export interface BatchWork {
  /** Looks at up to so many records; true when there are no more. */
  advance(records: number): boolean
}

/** What a pass does to each batch. Its bytes are good until the next one is taken. */
export interface BatchVisitor {
  /** Nothing more is looked at. */
  readonly full: boolean
  /** Whether the records must be looked at; where not, the batch was dealt with by its header. */
  header(batch: Uint8Array): boolean
  /** `section` holds the inflated records; null where they could not be inflated. */
  records(batch: Uint8Array, section: Uint8Array | null): BatchWork
}

/** Whether compaction looks into a batch. It keeps what belongs to transactions: it does not know how they ended. */
function hasPlainRecords(batch: Uint8Array): boolean {
  return recordCount(batch, 0) > 0 && !isControl(batch, 0) && !isTransactional(batch, 0)
}

/** Puts the keys of the dirty part into the map, for as long as it has room. */
export class KeyIndexing implements BatchVisitor {
  full = false
  private readonly map: OffsetMap
  private readonly from: number
  private readonly below: number

  constructor(map: OffsetMap, from: number, below: number) {
    this.map = map
    this.from = from
    this.below = below
  }

  header(batch: Uint8Array): boolean {
    if (lastOffset(batch, 0) < this.from) return false
    if (baseOffset(batch, 0) >= this.below) this.full = true
    else if (hasPlainRecords(batch)) return true
    else this.map.latest = lastOffset(batch, 0)
    return false
  }

  records(batch: Uint8Array, section: Uint8Array | null): BatchWork {
    const done = (): true => {
      this.map.latest = lastOffset(batch, 0)
      return true
    }
    if (section === null) return { advance: done }
    let reader: RecordReader | null = null
    return {
      advance: (records) =>
        tolerant(() => {
          reader ??= new RecordReader(batch, 0, section)
          for (let left = records; left > 0; left--) {
            if (!reader.next()) return done()
            if (!this.put(reader)) return true
          }
          return false
        }) ?? done(),
    }
  }

  private put(reader: RecordReader): boolean {
    const { map } = this
    const { key, offset } = reader
    this.full = key !== null && offset >= this.from && !map.put(key, offset)
    if (!this.full) map.latest = offset
    return !this.full
  }
}

/** By what a record is kept, and to whom batches go. */
export interface CleaningRules {
  readonly map: OffsetMap
  /** Milliseconds. */
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Whether the producer's last batch is the one that ends with `last`: then its header stays. */
  keepsProducer(producer: number, last: number): boolean
  /** The batch stays, as it was or with fewer records. */
  kept(batch: Uint8Array, changed: boolean): void
  /** All of the batch goes. */
  removed(batch: Uint8Array): void
}

/** Keeps of each key the record that the map has, and of tombstones those that somebody may still have to see. */
export class Cleaning implements BatchVisitor {
  readonly full = false
  private readonly rules: CleaningRules
  /** A batch went by that is kept without a look: tombstones may be all that hides a record of it. */
  private opaque = false

  constructor(rules: CleaningRules) {
    this.rules = rules
  }

  header(batch: Uint8Array): boolean {
    const { rules } = this
    if (isGap(batch, 0)) rules.removed(batch)
    else if (recordCount(batch, 0) === 0) this.emptied(batch, false)
    else if (baseOffset(batch, 0) <= rules.map.latest && hasPlainRecords(batch)) return true
    else {
      this.opaque ||= isTransactional(batch, 0)
      rules.kept(batch, false)
    }
    return false
  }

  records(batch: Uint8Array, section: Uint8Array | null): BatchWork {
    const strange = (): true => {
      this.opaque = true
      this.rules.kept(batch, false)
      return true
    }
    if (section === null) return { advance: strange }
    let work: RecordCleaning | null = null
    return {
      advance: (records) => {
        const ended = tolerant(() => {
          work ??= new RecordCleaning(this.rules, batch, section, this.opaque)
          return work.advance(records)
        })
        if (ended === null) return strange()
        if (ended) this.finish(batch, work as RecordCleaning)
        return ended
      },
    }
  }

  private finish(batch: Uint8Array, work: RecordCleaning): void {
    const rest = work.rest()
    if (rest === null) this.emptied(batch, true)
    else this.rules.kept(rest, rest !== batch)
  }

  /** No record is left of the batch; the producer's state may hang on it. */
  private emptied(batch: Uint8Array, now: boolean): void {
    const { rules } = this
    const producer = producerId(batch, 0)
    if (producer < 0 || !rules.keepsProducer(producer, lastOffset(batch, 0))) return rules.removed(batch)
    rules.kept(now ? withoutRecords(batch) : batch, now)
  }
}

/** One batch of which records may go. */
class RecordCleaning {
  private readonly rules: CleaningRules
  private readonly batch: Uint8Array
  private readonly filter: RecordFilter
  private readonly tombstonesGo: boolean
  private readonly marksHorizon: boolean
  private tombstones = 0

  // oxlint-disable-next-line max-params -- a constructor that one place calls.
  constructor(rules: CleaningRules, batch: Uint8Array, section: Uint8Array, opaque: boolean) {
    this.rules = rules
    this.batch = batch
    this.filter = new RecordFilter(batch, section)
    const marked = hasDeleteHorizon(batch, 0)
    this.tombstonesGo = marked && !opaque && baseTimestamp(batch, 0) <= rules.nowMs
    // Where the map ends within the batch older records of its tombstones may still be there.
    this.marksHorizon = !marked && !opaque && lastOffset(batch, 0) <= rules.map.latest
  }

  advance(records: number): boolean {
    const { reader } = this.filter
    for (let left = records; left > 0; left--) {
      if (!reader.next()) return true
      if (!this.stays(reader)) continue
      if (reader.key !== null && reader.value === null) this.tombstones++
      this.filter.keep()
    }
    return false
  }

  private stays({ offset, key, value }: RecordReader): boolean {
    const { map } = this.rules
    if (offset > map.latest) return true
    if (key === null || map.get(key) > offset) return false
    return value !== null || !this.tombstonesGo
  }

  /** The batch of what stays, the very same one where that is all of it; null where nothing is left. */
  rest(): Uint8Array | null {
    const { batch, filter, rules } = this
    if (filter.count === 0) return null
    const horizon = this.marksHorizon && this.tombstones > 0 ? rules.nowMs + rules.deleteRetentionMs : undefined
    if (horizon === undefined && filter.count === recordCount(batch, 0)) return batch
    const encoded = filter.encode(horizon)
    const options = optionsOf(batch)
    const section = compress(codec(batch, 0) ?? 'none', encoded.section)
    return assembleBatch(encoded, section, horizon === undefined ? options : { ...options, deleteHorizon: true })
  }
}

function withoutRecords(batch: Uint8Array): Uint8Array {
  const nothing = new Uint8Array(0)
  const encoded = {
    section: nothing,
    recordCount: 0,
    lastOffsetDelta: lastOffsetDelta(batch, 0),
    baseTimestamp: -1,
    maxTimestamp: -1,
  }
  return assembleBatch(encoded, nothing, { ...optionsOf(batch), deleteHorizon: false })
}

/** Null where the records are not what the header says: nobody can read them, and nothing is decided about them. */
function tolerant(run: () => boolean): boolean | null {
  try {
    return run()
  } catch (error) {
    if (error instanceof InvalidBatch) return null
    throw error
  }
}
