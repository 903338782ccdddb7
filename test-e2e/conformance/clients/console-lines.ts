// The lines of Kafka's console producer and consumer.
import type { PlainRecord, ReadRecord } from '../core/operations.ts'

const NULL = '<null>'
const FIELD = '\u0001'
const properties = (flag: string, values: readonly string[]): string[] => values.flatMap((value) => [flag, value])

/** Lines have headers, key and value, and a word for null. */
export const READER: readonly string[] = properties('--reader-property', [
  'parse.headers=true',
  'parse.key=true',
  `headers.delimiter=${FIELD}`,
  `key.separator=${FIELD}`,
  `null.marker=${NULL}`,
])

/** Everything of a record, in the order in which the tool prints it. */
export const FORMAT: readonly string[] = properties('--formatter-property', [
  ...['timestamp', 'partition', 'offset', 'headers', 'key', 'value'].map((field) => `print.${field}=true`),
  `key.separator=${FIELD}`,
  `null.literal=${NULL}`,
])

/** A record as a line for the producer. */
export function consoleLine({ key, value, headers }: PlainRecord): string {
  const pairs = headers.map(([name, content]) => `${name}:${text(content)}`).join(',')
  return `${[headers.length === 0 ? NULL : pairs, text(key), text(value)].join(FIELD)}\n`
}

function text(bytes: string | null): string {
  return bytes === null ? NULL : Buffer.from(bytes, 'base64').toString()
}

/** The whole lines at the front of what the consumer printed. */
export function parseConsole(printed: Buffer): { records: ReadRecord[]; rest: Buffer } {
  const end = printed.lastIndexOf(10) + 1
  const lines = printed.toString('utf8', 0, end).split('\n')
  return { records: lines.filter((line) => line.includes(FIELD)).map(recordOf), rest: printed.subarray(end) }
}

function recordOf(line: string): ReadRecord {
  const [time = '', partition = '', offset = '', headers = '', key = '', value = ''] = line.split(FIELD)
  const number = (field: string): number => Number(field.split(':')[1])
  return {
    timestamp: number(time),
    partition: number(partition),
    offset: number(offset),
    key: bytes(key),
    value: bytes(value),
    headers: headers === 'NO_HEADERS' ? [] : headers.split(',').map(headerOf),
  }
}

function headerOf(pair: string): readonly [string, string | null] {
  const colon = pair.indexOf(':')
  return [pair.slice(0, colon), bytes(pair.slice(colon + 1))]
}

function bytes(field: string): string | null {
  return field === NULL ? null : Buffer.from(field).toString('base64')
}
