import {
  baseOffset,
  type BatchRecord,
  codec,
  crcMatches,
  inflate,
  isControl,
  isTransactional,
  nextOffset,
  producerId,
  readControl,
  readRecords,
  recordsSection,
  splitBatches,
} from '@millrace/records'
import { ProtocolError } from './errors.ts'
import type { ConsumedRecord } from './records.ts'

export interface ReadRange {
  readonly topic: string
  readonly partition: number
  /** Records before this offset are dropped: a batch may begin earlier. */
  readonly from: number
  /** Records at and after this offset are dropped. */
  readonly below: number
  /** Aborted transactions that overlap the range. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[]
}

/** A batch that inflates to more than this is refused. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024

/** Appends the records of whole batches to `into` and returns the offset to read from next. Throws `ProtocolError` for corrupt ones. */
export function readBatches(bytes: Uint8Array, range: ReadRange, into: ConsumedRecord[]): number {
  const filter = new AbortedFilter(range.aborted)
  let next = range.from
  for (const batch of splitBatches(bytes)) {
    if (!crcMatches(batch, 0))
      throw new ProtocolError(
        `topic ${range.topic} partition ${range.partition}: the batch at offset ${baseOffset(batch, 0)} is corrupt`,
      )
    if (isControl(batch, 0)) filter.marker(batch)
    else if (!filter.drops(batch))
      for (const record of recordsOf(batch))
        if (record.offset >= range.from && record.offset < range.below)
          into.push({ topic: range.topic, partition: range.partition, ...record })
    next = Math.max(next, nextOffset(batch, 0))
  }
  return next
}

function recordsOf(batch: Uint8Array): readonly BatchRecord[] {
  const name = codec(batch, 0)
  if (name === null) throw new ProtocolError(`the batch at offset ${baseOffset(batch, 0)} has an unknown codec`)
  return name === 'none'
    ? readRecords(batch, 0)
    : readRecords(batch, 0, inflate(name, recordsSection(batch, 0), MAX_INFLATED_BYTES))
}

/** Drops the batches of a producer from where its aborted transaction began until its marker. */
class AbortedFilter {
  private readonly pending: { readonly producerId: number; readonly firstOffset: number }[]
  private readonly dropping = new Set<number>()

  constructor(aborted: ReadRange['aborted']) {
    this.pending = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
  }

  drops(batch: Uint8Array): boolean {
    const last = nextOffset(batch, 0)
    while (this.pending[0] !== undefined && this.pending[0].firstOffset < last)
      this.dropping.add((this.pending.shift() as { producerId: number }).producerId)
    return isTransactional(batch, 0) && this.dropping.has(producerId(batch, 0))
  }

  marker(batch: Uint8Array): void {
    if (readControl(batch, 0).type === 'abort') this.dropping.delete(producerId(batch, 0))
  }
}
