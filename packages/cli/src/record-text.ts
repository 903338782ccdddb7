import type { ConsumedRecord } from '@millrace/client'
import { isUtf8 } from 'node:buffer'

const NEWLINE = Buffer.from('\n')

/** Text as it is; bytes that are no UTF-8 as an object, so that nobody takes one for the other. */
export type JsonData = string | { readonly base64: string } | null

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function jsonData(bytes: Uint8Array | null): JsonData {
  if (bytes === null) return null
  const buffer = asBuffer(bytes)
  return isUtf8(buffer) ? buffer.toString('utf8') : { base64: buffer.toString('base64') }
}

/** One line of JSON for each record. */
export function jsonLines(records: readonly ConsumedRecord[]): string {
  return records
    .map(({ topic, partition, offset, timestamp, key, value, headers }) => {
      const shown = headers.map((header) => ({ key: header.key, value: jsonData(header.value) }))
      return `${JSON.stringify({ topic, partition, offset, timestamp, key: jsonData(key), value: jsonData(value), headers: shown })}\n`
    })
    .join('')
}

/** The bytes of each value as they are, with a newline after each; before it the key and the separator, where one is given. */
export function rawLines(records: readonly ConsumedRecord[], separator: string | undefined): Buffer {
  const parts: Buffer[] = []
  const between = separator === undefined ? null : Buffer.from(separator)
  for (const { key, value } of records) {
    if (between !== null) parts.push(asBuffer(key ?? new Uint8Array()), between)
    if (value !== null) parts.push(asBuffer(value))
    parts.push(NEWLINE)
  }
  return Buffer.concat(parts)
}
