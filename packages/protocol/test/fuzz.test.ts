import { DecodeError } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '../src/index.ts'
import { goldenFrames } from './golden/frames.ts'
import type { GoldenFrame } from './golden/frames.ts'

/** Mutants per recorded frame; FUZZ raises it for a long run. */
const MUTANTS = Number(process.env['FUZZ'] ?? 60)
const SEED = Number(process.env['SEED'] ?? 20_261_123)

/** Numerical Recipes' generator: the point is only that a seed repeats the run. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 0x1_0000_0000) * below)
  }
}

const EXTREMES = [0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe]

function mutant(frame: Uint8Array, below: (n: number) => number): Uint8Array {
  const bytes = [...frame]
  for (let changes = 1 + below(3); changes > 0; changes--) {
    const at = below(bytes.length || 1)
    const kind = below(6)
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
    else if (kind === 1) bytes[at] = EXTREMES[below(EXTREMES.length)] as number
    else if (kind === 2) bytes.splice(at, 1 + below(4))
    else if (kind === 3) bytes.splice(at, 0, ...bytes.slice(at, at + 1 + below(8)))
    else if (kind === 4) bytes.length = at
    else for (let i = 0; i < 4; i++) bytes[at + i] = EXTREMES[below(EXTREMES.length)] as number
  }
  return Uint8Array.from(bytes)
}

/** Decodes, and encodes again what decoded; false when it was refused. */
function survives({ api, version, direction }: GoldenFrame, bytes: Uint8Array): boolean {
  try {
    if (direction === 'request') {
      const { header, value } = decodeRequest(bytes)
      if (header.supported) encodeRequest(header.api, header.apiVersion, header.correlationId, header.clientId, value)
    } else {
      const { correlationId, value } = decodeResponse(api, version, bytes)
      encodeResponse(api, version, correlationId, value)
    }
    return true
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw new Error(`seed ${SEED}: ${api.name} ${version} ${direction} ${Buffer.from(bytes).toString('hex')}`, {
      cause: error,
    })
  }
}

describe(`recorded frames, damaged (seed ${SEED})`, () => {
  const frames = goldenFrames().filter(({ api, version }) => version <= api.versions[1])

  test('give a value that can be encoded, or a DecodeError, and never anything else', { timeout: 600_000 }, () => {
    const below = random(SEED)
    const before = process.memoryUsage().rss
    let refused = 0
    let decoded = 0
    for (const golden of frames)
      for (let i = 0; i < MUTANTS; i++) {
        if (survives(golden, mutant(golden.frame, below))) decoded++
        else refused++
      }
    expect(refused).toBeGreaterThan(frames.length)
    expect(decoded).toBeGreaterThan(frames.length)
    // A lie about a length that were believed once would cost gigabytes.
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024)
  })

  test('that are cut at any byte are refused', () => {
    for (const golden of frames.filter(({ frame }) => frame.length < 300))
      for (let end = 0; end < golden.frame.length; end++)
        expect(survives(golden, golden.frame.subarray(0, end))).toBe(false)
  })
})
