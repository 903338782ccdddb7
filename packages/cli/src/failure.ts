import { MillraceError } from '@millrace/base'
import { CommanderError } from 'commander'

/** What was typed makes no sense: exit code 2. */
export class UsageError extends MillraceError {
  constructor(message: string, fix: string) {
    super('CONFIG_INVALID', message, { fix })
  }
}

/** Ends the process with what went wrong and what to do about it, without a stack. Exit code 2 for what was typed, 1 for the rest. */
export function failWith(error: unknown): never {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  const { message, fix } = error as { message?: string; fix?: string | null }
  process.stderr.write(`${message ?? String(error)}\n`)
  if (typeof fix === 'string') process.stderr.write(`${fix}\n`)
  if (process.env['MILLRACE_STACK'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exit(error instanceof UsageError ? 2 : 1)
}
