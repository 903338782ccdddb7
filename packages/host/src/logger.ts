import { pino } from 'pino'
import type { DestinationStream, Logger as Pino } from 'pino'
import type { LogFields, Logger } from '@millrace/base'
import { PrettyLines } from './pretty-lines.ts'

/** The least severe level that is written. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** How a process logs. */
export interface LoggerOptions {
  readonly level?: LogLevel
  /** Lines for people instead of JSON. */
  readonly pretty?: boolean
  /** Where complete lines go; standard output when absent. */
  readonly write?: (line: string) => void
}

/**
 * Structured logging to standard output: one JSON object a line with `level`, `time` (ISO 8601), `event` and the fields. Written
 * synchronously, so that a line that was logged before the process ends is there.
 */
export function processLogger(options: LoggerOptions = {}): Logger {
  const out = destination(options.write)
  const stream = options.pretty === true ? new PrettyLines((line) => out.write(line)) : out
  const settings = {
    level: options.level ?? 'info',
    base: null,
    messageKey: 'event',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: readableErrors },
  }
  return new PinoLogger(pino(settings, stream))
}

function destination(write: ((line: string) => void) | undefined): DestinationStream {
  if (write !== undefined) return { write }
  const stdout = pino.destination({ fd: 1, sync: true })
  // A reader of our output that went away must not end the node.
  stdout.on('error', () => {})
  return stdout
}

/** Errors have no enumerable properties of their own, so JSON would show them as `{}`. */
function readableErrors(fields: Record<string, unknown>): Record<string, unknown> {
  let readable: Record<string, unknown> | null = null
  for (const name in fields) {
    const value = fields[name]
    if (!(value instanceof Error)) continue
    readable ??= { ...fields }
    readable[name] = pino.stdSerializers.err(value)
  }
  return readable ?? fields
}

class PinoLogger implements Logger {
  private readonly pino: Pino

  constructor(pino: Pino) {
    this.pino = pino
  }

  debug(fields: LogFields, event: string): void {
    this.pino.debug(fields, event)
  }

  info(fields: LogFields, event: string): void {
    this.pino.info(fields, event)
  }

  warn(fields: LogFields, event: string): void {
    this.pino.warn(fields, event)
  }

  error(fields: LogFields, event: string): void {
    this.pino.error(fields, event)
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.pino.child(fields))
  }
}
