/** Far more than members that start at the same time. */
const MOST = 10_000

/** Ids that were told to clients which have not joined with them yet, and when they are forgotten. */
export class PendingIds {
  private readonly dueMs = new Map<string, number>()

  get size(): number {
    return this.dueMs.size
  }

  has(memberId: string): boolean {
    return this.dueMs.has(memberId)
  }

  /** An id is kept for a client that is to join with it; of very many that never come the oldest are forgotten. */
  promise(memberId: string, untilMs: number): void {
    for (const oldest of this.dueMs.keys()) {
      if (this.dueMs.size < MOST) break
      this.dueMs.delete(oldest)
    }
    this.dueMs.set(memberId, untilMs)
  }

  /** False where the id is not pending. */
  remove(memberId: string): boolean {
    return this.dueMs.delete(memberId)
  }

  clear(): void {
    this.dueMs.clear()
  }

  /** Forgets those that nobody came with in time; false where there are none. */
  expire(nowMs: number): boolean {
    const before = this.dueMs.size
    for (const [memberId, dueMs] of this.dueMs) if (dueMs <= nowMs) this.dueMs.delete(memberId)
    return this.dueMs.size < before
  }

  /** When the first is forgotten; infinite while there are none. */
  get earliestDueMs(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const dueMs of this.dueMs.values()) earliest = Math.min(earliest, dueMs)
    return earliest
  }
}
