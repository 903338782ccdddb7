/** What went wrong outside of computation. Callers decide by the code, people read the message. */
export type MillraceErrorCode =
  | 'CONFIG_INVALID'
  | 'DIRECTORY_FOREIGN'
  | 'DIRECTORY_LOCKED'
  | 'IO_FAILED'
  | 'PORT_TAKEN'
  | 'PROTOCOL_VIOLATION'
  | 'REQUEST_REFUSED'
  | 'STORE_DAMAGED'
  | 'TIMED_OUT'
  | 'UNREACHABLE'

export interface MillraceErrorDetails {
  readonly retriable?: boolean
  readonly cause?: unknown
  /** What the reader can do about it, as a sentence. */
  readonly fix?: string
}

/** An operating failure, as opposed to a broken invariant. */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: MillraceErrorCode
  readonly retriable: boolean
  readonly fix: string | null

  constructor(code: MillraceErrorCode, message: string, details: MillraceErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retriable = details.retriable ?? false
    this.fix = details.fix ?? null
  }
}

/** The kinds of failure that code above a disk or a socket tells apart. `EIO` is the device's: what it cannot read is rot. `EOTHER` says nothing about it. */
export type IoErrorCode =
  | 'ENOENT'
  | 'EEXIST'
  | 'ENOSPC'
  | 'EIO'
  | 'EROFS'
  | 'EMFILE'
  | 'ENOMEM'
  | 'EACCES'
  | 'EADDRINUSE'
  | 'ECLOSED'
  | 'EOTHER'

/** A failed call of the outside world. */
export class IoError extends Error {
  override readonly name = 'IoError'
  readonly code: IoErrorCode
  readonly path: string

  constructor(code: IoErrorCode, path: string, message: string, cause?: unknown) {
    super(`${message} (${code}) ${path}`, cause === undefined ? undefined : { cause })
    this.code = code
    this.path = path
  }
}
