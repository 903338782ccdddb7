import { inflate, inflateAsync, InvalidBatch } from '@millrace/records'
import { IoError } from '@millrace/base'
import type { Codec, Compute, Done } from '@millrace/base'

/**
 * Decompression. gzip and zstd run on the thread pool, snappy and LZ4 in a later turn of this thread, because handing their bytes over
 * costs more than the work. No codec makes more than `limit` bytes, whatever the input claims.
 */
export class NodeCompute implements Compute {
  inflate(codec: Codec, bytes: Uint8Array, limit: number, done: Done<Uint8Array>): void {
    if (codec !== 'gzip' && codec !== 'zstd') return void setImmediate(() => this.inflateNow(codec, bytes, limit, done))
    inflateAsync(codec, bytes, limit, (error, inflated) => {
      if (error === null) done(null, inflated)
      else done(notInflated(codec, error), NOTHING)
    })
  }

  // eslint-disable-next-line max-params -- as the call it stands for
  private inflateNow(codec: Codec, bytes: Uint8Array, limit: number, done: Done<Uint8Array>): void {
    let inflated: Uint8Array
    try {
      inflated = inflate(codec, bytes, limit)
      if (inflated.length > limit) throw new InvalidBatch(10, `more than ${limit} bytes`)
    } catch (error) {
      return done(notInflated(codec, error), NOTHING)
    }
    done(null, inflated)
  }
}

const NOTHING = new Uint8Array(0)

function notInflated(codec: Codec, cause: unknown): IoError {
  return new IoError('EIO', codec, cause instanceof Error ? cause.message : String(cause), cause)
}
