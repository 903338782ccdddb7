import { IoError } from '@millrace/base'
import type { IoErrorCode } from '@millrace/base'

/** How the operating system's names map to the kinds of failure that callers tell apart; whatever is not here is EOTHER. */
const CODES: ReadonlyMap<string, IoErrorCode> = new Map<string, IoErrorCode>([
  ['ENOENT', 'ENOENT'],
  ['ENOTDIR', 'ENOENT'],
  ['EEXIST', 'EEXIST'],
  ['ENOTEMPTY', 'EEXIST'],
  ['ENOSPC', 'ENOSPC'],
  ['EDQUOT', 'ENOSPC'],
  ['EROFS', 'EROFS'],
  ['EMFILE', 'EMFILE'],
  ['ENFILE', 'EMFILE'],
  ['EACCES', 'EACCES'],
  ['EPERM', 'EACCES'],
  ['ENOMEM', 'ENOMEM'],
  ['EADDRINUSE', 'EADDRINUSE'],
  ['EIO', 'EIO'],
  // A folder in the place of a file, and what file systems say that found their own checksums wrong (libuv has no name for the last).
  ['EISDIR', 'EIO'],
  ['EILSEQ', 'EIO'],
  ['EBADMSG', 'EIO'],
  ['EUCLEAN', 'EIO'],
  ['Unknown system error -74', 'EIO'],
  ['Unknown system error -117', 'EIO'],
])

/** The outside world's failure as an {@link IoError}: the code by the operating system's name, the text for people. */
export function ioError(path: string, cause: unknown): IoError {
  if (cause instanceof IoError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  return new IoError(CODES.get(errnoName(cause)) ?? 'EOTHER', path, message, cause)
}

/** The failure of a call on something that was closed before. */
export function closedError(path: string): IoError {
  return new IoError('ECLOSED', path, 'it is closed')
}

function errnoName(cause: unknown): string {
  return typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : ''
}
