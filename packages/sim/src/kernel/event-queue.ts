import type { Timer } from '@millrace/base'
import type { SimLife } from './life.ts'

/** What has its place in a queue: by time, then by what decides within a microsecond, then in the order of making. */
export interface Queued {
  readonly atUs: number
  readonly tie: number
  readonly order: number
}

/** What will happen at a time. It is its own timer. */
export class SimEvent implements Timer, Queued {
  atUs: number
  tie: number
  order: number
  readonly life: SimLife
  readonly lane: string | undefined
  /** Null once it ran or was cancelled. */
  run: (() => void) | null

  // oxlint-disable-next-line max-params -- one per event: no object for the parameters.
  constructor(atUs: number, tie: number, order: number, life: SimLife, run: () => void, lane: string | undefined) {
    this.atUs = atUs
    this.tie = tie
    this.order = order
    this.life = life
    this.run = run
    this.lane = lane
  }

  cancel(): void {
    if (this.run === null) return
    this.run = null
    this.life.cancelled()
  }
}

/** A binary heap of events, the next one first. */
export class EventQueue<Event extends Queued = SimEvent> {
  private events: Event[] = []

  get size(): number {
    return this.events.length
  }

  peek(): Event | undefined {
    return this.events[0]
  }

  push(event: Event): void {
    const { events } = this
    let at = events.length
    events.push(event)
    while (at > 0) {
      const up = (at - 1) >>> 1
      const other = events[up] as Event
      if (before(other, event)) break
      events[at] = other
      at = up
    }
    events[at] = event
  }

  pop(): Event | undefined {
    const { events } = this
    const first = events[0]
    const last = events.pop()
    if (last !== undefined && events.length > 0) this.sink(last, 0)
    return first
  }

  /** Takes out all events that are not worth keeping. */
  keep(worthIt: (event: Event) => boolean): void {
    this.events = this.events.filter(worthIt)
    for (let at = (this.events.length >>> 1) - 1; at >= 0; at--) this.sink(this.events[at] as Event, at)
  }

  /** Puts an event where it belongs, at or below a place that is free. */
  private sink(event: Event, from: number): void {
    const { events } = this
    const { length } = events
    let at = from
    for (;;) {
      let down = 2 * at + 1
      if (down >= length) break
      let other = events[down] as Event
      if (down + 1 < length) {
        const right = events[down + 1] as Event
        if (before(right, other)) {
          other = right
          down++
        }
      }
      if (before(event, other)) break
      events[at] = other
      at = down
    }
    events[at] = event
  }
}

function before(one: Queued, other: Queued): boolean {
  if (one.atUs !== other.atUs) return one.atUs < other.atUs
  if (one.tie !== other.tie) return one.tie < other.tie
  return one.order < other.order
}
