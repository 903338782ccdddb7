import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'

/** Asks for the metadata of topics in trouble: one request at a time, for all that were named meanwhile. Failures are left to the next ask. */
export class MetadataRefresher {
  private readonly cluster: Cluster
  private readonly done: () => void
  private readonly wanted = new Set<string>()
  private running = false

  /** `done` is called after each answer, and after each failure to get one. */
  constructor(cluster: Cluster, done: () => void) {
    this.cluster = cluster
    this.done = done
  }

  ask(topic: string): void {
    this.wanted.add(topic)
    if (!this.running) void this.run()
  }

  private async run(): Promise<void> {
    const { signal, options } = this.cluster
    this.running = true
    while (this.wanted.size > 0 && !signal.aborted) {
      const names = [...this.wanted]
      this.wanted.clear()
      const answered = await this.cluster.refresh(names).then(
        () => true,
        () => false,
      )
      // Whoever is told asks again at once: a cluster that refuses connections must not make that a tight loop.
      if (!answered) await sleep(options.retryBackoffMs, undefined, { signal }).catch(() => undefined)
      this.done()
    }
    this.running = false
  }
}
