import type { Role, SimClient } from '../client.ts'
import { askCommitted } from './committed.ts'
import { Coordinator } from './coordinator.ts'
import type { Place } from './subscription.ts'

const AGAIN_US = 200_000

/** What a group may have committed something of. */
interface GroupPlaces {
  readonly group: string
  readonly places: readonly Place[]
}

/** A fresh client that asks what a group has committed, until it is told. */
export class FinalOffsets implements Role {
  private readonly client: SimClient
  private readonly coordinator: Coordinator
  private readonly group: string
  private readonly places: readonly Place[]
  private readonly done: () => void
  private asking = false

  constructor(client: SimClient, { group, places }: GroupPlaces, done: () => void) {
    this.client = client
    this.group = group
    this.places = places
    this.done = done
    this.coordinator = new Coordinator(client, group)
    this.look()
  }

  wake(): void {
    // It asks at its own pace.
  }

  private look(): void {
    const { client, coordinator, group, places } = this
    client.after(AGAIN_US, () => this.look())
    const connection = this.asking ? null : coordinator.connection()
    if (connection === null) return
    this.asking = true
    askCommitted(client, { connection, group, as: null, places }, (offsets, invokedUs) => {
      if (offsets !== null) return this.told(offsets, invokedUs)
      this.asking = false
      coordinator.doubt()
    })
  }

  private told(offsets: readonly number[], invokedUs: number): void {
    const { client, group, places } = this
    places.forEach(({ topic, partition }, at) => {
      const times = { invokedUs, endedUs: client.nowUs }
      const told = { client: client.name, kind: 'committed', ...times, outcome: 'ok', final: true } as const
      client.crowd.ended({ ...told, values: [], topic, partition, group, answer: offsets[at] as number })
    })
    this.done()
  }
}
