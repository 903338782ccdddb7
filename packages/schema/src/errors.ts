import { MillraceError } from '@millrace/base'

/**
 * Bytes that are not what they claim to be: a hostile or broken peer, or damage. The only error that decoding throws. Its
 * code is `PROTOCOL_VIOLATION` and it is never retriable: the connection that sent the bytes is closed.
 */
export class DecodeError extends MillraceError {
  /** Where in the value, as `topics[3].partitions[0].records`; empty for the value itself. */
  path = ''
  /** What is wrong, without the place. */
  readonly reason: string

  constructor(reason: string) {
    super('PROTOCOL_VIOLATION', reason)
    this.reason = reason
  }

  /** Prefixes the place while the error climbs: `enter('topics')` after `enter(3)` gives `topics[3]`. */
  enter(step: string | number): void {
    this.path = joined(step, this.path)
    this.message = `${this.path}: ${this.reason}`
  }
}

/**
 * A value that cannot be written as the version asked for: a field that the version lacks holds more than its fallback, a number
 * is out of range, a null is where none may be. A programmer's error, thrown before anything is sent.
 */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
  path = ''
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }

  enter(step: string | number): void {
    this.path = joined(step, this.path)
    this.message = `${this.path}: ${this.reason}`
  }
}

/** Names the place in an error of this package and gives it back to be thrown on; other errors pass untouched. */
export function located(error: unknown, step: string | number): unknown {
  if (error instanceof DecodeError || error instanceof EncodeError) error.enter(step)
  return error
}

function joined(step: string | number, rest: string): string {
  const head = typeof step === 'number' ? `[${step}]` : step
  return rest === '' || rest.startsWith('[') ? head + rest : `${head}.${rest}`
}
