import type { Role, SimClient } from './client.ts'
import { Consumer, drawNaming, type ReadingStyle } from './consumer.ts'
import { Reading } from './reading.ts'

/** A consumer that takes other partitions now and then, and jumps in those that it has. */
export class RoamingConsumer implements Role {
  private readonly client: SimClient
  private readonly consumer: Consumer

  constructor(client: SimClient) {
    this.client = client
    this.consumer = new Consumer(client, drawStyle(client))
    const { moveMeanUs } = client.crowd.rates
    if (moveMeanUs > 0) client.after(client.draw.around(moveMeanUs), () => this.move(moveMeanUs))
  }

  get busy(): boolean {
    return this.consumer.busy
  }

  wake(): void {
    if (this.consumer.readings.length === 0) this.assign()
    this.consumer.wake()
  }

  private assign(): void {
    const { view, draw } = this.client
    if (view.partitions.length === 0) return view.doubt()
    const some = draw.chance(40) ? view.partitions : draw.subset(view.partitions, 60)
    const { readings } = this.consumer
    readings.length = 0
    for (const partition of some.length > 0 ? some : [draw.pick(view.partitions)]) {
      const reading = new Reading(partition)
      reading.moveTo(this.drawStart())
      readings.push(reading)
    }
  }

  private drawStart(): Reading['start'] {
    const { draw, nowMs } = this.client
    if (draw.chance(50)) return 'earliest'
    return draw.chance(50) ? 'latest' : nowMs - draw.between(-1_000, 20_000)
  }

  private move(moveMeanUs: number): void {
    const { client, consumer } = this
    const { draw } = client
    client.after(draw.around(moveMeanUs), () => this.move(moveMeanUs))
    if (client.crowd.quiet || consumer.readings.length === 0) return
    if (draw.chance(25)) {
      if (!consumer.busy) this.assign()
    } else this.jump(draw.pick(consumer.readings))
    consumer.wake()
  }

  private jump(reading: Reading): void {
    const { draw } = this.client
    if (reading.busy) return
    if (reading.offset !== null && reading.offset > 0 && draw.chance(50)) reading.seek(draw.between(0, reading.offset))
    else reading.moveTo(this.drawStart())
  }
}

function drawStyle(client: SimClient): ReadingStyle {
  const { draw } = client
  return {
    final: false,
    maxBytes: draw.pick([1, 5_000, 50_000_000]),
    partitionMaxBytes: draw.pick([1, 2_000, 1_000_000]),
    minBytes: draw.pick([1, 1, 500, 20_000]),
    maxWaitMs: draw.pick([0, 50, 500]),
    isolationLevel: draw.pick([0, 1] as const),
    thinkUs: draw.pick([10_000, 50_000, 200_000]),
    fencedPercent: draw.pick([0, 50, 100]),
    ...drawNaming(client),
  }
}
