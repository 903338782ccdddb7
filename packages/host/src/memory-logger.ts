import type { LogFields, Logger } from '@millrace/base'

/** One logged line: the fields of the logger and of the call together. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: LogFields
  readonly event: string
}

/** Keeps the newest lines for a test to read; children write to their parent's lines. */
export class MemoryLogger implements Logger {
  readonly lines: LogLine[]
  private readonly fields: LogFields
  private readonly limit: number

  constructor(limit = 10_000, fields: LogFields = {}, lines: LogLine[] = []) {
    this.limit = limit
    this.fields = fields
    this.lines = lines
  }

  debug(fields: LogFields, event: string): void {
    this.add('debug', fields, event)
  }

  info(fields: LogFields, event: string): void {
    this.add('info', fields, event)
  }

  warn(fields: LogFields, event: string): void {
    this.add('warn', fields, event)
  }

  error(fields: LogFields, event: string): void {
    this.add('error', fields, event)
  }

  child(fields: LogFields): Logger {
    return new MemoryLogger(this.limit, { ...this.fields, ...fields }, this.lines)
  }

  private add(level: LogLine['level'], fields: LogFields, event: string): void {
    if (this.lines.length >= this.limit) this.lines.splice(0, this.limit / 2)
    this.lines.push({ level, fields: { ...this.fields, ...fields }, event })
  }
}
