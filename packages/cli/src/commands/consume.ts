import type { ConsumedRecord, StartPosition } from '@millrace/client'
import { type ClusterOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { writeOut } from '../output.ts'
import { jsonLines, rawLines } from '../record-text.ts'
import { isoTime } from '../times.ts'

interface ConsumeOptions extends ClusterOptions {
  readonly partition?: number
  readonly from: string
  readonly untilEnd?: boolean
  readonly count?: number
  readonly keySeparator?: string
}

/** Prints records until the end, the count, a signal, or a reader that has seen enough. */
export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const from = startPosition(options.from)
  let left = options.count ?? Number.POSITIVE_INFINITY
  if (left === 0) return
  await withClient(options, async (client) => {
    const place = options.partition === undefined ? { topic, from } : { topic, from, partition: options.partition }
    const consumer = client.consumer({
      assign: [place],
      ...(options.untilEnd === true ? { until: 'end' as const } : {}),
    })
    const stop = (): void => consumer.close()
    process.once('SIGINT', stop)
    process.once('SIGTERM', stop)
    for await (const records of consumer.batches()) {
      const shown = records.length > left ? records.slice(0, left) : records
      for (let at = 0; at < shown.length; at += RECORDS_PER_WRITE)
        await writeOut(render(shown.slice(at, at + RECORDS_PER_WRITE), options))
      left -= shown.length
      if (left === 0) break
    }
  })
}

const RECORDS_PER_WRITE = 1_000

function startPosition(text: string): StartPosition {
  if (text === 'earliest' || text === 'latest') return text
  const offset = /^offset:(\d+)$/.exec(text)?.[1]
  if (offset !== undefined && Number.isSafeInteger(Number(offset))) return { offset: Number(offset) }
  const timestamp = /^\d+$/.test(text) ? Number(text) : isoTime(text)
  if (!Number.isSafeInteger(timestamp))
    throw new UsageError(
      `--from: "${text}" is no place to begin`,
      'Give earliest, latest, offset:N, milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z.',
    )
  return { timestamp }
}

function render(records: readonly ConsumedRecord[], options: ConsumeOptions): string | Buffer {
  return options.json === true ? jsonLines(records) : rawLines(records, options.keySeparator)
}
