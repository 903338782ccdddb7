import type { Codec } from '@millrace/base'
import type { Producer, ProducerRecord, SentRecord } from '@millrace/client'
import { createInterface } from 'node:readline'
import { type ClusterOptions, withClient } from '../connect.ts'
import { printJson } from '../output.ts'
import { Progress } from '../progress.ts'

interface ProduceOptions extends ClusterOptions {
  readonly value?: string
  readonly key?: string
  readonly keySeparator?: string
  readonly partition?: number
  readonly acks: 'all' | '1' | '0'
  readonly compression: Codec
}

/** Lines that are on their way at once; reading waits for room. */
const MAX_UNACKNOWLEDGED = 50_000

export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const acks = options.acks === 'all' ? 'all' : options.acks === '1' ? 1 : 0
  await withClient(options, async (client) => {
    const producer = client.producer({ acks, compression: options.compression })
    const place = options.partition === undefined ? {} : { partition: options.partition }
    if (options.value !== undefined) {
      const sent = await producer.send({ topic, key: options.key ?? null, value: options.value, ...place })
      return options.json === true
        ? printJson(sent)
        : void process.stdout.write(`Wrote offset ${sent.offset} of partition ${sent.partition}.\n`)
    }
    if (process.stdin.isTTY) process.stderr.write('Type records, one a line; Ctrl-D ends.\n')
    await produceLines(producer, options, (line) => ({ topic, ...split(line, options.keySeparator), ...place }))
  })
}

async function produceLines(
  producer: Producer,
  options: ProduceOptions,
  toRecord: (line: string) => ProducerRecord,
): Promise<void> {
  const progress = new Progress('written')
  let unacknowledged = 0
  let failure: unknown = null
  let wake: (() => void) | null = null
  const settle = (): void => {
    unacknowledged--
    wake?.()
  }
  const acknowledged = (sent: SentRecord): void => {
    if (options.json === true) printJson(sent)
    progress.count(1)
    settle()
  }
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line === '') continue
    unacknowledged++
    producer.send(toRecord(line)).then(acknowledged, (error: unknown) => {
      failure ??= error
      settle()
    })
    while (unacknowledged >= MAX_UNACKNOWLEDGED && failure === null)
      await new Promise<void>((resolve) => (wake = resolve))
    if (failure !== null) break
  }
  await producer.flush()
  progress.end()
  if (failure !== null) throw failure
}

function split(line: string, separator: string | undefined): { key: string | null; value: string } {
  const at = separator === undefined ? -1 : line.indexOf(separator)
  return at < 0
    ? { key: null, value: line }
    : { key: line.slice(0, at), value: line.slice(at + (separator as string).length) }
}
