import type { Random } from '@millrace/base'

/** Chance that repeats with its seed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  const uint32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    uint32,
    below: (n) => uint32() % n,
    fill(into) {
      for (let i = 0; i < into.length; i++) into[i] = uint32() & 0xff
    },
    fork: (label) => seeded(uint32() ^ label.length),
  }
}
