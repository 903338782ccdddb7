import { MillraceError } from '@millrace/base'
import type { ConsumedRecord, StartPosition } from '@millrace/client'
import { once } from 'node:events'
import { type ClusterOptions, withClient } from '../connect.ts'

interface ConsumeOptions extends ClusterOptions {
  readonly partition?: number
  readonly from: string
  readonly untilEnd?: boolean
  readonly count?: number
  readonly keySeparator?: string
}

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const from = startPosition(options.from)
  await withClient(options, async (client) => {
    const place = options.partition === undefined ? { topic, from } : { topic, from, partition: options.partition }
    const consumer = client.consumer({
      assign: [place],
      ...(options.untilEnd === true ? { until: 'end' as const } : {}),
    })
    const stop = (): void => consumer.close()
    process.once('SIGINT', stop)
    process.once('SIGTERM', stop)
    let left = options.count ?? Number.POSITIVE_INFINITY
    if (left === 0) return
    for await (const record of consumer) {
      if (!process.stdout.write(`${render(record, options)}\n`)) await once(process.stdout, 'drain')
      if (--left === 0) break
    }
  })
}

function startPosition(text: string): StartPosition {
  if (text === 'earliest' || text === 'latest') return text
  const offset = /^offset:(\d+)$/.exec(text)?.[1]
  if (offset !== undefined) return { offset: Number(offset) }
  const timestamp = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(timestamp))
    throw new MillraceError('CONFIG_INVALID', `"${text}" is no place to begin.`, {
      fix: 'Give earliest, latest, offset:N, or a time such as 2026-01-31T12:00:00Z.',
    })
  return { timestamp }
}

function render(record: ConsumedRecord, options: ConsumeOptions): string {
  if (options.json === true)
    return JSON.stringify({
      ...record,
      key: text(record.key),
      value: text(record.value),
      headers: Object.fromEntries(record.headers.map(({ key, value }) => [key, text(value)])),
    })
  const value = text(record.value) ?? ''
  return options.keySeparator === undefined ? value : `${text(record.key) ?? ''}${options.keySeparator}${value}`
}

function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
