import { type Codec, ErrorCode, unreachable } from '@millrace/base'
import { gunzip, gunzipSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'
import { InvalidBatch } from '../errors.ts'
import { inflateLz4 } from './lz4.ts'
import { inflateSnappy } from './snappy.ts'

/**
 * Inflates a records section in this turn, to at most `limit` bytes. Throws {@link InvalidBatch}: 10 when the bytes hold more than
 * the limit, 87 when they are not of the codec. `none` gives the bytes themselves. Of several zstd or LZ4 frames the first is read.
 */
export function inflate(codec: Codec, bytes: Uint8Array, limit: number): Uint8Array {
  switch (codec) {
    case 'none':
      return bytes
    case 'gzip':
      return zlib(codec, limit, () => gunzipSync(bytes, { maxOutputLength: Math.max(limit, 1) }))
    case 'snappy':
      return inflateSnappy(bytes, limit)
    case 'lz4':
      return inflateLz4(bytes, limit)
    case 'zstd':
      return zlib(codec, limit, () => zstdDecompressSync(bytes, { maxOutputLength: Math.max(limit, 1) }))
    default:
      return unreachable(codec, 'codec')
  }
}

/** The same off the main thread where that pays (gzip, zstd). `done` never runs inside the call. */
export function inflateAsync(
  codec: Codec,
  bytes: Uint8Array,
  limit: number,
  done: (error: InvalidBatch | null, inflated: Uint8Array) => void,
): void {
  const finish = (error: Error | null, inflated: Uint8Array): void =>
    error === null ? done(null, inflated) : done(failure(codec, limit, error), bytes)
  if (codec === 'gzip') gunzip(bytes, { maxOutputLength: Math.max(limit, 1) }, finish)
  else if (codec === 'zstd') zstdDecompress(bytes, { maxOutputLength: Math.max(limit, 1) }, finish)
  else
    void Promise.resolve().then(() => {
      const outcome = attempt(codec, bytes, limit)
      done(outcome.error, outcome.inflated)
    })
}

function attempt(codec: Codec, bytes: Uint8Array, limit: number): { error: InvalidBatch | null; inflated: Uint8Array } {
  try {
    return { error: null, inflated: inflate(codec, bytes, limit) }
  } catch (error) {
    if (error instanceof InvalidBatch) return { error, inflated: bytes }
    throw error
  }
}

function zlib(codec: Codec, limit: number, run: () => Uint8Array): Uint8Array {
  try {
    return run()
  } catch (error) {
    throw failure(codec, limit, error as Error)
  }
}

function failure(codec: Codec, limit: number, error: Error): InvalidBatch {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    ? new InvalidBatch(ErrorCode.MESSAGE_TOO_LARGE, `${codec} bytes hold more than the limit of ${limit} bytes`, error)
    : new InvalidBatch(ErrorCode.INVALID_RECORD, `${codec}: ${error.message}`, error)
}
