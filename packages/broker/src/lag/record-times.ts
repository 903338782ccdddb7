import type { Logger } from '@millrace/base'
import { baseOffset, baseTimestamp, BATCH_HEADER_BYTES, lastOffsetDelta, maxTimestamp } from '@millrace/records'
import type { LogSlice } from '@millrace/storage'
import type { BrokerReplica } from '../replica.ts'

/** In one survey no more than this is read, so that groups cannot keep the disks busy: the next survey goes on. */
const MOST_READS = 100
const MOST_BYTES = 8 * 1024 * 1024

interface Wanted {
  readonly replica: BrokerReplica
  readonly offset: number
  readonly learn: (atMs: number) => void
}

/** Looks up the times of records in logs of this broker, one after another. */
export class RecordTimes {
  private readonly log: Logger
  private queue: Wanted[] = []
  private reads = 0
  private bytes = 0
  private busy = false

  constructor(log: Logger) {
    this.log = log
  }

  /** Another survey begins: it may read as much again. */
  begin(): void {
    this.queue = []
    this.reads = 0
    this.bytes = 0
  }

  /** `learn` is called with the time of the record, in milliseconds since 1970, unless there is too much to read, or it cannot be read. */
  want(wanted: Wanted): void {
    if (this.reads + this.queue.length >= MOST_READS) return
    this.queue.push(wanted)
    this.next()
  }

  end(): void {
    this.queue = []
  }

  private next(): void {
    if (this.busy || this.bytes >= MOST_BYTES) return
    const wanted = this.queue.shift()
    if (wanted === undefined) return
    this.busy = true
    this.reads++
    const { replica, offset } = wanted
    const slice = replica.log.read(offset, 1, replica.machine.highWatermark, (error, late) => {
      if (error === null) this.arrived(wanted, late)
      else this.log.debug({ topic: replica.topic, partition: replica.partition, error }, 'time of a record not read')
      this.goOn()
    })
    if (slice === null) return
    this.arrived(wanted, slice)
    this.goOn()
  }

  private goOn(): void {
    this.busy = false
    this.next()
  }

  private arrived({ offset, learn }: Wanted, { parts, bytes }: LogSlice): void {
    this.bytes += bytes
    const [batch] = parts
    if (batch === undefined || batch.length < BATCH_HEADER_BYTES) return
    const atMs = timeWithin(batch, offset)
    if (atMs >= 0) learn(atMs)
  }
}

/** The records of a batch may be compressed; they are taken to be spread evenly over its time, which is the producer's linger. */
function timeWithin(batch: Uint8Array, offset: number): number {
  const first = baseTimestamp(batch, 0)
  const last = maxTimestamp(batch, 0)
  const delta = lastOffsetDelta(batch, 0)
  if (first < 0 || delta <= 0 || last <= first) return last
  return first + ((last - first) * Math.min(offset - baseOffset(batch, 0), delta)) / delta
}
