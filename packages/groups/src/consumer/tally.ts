/** How many members stand behind each text: subscribe to a topic, to a pattern, vote for an assignor. */
export class Tally {
  private readonly counts = new Map<string, number>()

  add(text: string): void {
    this.counts.set(text, this.of(text) + 1)
  }

  remove(text: string): void {
    const left = this.of(text) - 1
    if (left > 0) this.counts.set(text, left)
    else this.counts.delete(text)
  }

  of(text: string): number {
    return this.counts.get(text) ?? 0
  }

  texts(): Iterable<string> {
    return this.counts.keys()
  }
}
