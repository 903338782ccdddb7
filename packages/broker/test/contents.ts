import { readRecords, splitBatches } from '@millrace/records'
import type { LogSlice, PartitionLog } from '@millrace/storage'
import type { BrokerReplica } from '../src/replica.ts'
import type { TestBroker } from './cluster.ts'

export function logOf(broker: TestBroker, topic: string): PartitionLog {
  return (broker.replica(topic) as BrokerReplica).log
}

/** Every record of a log, up to its end: what is on this replica's disk, committed or not. */
export async function contents(broker: TestBroker, topic: string): Promise<string[]> {
  return (await batchesOf(broker, topic)).flatMap((batch) =>
    readRecords(batch, 0).map(
      ({ offset, value }) => `${offset}:${new TextDecoder().decode(value ?? new Uint8Array())}`,
    ),
  )
}

export async function batchesOf(broker: TestBroker, topic: string): Promise<Uint8Array[]> {
  const log = logOf(broker, topic)
  const found: Uint8Array[] = []
  for (let offset = log.logStart; offset < log.endOffset;) {
    const slice = await new Promise<LogSlice>((resolve, reject) => {
      const now = log.read(offset, 1 << 20, log.endOffset, (error, late) =>
        error === null ? resolve(late) : reject(error),
      )
      if (now !== null) resolve(now)
    })
    for (const part of slice.parts) found.push(...splitBatches(part))
    offset = slice.nextOffset
  }
  return found
}
