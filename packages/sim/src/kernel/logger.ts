import type { LogFields, Logger } from '@millrace/base'

/** Takes one line of a node's log. */
export type LogSink = (level: 'info' | 'warn' | 'error', text: string) => void

/** A node's log as text, from `info` on, as in production. */
export class SimLogger implements Logger {
  private readonly sink: LogSink
  private readonly fields: LogFields

  constructor(sink: LogSink, fields: LogFields = {}) {
    this.sink = sink
    this.fields = fields
  }

  debug(): void {}

  info(fields: LogFields, event: string): void {
    this.sink('info', this.text(fields, event))
  }

  warn(fields: LogFields, event: string): void {
    this.sink('warn', this.text(fields, event))
  }

  error(fields: LogFields, event: string): void {
    this.sink('error', this.text(fields, event))
  }

  child(fields: LogFields): Logger {
    return new SimLogger(this.sink, { ...this.fields, ...fields })
  }

  private text(fields: LogFields, event: string): string {
    let text = event
    for (const [name, value] of Object.entries({ ...this.fields, ...fields })) text += ` ${name}=${told(value)}`
    return text
  }
}

function told(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message)
  if (typeof value === 'string' && !value.includes(' ')) return value
  return (
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? 'undefined'
  )
}
