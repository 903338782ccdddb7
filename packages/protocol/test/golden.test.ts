import { describe, expect, test } from 'vitest'
import {
  APIS,
  ApiVersionsApi,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  encodeUnsupportedApiVersions,
} from '../src/index.ts'
import { goldenFrames } from './golden/frames.ts'
import type { GoldenFrame } from './golden/frames.ts'

const served = goldenFrames().filter(({ api, version }) => version <= api.versions[1])

function hex(parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString('hex')
}

function again({ api, version, direction, frame }: GoldenFrame): Uint8Array[] {
  if (direction === 'request') {
    const { header, value } = decodeRequest(frame)
    return encodeRequest(api, header.apiVersion, header.correlationId, header.clientId, value)
  }
  const { correlationId, value } = decodeResponse(api, version, frame)
  return encodeResponse(api, version, correlationId, value)
}

function framed(frame: Uint8Array): string {
  const length = Buffer.alloc(4)
  length.writeInt32BE(frame.length)
  return hex([length, frame])
}

describe("frames of other people's programs decode, and encode again to the same bytes", () => {
  for (const api of APIS)
    test(`of ${api.name}`, () => {
      const frames = served.filter((one) => one.api === api)
      expect(frames.length).toBeGreaterThan(0)
      for (const one of frames)
        expect(hex(again(one)), `version ${one.version} ${one.direction} of ${one.client}`).toBe(framed(one.frame))
    })

  test('they cover every version in both directions, but two requests that no program sends any more', () => {
    const seen = new Set(served.map(({ api, version, direction }) => `${api.name} ${version} ${direction}`))
    const missing = APIS.flatMap(({ name, versions: [min, max] }) =>
      Array.from({ length: max - min + 1 }, (_, i) => [
        `${name} ${min + i} request`,
        `${name} ${min + i} response`,
      ]).flat(),
    ).filter((kind) => !seen.has(kind))
    expect(missing).toEqual(['OffsetForLeaderEpoch 2 request', 'AlterConfigs 2 request'])
  })
})

test("the answer to an ApiVersions request that is too new is Kafka's, byte for byte", () => {
  const [theirs] = goldenFrames().filter(({ api, version }) => api === ApiVersionsApi && version === 9)
  expect(theirs).toBeDefined()
  expect(hex(encodeUnsupportedApiVersions(7))).toBe(framed(theirs?.frame ?? new Uint8Array(0)))
})
