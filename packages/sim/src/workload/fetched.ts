import {
  codec,
  crcMatches,
  inflate,
  leaderEpoch,
  nextOffset,
  RecordReader,
  recordsSection,
  splitBatches,
} from '@millrace/records'
import { DAMAGED, decodeValue } from './values.ts'

/** The records of a fetch from one partition, from the offset asked for on. */
export interface Fetched {
  readonly values: readonly FetchedValue[]
  readonly batches: number
  /** Where the next fetch goes on: behind the last batch, a damaged one too. */
  readonly next: number
  /** Of the last batch; -1 when there is none. */
  readonly leaderEpoch: number
}

interface FetchedValue {
  readonly value: string
  readonly offset: number
}

const INFLATE_LIMIT = 64 * 1024 * 1024

/** Reads what a broker sent as a client would: whole batches, CRC first. A damaged batch becomes one value that nobody sent. */
export function readFetched(records: Uint8Array | null, from: number): Fetched {
  const values: FetchedValue[] = []
  const batches = records === null ? [] : splitBatches(records)
  let epoch = -1
  let next = from
  for (const batch of batches) {
    epoch = leaderEpoch(batch, 0)
    const damage = crcMatches(batch, 0) ? readBatch(batch, from, values) : 'a batch with another CRC'
    if (damage !== null) values.push({ value: `${DAMAGED}: ${damage}`, offset: next })
    next = Math.max(nextOffset(batch, 0), (values.at(-1)?.offset ?? from - 1) + 1)
  }
  return { values, batches: batches.length, next, leaderEpoch: epoch }
}

/** Tells what is wrong with the batch, or null. */
function readBatch(batch: Uint8Array, from: number, values: FetchedValue[]): string | null {
  try {
    const used = codec(batch, 0) ?? 'none'
    const section = used === 'none' ? undefined : inflate(used, recordsSection(batch, 0), INFLATE_LIMIT)
    const reader = new RecordReader(batch, 0, section)
    while (reader.next()) {
      const { offset } = reader
      if (offset >= from) values.push({ value: nameOf(reader), offset })
    }
    return null
  } catch (error) {
    return String(error)
  }
}

/** Key and headers, where there are any, repeat the name. */
function nameOf(reader: RecordReader): string {
  const name = decodeValue(reader.value)
  if (reader.hasKey && decodeValue(reader.key) !== name) return `${DAMAGED}: the key of ${name}`
  return name
}
