import type { LogFields, Logger } from '@millrace/base'

type Level = 'info' | 'warn' | 'error'

/** Lines of one event in one turn, before the rest is only counted. */
const MOST_LINES = 10

/**
 * Log lines about single partitions. What happens to one is told; what happens to thousands in the same turn, because a broker
 * failed or started, is told for the first few and counted for the rest.
 */
export class PartitionLines {
  private readonly log: Logger
  private readonly schedule: () => void
  private readonly told = new Map<string, { readonly level: Level; count: number }>()

  constructor(log: Logger, schedule: () => void) {
    this.log = log
    this.schedule = schedule
  }

  info(fields: LogFields, event: string): void {
    this.tell('info', fields, event)
  }

  warn(fields: LogFields, event: string): void {
    this.tell('warn', fields, event)
  }

  error(fields: LogFields, event: string): void {
    this.tell('error', fields, event)
  }

  /** End of the turn. */
  flush(): void {
    for (const [event, { level, count }] of this.told)
      if (count > MOST_LINES) this.log[level]({ partitions: count - MOST_LINES }, `${event}, and so for others`)
    this.told.clear()
  }

  private tell(level: Level, fields: LogFields, event: string): void {
    let told = this.told.get(event)
    if (told === undefined) {
      told = { level, count: 0 }
      this.told.set(event, told)
      this.schedule()
    }
    if (++told.count <= MOST_LINES) this.log[level](fields, event)
  }
}
