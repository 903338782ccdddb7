import type { Codec } from '@millrace/base'
import type { Producer, ProducerRecord } from '@millrace/client'
import { type ClusterOptions, pairs, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { inputLines } from '../input-lines.ts'
import { printJson, writeOut } from '../output.ts'
import { Progress } from '../progress.ts'

interface ProduceOptions extends ClusterOptions {
  readonly value?: string
  readonly key?: string
  readonly header?: readonly string[]
  readonly keySeparator?: string
  readonly partition?: number
  readonly acks: 'all' | '1' | '0'
  readonly compression: Codec
}

/** What was read and is not acknowledged; reading waits for room. */
const MAX_UNACKNOWLEDGED_BYTES = 8 * 1024 * 1024

/** Writes --value, or a record for each line of standard input, its bytes as they are. */
export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  if (options.key !== undefined && options.value === undefined)
    throw new UsageError('--key needs --value', 'Keys of lines are given with --key-separator.')
  const acks = options.acks === 'all' ? 'all' : options.acks === '1' ? 1 : 0
  const place = options.partition === undefined ? { topic } : { topic, partition: options.partition }
  const base = options.header === undefined ? place : { ...place, headers: pairs(options.header) }
  await withClient(options, async (client) => {
    const producer = client.producer({ acks, compression: options.compression })
    if (options.value === undefined) return produceInput(producer, options, base)
    const sent = await producer.send({ ...base, key: options.key ?? null, value: options.value })
    if (options.json === true) return printJson(sent)
    const offset = sent.offset < 0 ? 'a record' : `offset ${sent.offset}`
    process.stdout.write(`Wrote ${offset} of partition ${sent.partition}.\n`)
  })
}

async function produceInput(
  producer: Producer,
  options: ProduceOptions,
  base: Omit<ProducerRecord, 'value'>,
): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write('Type records, one a line; Ctrl-D ends.\n')
  const separator = options.keySeparator === undefined ? null : Buffer.from(options.keySeparator)
  const progress = new Progress('written')
  const window = new Window(options.json === true, progress)
  const stop = (): void => void process.stdin.destroy()
  process.once('SIGINT', () => {
    process.exitCode = 130
    stop()
  })
  window.failed = stop
  try {
    for await (const lines of inputLines(process.stdin as AsyncIterable<Buffer>)) {
      const records = lines.filter(({ length }) => length > 0).map((line) => ({ ...base, ...split(line, separator) }))
      await window.add(producer, records)
      if (window.failure !== null) break
    }
  } catch (error) {
    // A stream that was destroyed from here ends with an error of its own.
    if (!process.stdin.destroyed) throw error
  }
  await producer.flush()
  await window.settled()
  progress.end()
  if (window.failure !== null) throw window.failure
}

/** What is on its way: told in the order of the input, bounded in bytes. */
class Window {
  failure: Error | null = null
  failed: () => void = () => undefined
  private readonly json: boolean
  private readonly progress: Progress
  private bytes = 0
  private tail: Promise<void> = Promise.resolve()
  private wake: (() => void) | null = null

  constructor(json: boolean, progress: Progress) {
    this.json = json
    this.progress = progress
  }

  /** Resolves when there is room for more, or something failed. */
  async add(producer: Producer, records: readonly ProducerRecord[]): Promise<void> {
    const bytes = records.reduce((sum, { key, value }) => sum + 64 + (key?.length ?? 0) + (value?.length ?? 0), 0)
    this.bytes += bytes
    const sent = producer.sendAll(records)
    this.tail = this.tail
      .then(() => sent)
      .then(async (places) => {
        if (this.json) await writeOut(places.map((place) => `${JSON.stringify(place)}\n`).join(''))
        this.progress.count(places.length)
      })
      .catch((error: Error) => {
        this.failure ??= error
        this.failed()
      })
      .then(() => {
        this.bytes -= bytes
        this.wake?.()
      })
    // Its failure is looked at in its turn, which may be later.
    sent.catch(() => undefined)
    while (this.bytes > MAX_UNACKNOWLEDGED_BYTES && this.failure === null)
      await new Promise<void>((resolve) => (this.wake = resolve))
  }

  settled(): Promise<void> {
    return this.tail
  }
}

function split(line: Buffer, separator: Buffer | null): { key: Buffer | null; value: Buffer } {
  const at = separator === null ? -1 : line.indexOf(separator)
  return at < 0
    ? { key: null, value: line }
    : { key: line.subarray(0, at), value: line.subarray(at + (separator as Buffer).length) }
}
