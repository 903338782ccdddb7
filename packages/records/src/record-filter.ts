import { type BatchOptions, type EncodedRecords } from './encode.ts'
import {
  baseOffset,
  baseSequence,
  baseTimestamp,
  codec,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffsetDelta,
  leaderEpoch,
  maxTimestamp,
  producerEpoch,
  producerId,
} from './header.ts'
import { RecordReader } from './record-reader.ts'
import { varlongBytes, VarintReader, varintBytes, writeVarint, writeVarlong } from './varint.ts'

/**
 * A batch without some of its records: walk `reader`, call `keep` on those that stay, and encode the rest. Records are moved as bytes,
 * because their deltas stay right as long as the base offset and the base timestamp do.
 */
export class RecordFilter {
  readonly reader: RecordReader
  private readonly batch: Uint8Array
  private readonly kept: Uint8Array[] = []
  private readonly times: number[] = []
  private bytes = 0
  private maxTimestamp = -1

  /** `batch` is one whole batch, `section` its records inflated. */
  constructor(batch: Uint8Array, section?: Uint8Array) {
    this.batch = batch
    this.reader = new RecordReader(batch, 0, section)
  }

  get count(): number {
    return this.kept.length
  }

  /** The record that the reader stands on stays. */
  keep(): void {
    const { raw, timestamp } = this.reader
    this.kept.push(raw)
    this.times.push(timestamp)
    this.bytes += raw.length
    if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
  }

  /** The records section of what stays, uncompressed. With `base` all timestamps are told relative to it. */
  encode(base?: number): EncodedRecords {
    const { batch } = this
    const rebased = base !== undefined && base !== baseTimestamp(batch, 0) && !isLogAppendTime(batch, 0)
    const records = rebased
      ? this.kept.map((raw, i) => withTimestampDelta(raw, (this.times[i] as number) - base))
      : this.kept
    const section = new Uint8Array(rebased ? records.reduce((sum, raw) => sum + raw.length, 0) : this.bytes)
    let at = 0
    for (const raw of records) {
      section.set(raw, at)
      at += raw.length
    }
    return {
      section,
      recordCount: records.length,
      lastOffsetDelta: lastOffsetDelta(batch, 0),
      baseTimestamp: base ?? baseTimestamp(batch, 0),
      maxTimestamp: isLogAppendTime(batch, 0) ? maxTimestamp(batch, 0) : this.maxTimestamp,
    }
  }
}

/** The header of a stored batch as options for `assembleBatch`: all that filtering its records leaves as it was. */
export function optionsOf(batch: Uint8Array): BatchOptions {
  return {
    baseOffset: baseOffset(batch, 0),
    leaderEpoch: leaderEpoch(batch, 0),
    codec: codec(batch, 0) ?? 'none',
    logAppendTime: isLogAppendTime(batch, 0),
    transactional: isTransactional(batch, 0),
    control: isControl(batch, 0),
    deleteHorizon: hasDeleteHorizon(batch, 0),
    lastOffsetDelta: lastOffsetDelta(batch, 0),
    producerId: producerId(batch, 0),
    producerEpoch: producerEpoch(batch, 0),
    baseSequence: baseSequence(batch, 0),
  }
}

/** The record `raw` with another timestamp delta: what lies before and behind it stays. */
function withTimestampDelta(raw: Uint8Array, delta: number): Uint8Array {
  const reader = new VarintReader(raw)
  reader.varint()
  const attributes = raw[reader.skip(1)] as number
  reader.varlong()
  const rest = raw.subarray(reader.at)
  const body = 1 + varlongBytes(delta) + rest.length
  const record = new Uint8Array(varintBytes(body) + body)
  let at = writeVarint(record, 0, body)
  record[at++] = attributes
  at = writeVarlong(record, at, delta)
  record.set(rest, at)
  return record
}
