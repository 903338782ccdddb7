import type { SeededRandom } from '../model/seeded-random.ts'

interface Event {
  readonly atUs: number
  readonly tiebreak: number
  readonly sequence: number
  readonly run: () => void
}

/** Events in the order of (time, seeded tiebreak, sequence). */
export class Schedule {
  nowUs = 0
  private readonly heap: Event[] = []
  private sequence = 0
  private readonly random: SeededRandom

  constructor(random: SeededRandom) {
    this.random = random
  }

  get size(): number {
    return this.heap.length
  }

  after(delayUs: number, run: () => void): void {
    this.at(this.nowUs + delayUs, run)
  }

  at(atUs: number, run: () => void): void {
    const event = { atUs, tiebreak: this.random.uint32(), sequence: this.sequence++, run }
    const { heap } = this
    let child = heap.push(event) - 1
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[child] = heap[parent] as Event
      child = parent
    }
    heap[child] = event
  }

  /** Runs the next event; false when none is left. */
  step(): boolean {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined) return false
    if (heap.length > 0) this.sink(last)
    this.nowUs = Math.max(this.nowUs, first.atUs)
    first.run()
    return true
  }

  private sink(event: Event): void {
    const { heap } = this
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child += 1
      if (!before(heap[child] as Event, event)) break
      heap[parent] = heap[child] as Event
      parent = child
    }
    heap[parent] = event
  }
}

function before(a: Event, b: Event): boolean {
  if (a.atUs !== b.atUs) return a.atUs < b.atUs
  if (a.tiebreak !== b.tiebreak) return a.tiebreak < b.tiebreak
  return a.sequence < b.sequence
}
