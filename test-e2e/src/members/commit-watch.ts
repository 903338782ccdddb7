// Looks at a group's committed offsets again and again: none may go back or go away.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@millrace/client'
import type { Reading } from './readings.ts'

const LOOK_MS = 500
/** A member may still hold records that another one has committed meanwhile, but not for so long: its session is over. */
const STALE_MS = 30_000

interface Seen {
  readonly atMs: number
  readonly offset: number
}

export class CommitWatch {
  /** What must not be, in words. */
  readonly trouble: string[] = []
  private readonly client: Client
  private readonly group: string
  /** Of each partition what was seen, oldest first; only what was new. */
  private readonly history = new Map<number, Seen[]>()
  private stopped = false
  private readonly running: Promise<void>

  constructor(client: Client, group: string) {
    this.client = client
    this.group = group
    this.running = this.run()
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  /** By partition, as they are now. */
  async committed(): Promise<ReadonlyMap<number, number>> {
    const offsets = await this.client.admin.groups.offsets(this.group)
    return new Map(offsets.map(({ partition, offset }) => [partition, offset]))
  }

  /** Readings of what was committed long before: whoever read began at another place than the commit. */
  resets(readings: readonly Reading[]): Reading[] {
    return readings.filter(({ partition, offset, atMs }) => {
      const then = this.history.get(partition)?.findLast((seen) => seen.atMs <= atMs - STALE_MS)
      return then !== undefined && offset < then.offset
    })
  }

  private async run(): Promise<void> {
    for (; !this.stopped; await sleep(LOOK_MS)) {
      // While there is no coordinator there is nothing to see.
      const now = await this.committed().catch(() => null)
      if (now !== null) this.compare(now)
    }
  }

  private compare(now: ReadonlyMap<number, number>): void {
    const atMs = Date.now()
    for (const [partition, history] of this.history)
      if (history.length > 0 && !now.has(partition))
        this.trouble.push(`the commit ${history.at(-1)?.offset} of partition ${partition} is gone`)
    for (const [partition, offset] of now) {
      const history = this.history.get(partition) ?? []
      this.history.set(partition, history)
      const before = history.at(-1)?.offset ?? -1
      if (offset < before) this.trouble.push(`the commit of partition ${partition} went from ${before} to ${offset}`)
      if (offset !== before) history.push({ atMs, offset })
    }
  }
}
