interface Moment<T> {
  readonly index: number
  readonly value: T
}

/** What a thing was, by the committed entry that made it so. Values must not change once given. */
export class Timeline<K, T> {
  private readonly moments = new Map<K, Moment<T>[]>()

  set(key: K, index: number, value: T): void {
    const known = this.moments.get(key)
    if (known === undefined) this.moments.set(key, [{ index, value }])
    else known.push({ index, value })
  }

  /** As of the entry `index`; undefined for what was not there yet. */
  asOf(key: K, index: number): T | undefined {
    return this.moments.get(key)?.findLast((moment) => moment.index <= index)?.value
  }

  keys(): Iterable<K> {
    return this.moments.keys()
  }
}
