interface Entry {
  readonly dueMs: number
  readonly groupId: string
}

/**
 * When groups are due, earliest first: a binary heap that never looks for an entry to change it. A group that becomes due earlier gets
 * another entry; the one that does not say any more what was noted last is skipped when its turn comes.
 */
export class DueGroups {
  private readonly heap: Entry[] = []
  private readonly noted = new Map<string, number>()

  /** When the earliest may be due; Infinity when none is. */
  get earliestMs(): number {
    this.dropStale()
    return this.heap[0]?.dueMs ?? Number.POSITIVE_INFINITY
  }

  /** Notes an earlier time; a later one is found out when the noted one has come. */
  note(groupId: string, dueMs: number): void {
    if (dueMs >= (this.noted.get(groupId) ?? Number.POSITIVE_INFINITY)) return
    this.noted.set(groupId, dueMs)
    this.heap.push({ dueMs, groupId })
    this.rise(this.heap.length - 1)
  }

  forget(groupId: string): void {
    this.noted.delete(groupId)
  }

  /** Takes out a group that is due, null when none is. */
  take(nowMs: number): string | null {
    if (this.earliestMs > nowMs) return null
    const { groupId } = this.pop()
    this.noted.delete(groupId)
    return groupId
  }

  private dropStale(): void {
    for (let top = this.heap[0]; top !== undefined && this.noted.get(top.groupId) !== top.dueMs; top = this.heap[0])
      this.pop()
  }

  private pop(): Entry {
    const top = this.heap[0] as Entry
    const last = this.heap.pop() as Entry
    if (this.heap.length > 0) {
      this.heap[0] = last
      this.sink(0)
    }
    return top
  }

  private rise(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.dueAt(parent) <= this.dueAt(at)) return
      this.swap(parent, at)
      at = parent
    }
  }

  private sink(from: number): void {
    for (let at = from; ;) {
      const left = 2 * at + 1
      const child = this.dueAt(left + 1) < this.dueAt(left) ? left + 1 : left
      if (this.dueAt(child) >= this.dueAt(at)) return
      this.swap(child, at)
      at = child
    }
  }

  private dueAt(at: number): number {
    return this.heap[at]?.dueMs ?? Number.POSITIVE_INFINITY
  }

  private swap(a: number, b: number): void {
    const one = this.heap[a] as Entry
    this.heap[a] = this.heap[b] as Entry
    this.heap[b] = one
  }
}
