import assert from 'node:assert/strict'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compress } from '@millrace/records'
import type { Codec, Compute } from '@millrace/base'
import { ask, contractCases, withCode } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** A place for codecs under test. */
export interface ComputeHost extends ContractHost {
  readonly compute: Compute
}

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const COMPRESSED = CODECS.slice(1)

/** The rules of {@link Compute}. */
export function computeContract(make: () => Promise<ComputeHost>): ContractCase[] {
  return contractCases(make, RULES)
}

const RULES: Readonly<Record<string, (host: ComputeHost) => Promise<void>>> = {
  'what a codec compressed comes back': async (host) => {
    const content = sample(100_000)
    for (const codec of CODECS) {
      const inflated = await inflate(host, codec, compress(codec, content), 200_000)
      assert.deepEqual(Buffer.from(inflated), Buffer.from(content), codec)
    }
  },
  'the output may be as large as the limit, and not one byte larger': async (host) => {
    const content = sample(50_000)
    for (const codec of CODECS) {
      const bytes = compress(codec, content)
      assert.equal((await inflate(host, codec, bytes, 50_000)).length, 50_000, codec)
      await assert.rejects(() => inflate(host, codec, bytes, 49_999), withCode('EIO'), codec)
    }
  },
  'bytes that are not of the codec are an error': async (host) => {
    for (const codec of COMPRESSED) {
      for (const bytes of [new Uint8Array(0), new Uint8Array(40).fill(0xff), sample(500)]) {
        await assert.rejects(() => inflate(host, codec, bytes, 1 << 20), withCode('EIO'), codec)
      }
    }
  },
  'bytes that were cut short are an error': async (host) => {
    for (const codec of COMPRESSED) {
      const bytes = compress(codec, sample(10_000))
      const cut = bytes.subarray(0, bytes.length >> 1)
      await assert.rejects(() => inflate(host, codec, cut, 1 << 20), withCode('EIO'), codec)
    }
  },
  'a bomb does not go off': async (host) => {
    const content = new Uint8Array(64 * 1024 * 1024)
    for (const [codec, bomb] of [
      ['gzip', gzipSync(content, { level: 9 })],
      ['zstd', zstdCompressSync(content)],
    ] as const) {
      await assert.rejects(() => inflate(host, codec, bomb, 1 << 20), withCode('EIO'), codec)
    }
  },
}

function inflate(host: ComputeHost, codec: Codec, bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  return ask(host, (done) => host.compute.inflate(codec, bytes, limit, done))
}

/** Content that compresses, but not to nothing. */
function sample(size: number): Uint8Array {
  return new Uint8Array(size).map((_, at) => ((at * at) >> 7) & 0x3f)
}
