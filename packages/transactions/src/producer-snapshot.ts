import { DecodeError } from '@millrace/schema'
import { COORDINATOR_EPOCH, EPOCH, ID, LAST_TIMESTAMP, LAST_WRITE_MS, OPEN_FROM } from './producer-rows.ts'
import type { ProducerRows } from './producer-rows.ts'
import type { ProducerTable } from './producer-table.ts'

/** CRC-32C of `bytes[from, …)`. */
export type Checksum = (bytes: Uint8Array, from: number) => number

const VERSION = 1
// int16 version, uint32 checksum of what follows, int32 count of entries.
const CHECKSUM_AT = 2
const COUNT_AT = 6
const HEADER_BYTES = 10
// The fields of an entry.
const EPOCH_AT = 8
const SEQUENCE_AT = 10
const OFFSET_AT = 14
const DELTA_AT = 22
const TIMESTAMP_AT = 26
const COORDINATOR_EPOCH_AT = 34
const OPEN_FROM_AT = 38
const ENTRY_BYTES = 46

/**
 * The table in the format of Apache Kafka's `.snapshot` files. Kafka writes one entry for a producer, its last batch, and with that forgets the
 * rest of the window at every restart. Here a producer has an entry for each batch of its window, oldest first: Kafka's reader keeps
 * the last entry of a producer, so it reads the same from such a file as from its own.
 */
export function encodeSnapshot(rows: ProducerRows, checksum: Checksum): Uint8Array {
  let count = 0
  for (let row = 0; row < rows.size; row++) count += entriesOf(rows, row)
  const bytes = new Uint8Array(HEADER_BYTES + count * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, VERSION)
  view.setInt32(COUNT_AT, count)
  let at = HEADER_BYTES
  for (let row = 0; row < rows.size; row++) at = putProducer(view, at, rows, row)
  view.setUint32(CHECKSUM_AT, checksum(bytes, COUNT_AT))
  return bytes
}

/** Fills an empty table. Throws `DecodeError` on damage, and on what no log can lead to. */
export function decodeSnapshot(bytes: Uint8Array, checksum: Checksum, table: ProducerTable): void {
  if (bytes.length < HEADER_BYTES) throw new DecodeError(`a producer snapshot of ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const version = view.getInt16(0)
  if (version !== VERSION) throw new DecodeError(`a producer snapshot of version ${version}; only ${VERSION} is known`)
  if (view.getUint32(CHECKSUM_AT) !== checksum(bytes, COUNT_AT))
    throw new DecodeError('the checksum of a producer snapshot is wrong')
  const count = view.getInt32(COUNT_AT)
  if (count * ENTRY_BYTES !== bytes.length - HEADER_BYTES)
    throw new DecodeError(`a producer snapshot of ${bytes.length} bytes for ${count} entries`)
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) takeEntry(view, at, table)
}

/** After a marker, the last batch is written twice: once with its own time and once with the marker's, which Kafka puts there. */
function markedSince(rows: ProducerRows, row: number): boolean {
  return rows.count(row) > 0 && rows.timestampAt(row, rows.slot(row, 0)) !== rows.double(row, LAST_TIMESTAMP)
}

/** A producer of which there is only a marker has an entry without a batch. */
function entriesOf(rows: ProducerRows, row: number): number {
  return Math.max(1, rows.count(row)) + (markedSince(rows, row) ? 1 : 0)
}

function putProducer(view: DataView, start: number, rows: ProducerRows, row: number): number {
  let at = start
  for (let age = rows.count(row) - 1; age >= 0; age--) {
    const slot = rows.slot(row, age)
    at = putEntry(view, at, rows, { row, slot, timestamp: rows.timestampAt(row, slot) })
  }
  const timestamp = rows.double(row, LAST_TIMESTAMP)
  if (rows.count(row) === 0) at = putEntry(view, at, rows, { row, slot: -1, timestamp })
  else if (markedSince(rows, row)) at = putEntry(view, at, rows, { row, slot: rows.slot(row, 0), timestamp })
  return at
}

interface Entry {
  readonly row: number
  /** -1 without a batch. */
  readonly slot: number
  readonly timestamp: number
}

function putEntry(view: DataView, at: number, rows: ProducerRows, { row, slot, timestamp }: Entry): number {
  putInt64(view, at, rows.double(row, ID))
  view.setInt16(at + EPOCH_AT, rows.integer(row, EPOCH))
  view.setInt32(at + SEQUENCE_AT, slot < 0 ? -1 : rows.sequenceAt(row, slot))
  putInt64(view, at + OFFSET_AT, slot < 0 ? -1 : rows.offsetAt(row, slot))
  view.setInt32(at + DELTA_AT, slot < 0 ? 0 : rows.deltaAt(row, slot))
  putInt64(view, at + TIMESTAMP_AT, timestamp)
  view.setInt32(at + COORDINATOR_EPOCH_AT, rows.integer(row, COORDINATOR_EPOCH))
  putInt64(view, at + OPEN_FROM_AT, rows.double(row, OPEN_FROM))
  return at + ENTRY_BYTES
}

function takeEntry(view: DataView, at: number, table: ProducerTable): void {
  const producerId = int64(view, at)
  const epoch = view.getInt16(at + EPOCH_AT)
  const offset = int64(view, at + OFFSET_AT)
  const delta = view.getInt32(at + DELTA_AT)
  if (producerId < 0 || epoch < 0 || delta < 0 || offset < -1 || (offset >= 0 && delta > offset))
    throw new DecodeError(
      `an entry for producer ${producerId} with epoch ${epoch}, offset ${offset} and delta ${delta} in a producer snapshot`,
    )
  const timestamp = time(view, at + TIMESTAMP_AT)
  const known = table.rowOf(producerId)
  const row = known < 0 ? table.addBlank(producerId) : known
  table.enterEpoch(row, epoch)
  const again = table.count(row) > 0 && table.offsetAt(row, table.slot(row, 0)) === offset
  if (offset >= 0 && !again) table.push(row, view.getInt32(at + SEQUENCE_AT), delta, offset, timestamp)
  table.setDouble(row, LAST_TIMESTAMP, timestamp)
  table.setDouble(row, LAST_WRITE_MS, timestamp)
  table.setInteger(row, COORDINATOR_EPOCH, view.getInt32(at + COORDINATOR_EPOCH_AT))
  table.setDouble(row, OPEN_FROM, Math.max(-1, int64(view, at + OPEN_FROM_AT)))
}

function putInt64(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  view.setInt32(at, high)
  view.setUint32(at + 4, value - high * 0x1_0000_0000)
}

function int64(view: DataView, at: number): number {
  const value = nearest(view, at)
  if (!Number.isSafeInteger(value)) throw new DecodeError('an int64 beyond 2^53 in a producer snapshot')
  return value
}

/** A producer may claim any time; one beyond 2^53 counts as none. */
function time(view: DataView, at: number): number {
  const value = nearest(view, at)
  return Number.isSafeInteger(value) ? value : -1
}

function nearest(view: DataView, at: number): number {
  return view.getInt32(at) * 0x1_0000_0000 + view.getUint32(at + 4)
}
