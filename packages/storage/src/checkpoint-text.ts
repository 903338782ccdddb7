// Kafka's text formats. Every parser returns null for text that is not whole: the caller then rebuilds or distrusts.
import { isUuid, type Uuid } from '@millrace/base'
import { folderName, partitionOfFolder } from './file-names.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const VERSION = '0'

/** One line of an epoch checkpoint: the epoch and the first offset that its leader wrote. */
export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

/** `version, count, then <topic> <partition> <offset>` a line. The key is the partition's folder name. */
export function encodeOffsets(offsets: ReadonlyMap<string, number>): Uint8Array {
  const lines: string[] = []
  for (const [folder, offset] of offsets) {
    const { topic, partition } = partitionOfFolder(folder) as { topic: string; partition: number }
    lines.push(`${topic} ${partition} ${offset}`)
  }
  return encodeLines(lines)
}

/** Offsets by folder name. */
export function parseOffsets(bytes: Uint8Array): Map<string, number> | null {
  const lines = parseLines(bytes)
  if (lines === null) return null
  const offsets = new Map<string, number>()
  for (const line of lines) {
    const [topic, partition, offset] = line.split(' ')
    const value = wholeNumber(offset)
    if (topic === undefined || wholeNumber(partition) === null || value === null) return null
    offsets.set(folderName(topic, Number(partition)), value)
  }
  return offsets
}

export function encodeEpochs(epochs: readonly EpochStart[]): Uint8Array {
  return encodeLines(epochs.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`))
}

/** Null also when epochs or offsets do not rise. */
export function parseEpochs(bytes: Uint8Array): EpochStart[] | null {
  const lines = parseLines(bytes)
  if (lines === null) return null
  const epochs: EpochStart[] = []
  for (const line of lines) {
    const [first, second] = line.split(' ')
    const epoch = wholeNumber(first)
    const startOffset = wholeNumber(second)
    const last = epochs.at(-1)
    if (epoch === null || startOffset === null) return null
    if (last !== undefined && (epoch <= last.epoch || startOffset <= last.startOffset)) return null
    epochs.push({ epoch, startOffset })
  }
  return epochs
}

export function encodePartitionMetadata(topicId: Uuid): Uint8Array {
  return encoder.encode(`version: 0\ntopic_id: ${topicId}`)
}

export function parsePartitionMetadata(bytes: Uint8Array): Uuid | null {
  const match = /^version: 0\ntopic_id: (\S+)\s*$/.exec(decoder.decode(bytes))
  return match !== null && isUuid(match[1] as string) ? (match[1] as string) : null
}

/** The marker of a clean stop, as Kafka's brokers write it; -1 where the stopping broker knew no epoch. */
export function encodeCleanShutdown(brokerEpoch: number): Uint8Array {
  return encoder.encode(`{"version":0,"brokerEpoch":${brokerEpoch}}`)
}

function encodeLines(lines: readonly string[]): Uint8Array {
  return encoder.encode(`${VERSION}\n${lines.length}\n${lines.map((line) => `${line}\n`).join('')}`)
}

function parseLines(bytes: Uint8Array): string[] | null {
  const [version, count, ...lines] = decoder.decode(bytes).split('\n')
  if (version !== VERSION || wholeNumber(count) === null) return null
  // A file that ends early lacks its last line break: its last number may be half of one.
  return lines.pop() === '' && lines.length === Number(count) ? lines : null
}

function wholeNumber(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}
