/** Counts records and tells on standard error how it goes, once a second, when a person is watching; the sum at the end. */
export class Progress {
  private readonly verb: string
  private readonly startedAt = performance.now()
  private readonly watched = process.stderr.isTTY
  private shownAt = performance.now()
  private total = 0

  constructor(verb: string) {
    this.verb = verb
  }

  count(records: number): void {
    this.total += records
    if (!this.watched || performance.now() - this.shownAt < 1_000) return
    this.shownAt = performance.now()
    process.stderr.write(`\r${this.line()}`)
  }

  end(): void {
    process.stderr.write(`${this.watched ? '\r' : ''}${this.line()}\n`)
  }

  private line(): string {
    const seconds = (performance.now() - this.startedAt) / 1_000
    return `${this.total} records ${this.verb} in ${seconds.toFixed(1)} s (${Math.round(this.total / Math.max(seconds, 0.001))} a second)`
  }
}
