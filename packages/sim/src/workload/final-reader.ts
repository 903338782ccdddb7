import type { SimClient, Role } from './client.ts'
import { Consumer, drawNaming, type ReadingStyle } from './consumer.ts'
import { Reading } from './reading.ts'

/** How long a watermark below what was acknowledged is taken for one that has still to rise. */
const PATIENCE_US = 20_000_000

/** What has to be read at least: partitions by name, each up to the offset after the last that was acknowledged. */
export interface Ends {
  readonly topic: string
  readonly partition: number
  readonly end: number
}

/**
 * A fresh client that reads every partition from its beginning up to the watermark. It is done with a partition at its watermark, once that is
 * not below what was acknowledged; when it stays below for long the checkers are to tell that something is lost.
 */
export class FinalReader implements Role {
  private readonly client: SimClient
  private readonly consumer: Consumer
  private readonly ends: readonly Ends[]
  private readonly done: () => void
  private readonly sinceUs: number
  private over = false

  constructor(client: SimClient, ends: readonly Ends[], done: () => void) {
    this.client = client
    this.consumer = new Consumer(client, drawStyle(client))
    this.ends = ends
    this.done = done
    this.sinceUs = client.nowUs
    this.look()
  }

  wake(): void {
    if (this.over) return
    const { readings } = this.consumer
    for (const partition of this.client.view.partitions.slice(readings.length)) readings.push(new Reading(partition))
    this.consumer.wake()
  }

  private look(): void {
    if (this.finished()) {
      this.over = true
      this.done()
    } else this.client.after(LOOK_EVERY_US, () => this.look())
  }

  private finished(): boolean {
    const { readings } = this.consumer
    if (this.consumer.busy && readings.some(({ atEnd }) => !atEnd)) return false
    const patient = this.client.nowUs - this.sinceUs < PATIENCE_US
    const allThere = this.ends.every(({ topic, partition, end }) => {
      const reading = readings.find(({ view }) => view.topic === topic && view.partition === partition)
      return reading !== undefined && (!patient || (reading.offset ?? 0) >= end)
    })
    return allThere && readings.every(({ atEnd }) => atEnd)
  }
}

const LOOK_EVERY_US = 20_000

function drawStyle(client: SimClient): ReadingStyle {
  return {
    final: true,
    maxBytes: 50_000_000,
    // A small one has most of what is read come with later answers of a session, within the time that there is for it.
    partitionMaxBytes: client.draw.pick([50_000, 1_000_000]),
    minBytes: 1,
    maxWaitMs: 20,
    isolationLevel: 0,
    thinkUs: 1_000,
    fencedPercent: 100,
    ...drawNaming(client),
  }
}
