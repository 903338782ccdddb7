// Reads a whole partition without a group: by kcat where it is installed, else by this project's own client.
import { spawnSync } from 'node:child_process'
import { createClient } from '@millrace/client'

/** The values of a topic's partition, in offset order, and which program read them. */
export async function readBack(
  bootstrap: readonly string[],
  topic: string,
  partition: number,
): Promise<{ values: string[]; reader: string }> {
  const args = ['-C', '-b', bootstrap.join(','), '-t', topic, '-p', String(partition), '-o', 'beginning', '-e', '-q']
  const kcat = spawnSync('kcat', args, { encoding: 'utf8', maxBuffer: 1 << 30, timeout: 60_000 })
  if (kcat.error === undefined) {
    if (kcat.status !== 0) throw new Error(`kcat failed: ${kcat.stderr}`)
    return { values: kcat.stdout.split('\n').slice(0, -1), reader: 'kcat' }
  }
  await using client = createClient({ bootstrap: [...bootstrap] })
  const values: string[] = []
  const consumer = client.consumer({ assign: [{ topic, partition, from: 'earliest' }], until: 'end' })
  for await (const record of consumer) values.push(Buffer.from(record.value ?? new Uint8Array()).toString())
  return { values, reader: 'millrace client' }
}
