import type { ErrorCode } from '@millrace/base'

/**
 * The one error that reading batches, records or compressed bytes throws: the bytes are not what they claim to be. `code` is the
 * protocol outcome that a client which sent them gets (87 INVALID_RECORD, 2 CORRUPT_MESSAGE, 76 UNSUPPORTED_COMPRESSION_TYPE or
 * 10 MESSAGE_TOO_LARGE).
 */
export class InvalidBatch extends Error {
  override readonly name = 'InvalidBatch'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}
