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
  /** Whether it was used up at the last look and ever since. */
  private stuckSinceLook = false
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

  /** Whether the budget has been used up without a break since the last call that asked this. */
  lookStuck(): boolean {
    const stuck = this.stuckSinceLook && this.over
    this.stuckSinceLook = this.over
    return stuck
  }

  charge(bytes: number): void {
    this.held += bytes
  }

  release(bytes: number): void {
    this.held -= bytes
    if (this.over) return
    this.stuckSinceLook = false
    if (this.waiters.size > 0) this.wake()
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
