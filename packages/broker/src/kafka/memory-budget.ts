/** Someone who stopped reading because the budget was used up. */
export interface BudgetWaiter {
  roomAgain(): void
}

/**
 * The bytes that all connections of a listener may hold in requests, begun ones included. Charging never fails, because the bytes are
 * there already; whoever finds the budget used up stops reading and waits for its turn.
 */
export class MemoryBudget {
  readonly limit: number
  private held = 0
  private readonly waiters = new Set<BudgetWaiter>()

  constructor(limit: number) {
    this.limit = limit
  }

  get used(): number {
    return this.held
  }

  get over(): boolean {
    return this.held > this.limit
  }

  charge(bytes: number): void {
    this.held += bytes
  }

  release(bytes: number): void {
    this.held -= bytes
    if (this.waiters.size > 0 && !this.over) this.wake()
  }

  wait(waiter: BudgetWaiter): void {
    this.waiters.add(waiter)
  }

  leave(waiter: BudgetWaiter): void {
    this.waiters.delete(waiter)
  }

  /** First come, first served, until the budget is used up again. */
  private wake(): void {
    for (const waiter of this.waiters) {
      if (this.over) return
      this.waiters.delete(waiter)
      waiter.roomAgain()
    }
  }
}
