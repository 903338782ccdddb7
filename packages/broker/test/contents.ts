import { readRecords, splitBatches } from '@millrace/records'
import type { LogSlice, PartitionLog } from '@millrace/storage'
import type { BrokerReplica } from '../src/replica.ts'
import type { TestBroker } from './cluster.ts'

export function logOf(broker: TestBroker, topic: string): PartitionLog {
  return (broker.replica(topic) as BrokerReplica).log
}

/** Every record of a log, up to its end: what is on this replica's disk, committed or not. */
export async function contents(broker: TestBroker, topic: string): Promise<string[]> {
  const log = logOf(broker, topic)
  const found: string[] = []
  for (let offset = log.logStart; offset < log.endOffset;) {
    const slice = await new Promise<LogSlice>((resolve, reject) => {
      const now = log.read(offset, 1 << 20, log.endOffset, (error, late) =>
        error === null ? resolve(late) : reject(error),
      )
      if (now !== null) resolve(now)
    })
    for (const part of slice.parts)
      for (const batch of splitBatches(part))
        for (const record of readRecords(batch, 0))
          found.push(`${record.offset}:${new TextDecoder().decode(record.value ?? new Uint8Array())}`)
    offset = slice.nextOffset
  }
  return found
}
