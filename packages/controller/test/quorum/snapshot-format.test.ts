import { describe, expect, it } from 'vitest'
import { decodeSnapshot, encodeSnapshot, type Snapshot } from '../../src/quorum/snapshot-format.ts'

const snapshot: Snapshot = {
  index: 1234,
  term: 7,
  clusterId: 'AAAAAAAAAAAAAAAAAAAABQ',
  voters: [
    { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAw' },
    { id: 2, directoryId: 'AAAAAAAAAAAAAAAAAAAABA' },
  ],
  content: Uint8Array.from({ length: 300 }, (_, at) => at & 255),
}

function file(of: Snapshot): Uint8Array {
  return Uint8Array.from(encodeSnapshot(of).flatMap((part) => [...part]))
}

describe('a snapshot file', () => {
  it('gives back what was written, an empty content too', () => {
    expect(decodeSnapshot(file(snapshot))).toEqual({ kind: 'valid', snapshot })
    const empty = { ...snapshot, content: new Uint8Array(0), voters: [] }
    expect(decodeSnapshot(file(empty))).toEqual({ kind: 'valid', snapshot: empty })
  })

  it('is damaged when any one bit is flipped, and never of the future', () => {
    const whole = file(snapshot)
    for (let at = 0; at < whole.length; at++)
      for (let bit = 0; bit < 8; bit++) {
        const flipped = whole.slice()
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        expect(decodeSnapshot(flipped).kind).toBe('damaged')
      }
  })

  it('is damaged when it ends early or late', () => {
    const whole = file(snapshot)
    for (let length = 0; length < whole.length; length++)
      expect(decodeSnapshot(whole.subarray(0, length)).kind).toBe('damaged')
    expect(decodeSnapshot(Uint8Array.from([...whole, 0])).kind).toBe('damaged')
    expect(decodeSnapshot(new Uint8Array(1000)).kind).toBe('damaged')
  })
})
