import type { ReadRecord } from '../core/operations.ts'

/** Lengths before contents, so that contents may be anything. */
export const KCAT_FORMAT = '%p %o %T %K %S|%k%s|%h\n'

const LINE_FEED = 10
const BAR = 124

/** The whole records at the front of what kcat printed with {@link KCAT_FORMAT}. */
export function parseKcat(printed: Buffer): { records: ReadRecord[]; rest: Buffer } {
  const records: ReadRecord[] = []
  for (let at = 0; ;) {
    const bar = printed.indexOf(BAR, at)
    const numbers = bar === -1 ? [] : printed.toString('latin1', at, bar).split(' ').map(Number)
    const [partition = 0, offset = 0, timestamp = 0, keyBytes = -1, valueBytes = -1] = numbers
    const keyEnd = bar + 1 + Math.max(0, keyBytes)
    const valueEnd = keyEnd + Math.max(0, valueBytes)
    const end = bar === -1 ? -1 : printed.indexOf(LINE_FEED, valueEnd)
    if (end === -1) return { records, rest: printed.subarray(at) }
    const key = keyBytes < 0 ? null : printed.toString('base64', bar + 1, keyEnd)
    const value = valueBytes < 0 ? null : printed.toString('base64', keyEnd, valueEnd)
    const headers = headersOf(printed.toString('utf8', valueEnd + 1, end))
    records.push({ partition, offset, timestamp, key, value, headers })
    at = end + 1
  }
}

function headersOf(text: string): (readonly [string, string])[] {
  if (text === '') return []
  return text.split(',').map((pair) => {
    const [name = '', value = ''] = pair.split('=')
    return [name, Buffer.from(value).toString('base64')] as const
  })
}
