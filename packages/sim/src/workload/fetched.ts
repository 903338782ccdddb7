import { codec, crcMatches, inflate, leaderEpoch, RecordReader, recordsSection, splitBatches } from '@millrace/records'
import { DAMAGED, decodeValue } from './values.ts'

/** The records of a fetch from one partition, from the offset asked for on. */
export interface Fetched {
  readonly values: { readonly value: string; readonly offset: number }[]
  readonly batches: number
  /** Of the last batch; -1 when there is none. */
  readonly leaderEpoch: number
}

const INFLATE_LIMIT = 64 * 1024 * 1024

/** Reads what a broker sent as a client would: whole batches, CRC first. What is damaged becomes a value that nobody sent. */
export function readFetched(records: Uint8Array | null, from: number): Fetched {
  const values: Fetched['values'][number][] = []
  const batches = records === null ? [] : splitBatches(records)
  let epoch = -1
  for (const batch of batches) {
    epoch = leaderEpoch(batch, 0)
    if (crcMatches(batch, 0)) readBatch(batch, from, values)
    else values.push({ value: `${DAMAGED}: a batch with another CRC`, offset: from })
  }
  return { values, batches: batches.length, leaderEpoch: epoch }
}

function readBatch(batch: Uint8Array, from: number, values: Fetched['values']): void {
  try {
    const used = codec(batch, 0) ?? 'none'
    const section = used === 'none' ? undefined : inflate(used, recordsSection(batch, 0), INFLATE_LIMIT)
    const reader = new RecordReader(batch, 0, section)
    while (reader.next()) {
      const { offset } = reader
      if (offset >= from) values.push({ value: nameOf(reader), offset })
    }
  } catch (error) {
    values.push({ value: `${DAMAGED}: ${String(error)}`, offset: from })
  }
}

/** Key and headers, where there are any, repeat the name. */
function nameOf(reader: RecordReader): string {
  const name = decodeValue(reader.value)
  if (reader.hasKey && decodeValue(reader.key) !== name) return `${DAMAGED}: the key of ${name}`
  return name
}
