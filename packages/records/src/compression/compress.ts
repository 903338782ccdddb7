import { type Codec, unreachable } from '@millrace/base'
import { constants, gzip, gzipSync, zstdCompress, zstdCompressSync } from 'node:zlib'
import { compressLz4 } from './lz4.ts'
import { compressSnappy } from './snappy.ts'

/** Compresses a records section in this turn. `level` is gzip's or zstd's own; their defaults where absent. */
export function compress(codec: Codec, bytes: Uint8Array, level?: number): Uint8Array {
  switch (codec) {
    case 'none':
      return bytes
    case 'gzip':
      return gzipSync(bytes, gzipOptions(level))
    case 'snappy':
      return compressSnappy(bytes)
    case 'lz4':
      return compressLz4(bytes)
    case 'zstd':
      return zstdCompressSync(bytes, zstdOptions(level))
    default:
      return unreachable(codec, 'codec')
  }
}

/** The same off the main thread where that pays (gzip, zstd); `done` never runs inside the call. */
export function compressAsync(
  codec: Codec,
  bytes: Uint8Array,
  level: number | undefined,
  done: (error: unknown, packed: Uint8Array) => void,
): void {
  if (codec === 'gzip') gzip(bytes, gzipOptions(level), done)
  else if (codec === 'zstd') zstdCompress(bytes, zstdOptions(level), done)
  else void Promise.resolve().then(() => done(null, compress(codec, bytes, level)))
}

function gzipOptions(level: number | undefined): { level?: number } {
  return level === undefined ? {} : { level }
}

function zstdOptions(level: number | undefined): { params?: Record<number, number> } {
  return level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } }
}
