interface Event {
  readonly atUs: number
  readonly tiebreak: number
  readonly run: () => void
}

/** Events in virtual time. Equal times run in a seeded order, so nothing depends on who registered first. */
export class Schedule {
  nowUs = 0
  events = 0
  readonly #random: (n: number) => number
  readonly #heap: Event[] = []

  constructor(random: (n: number) => number) {
    this.#random = random
  }

  after(delayUs: number, run: () => void): void {
    this.#push({ atUs: this.nowUs + Math.max(0, Math.floor(delayUs)), tiebreak: this.#random(2 ** 30), run })
  }

  /** When the next event is due; infinity when there is none. */
  get nextUs(): number {
    return this.#heap[0]?.atUs ?? Number.POSITIVE_INFINITY
  }

  /** Runs the next event. */
  step(): void {
    const next = this.#pop()
    if (next === undefined) return
    this.nowUs = Math.max(this.nowUs, next.atUs)
    this.events++
    next.run()
  }

  #push(event: Event): void {
    const heap = this.#heap
    heap.push(event)
    let at = heap.length - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ;) {
      let smallest = at
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && this.#before(child, smallest)) smallest = child
      if (smallest === at) return first
      this.#swap(at, smallest)
      at = smallest
    }
  }

  #before(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]]
    if (first === undefined || second === undefined) return false
    return first.atUs < second.atUs || (first.atUs === second.atUs && first.tiebreak < second.tiebreak)
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a] as Event
    this.#heap[a] = this.#heap[b] as Event
    this.#heap[b] = held
  }
}
