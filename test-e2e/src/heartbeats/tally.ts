/** What the members of all groups saw, counted. Latencies are kept to a tenth of a millisecond. */
export class Tally {
  /** Answered without an error since `reset`. */
  heartbeats = 0
  /** Answers with errors, by code, and connections that ended, since `reset`. */
  readonly errors = new Map<string, number>()
  /** Members that have their share of the work and beat. */
  steady = 0
  private readonly tenths = new Map<number, number>()

  reset(): void {
    this.heartbeats = 0
    this.errors.clear()
    this.tenths.clear()
  }

  answered(latencyMs: number): void {
    this.heartbeats++
    const tenth = Math.ceil(latencyMs * 10)
    this.tenths.set(tenth, (this.tenths.get(tenth) ?? 0) + 1)
  }

  error(what: string): void {
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1)
  }

  /** In milliseconds; 0 of none. */
  latencyMs(percent: number): number {
    let left = Math.ceil((this.heartbeats * percent) / 100)
    for (const [tenth, count] of [...this.tenths].toSorted(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return tenth / 10
    }
    return 0
  }
}
