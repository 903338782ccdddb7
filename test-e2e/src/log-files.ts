// What is on a node's disk, read from the files themselves.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseOffset, lastOffset, splitBatches } from '@millrace/records'

/** The files of a partition with this ending, by base offset. */
export function segmentFiles(data: string, topic: string, partition: number, ending: string): string[] {
  const folder = join(data, `${topic}-${partition}`)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(folder, name))
}

/** Every batch that lies wholly in [from, to), as hex of its bytes behind its base offset, whatever segment it is in. */
export function batchesOnDisk(
  data: string,
  topic: string,
  range: { from: number; to: number; partition?: number },
): string[] {
  const found: string[] = []
  for (const file of segmentFiles(data, topic, range.partition ?? 0, '.log'))
    for (const batch of splitBatches(readFileSync(file)))
      if (lastOffset(batch, 0) >= range.from && baseOffset(batch, 0) < range.to)
        found.push(`${baseOffset(batch, 0)} ${Buffer.from(batch).toString('hex')}`)
  return found
}
