/**
 * Which records a flush waits for: those that were sent before it, and no others. What is outstanding is counted by epochs, and a flush
 * begins a new one.
 */
export class Flushes {
  private epochNow = 0
  /** In the order of the epochs, without empty ones before the first outstanding one. */
  private readonly outstanding = new Map<number, number>()
  private waiting: { readonly epoch: number; readonly resolve: () => void }[] = []

  /** The epoch of what is sent now. */
  get epoch(): number {
    return this.epochNow
  }

  /** The last epoch that a flush waits for: what belongs to it leaves without lingering. */
  get flushedEpoch(): number {
    return this.epochNow - 1
  }

  begin(epoch: number): void {
    this.outstanding.set(epoch, (this.outstanding.get(epoch) ?? 0) + 1)
  }

  end(epoch: number): void {
    const left = (this.outstanding.get(epoch) ?? 1) - 1
    if (left > 0) return void this.outstanding.set(epoch, left)
    this.outstanding.delete(epoch)
    if (this.waiting.length === 0) return
    const lowest = this.lowest()
    for (const { resolve } of this.waiting.filter((flush) => flush.epoch < lowest)) resolve()
    this.waiting = this.waiting.filter((flush) => flush.epoch >= lowest)
  }

  /** Resolves when everything that began before this call has ended. */
  all(): Promise<void> {
    if (this.outstanding.size === 0) return Promise.resolve()
    const epoch = this.epochNow++
    return new Promise((resolve) => this.waiting.push({ epoch, resolve }))
  }

  private lowest(): number {
    let lowest = Number.POSITIVE_INFINITY
    for (const epoch of this.outstanding.keys()) lowest = Math.min(lowest, epoch)
    return lowest
  }
}
