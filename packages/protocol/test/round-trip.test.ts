import { decode, encode, encodeToBytes } from '@millrace/schema'
import type { Schema } from '@millrace/schema'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { APIS, decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '../src/index.ts'
import { anyValue } from './values.ts'

const RUNS = 15

function versionsOf({ versions: [min, max] }: { readonly versions: readonly [number, number] }): number[] {
  return Array.from({ length: max - min + 1 }, (_, i) => min + i)
}

function returns(schema: Schema<unknown>, version: number): void {
  fc.assert(
    fc.property(anyValue(schema, version), (value) => {
      const bytes = encodeToBytes(schema, version, value)
      expect(decode(schema, version, bytes)).toEqual(value)
      expect(Buffer.concat(encode(schema, version, value)).equals(bytes)).toBe(true)
    }),
    { numRuns: RUNS },
  )
}

describe('whatever a version can hold comes back as it was', () => {
  test.each(APIS.map((api) => [api.name, api] as const))('%s', (_name, api) => {
    for (const version of versionsOf(api)) {
      returns(api.request, version)
      returns(api.response, version)
    }
    expect(versionsOf(api).length).toBeGreaterThan(0)
  })
})

describe('frames', () => {
  const someApi = fc
    .constantFrom(...APIS)
    .chain((api) => fc.constantFrom(...versionsOf(api)).map((version) => ({ api, version })))

  test('a request comes back with its header, whatever its API, client and correlation id', () => {
    const any = someApi.chain(({ api, version }) =>
      fc.tuple(fc.constant({ api, version }), anyValue(api.request, version)),
    )
    fc.assert(
      fc.property(any, fc.integer(), fc.option(fc.string()), ([{ api, version }, value], correlationId, clientId) => {
        const frame = Buffer.concat(encodeRequest(api, version, correlationId, clientId, value))
        expect(frame.readInt32BE(0)).toBe(frame.length - 4)
        const decoded = decodeRequest(frame.subarray(4))
        expect(decoded.value).toEqual(value)
        expect(decoded.header).toMatchObject({
          api,
          apiKey: api.key,
          apiVersion: version,
          correlationId,
          clientId,
          supported: true,
        })
      }),
      { numRuns: 300 },
    )
  })

  test('a response comes back with its correlation id', () => {
    const any = someApi.chain(({ api, version }) =>
      fc.tuple(fc.constant({ api, version }), anyValue(api.response, version)),
    )
    fc.assert(
      fc.property(any, fc.integer(), ([{ api, version }, value], correlationId) => {
        // To UNSUPPORTED_VERSION a client reads version 0, in which nothing else of an ApiVersions response is left.
        fc.pre((value as { errorCode?: number }).errorCode !== 35)
        const frame = Buffer.concat(encodeResponse(api, version, correlationId, value))
        expect(frame.readInt32BE(0)).toBe(frame.length - 4)
        expect(decodeResponse(api, version, frame.subarray(4))).toEqual({ correlationId, value })
      }),
      { numRuns: 300 },
    )
  })
})
