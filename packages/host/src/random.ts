import { randomFillSync } from 'node:crypto'
import { assert } from '@millrace/base'
import type { Random } from '@millrace/base'

const TWO_32 = 2 ** 32

/** The state of xoshiro128**: four words, not all zero. */
type Words = Uint32Array

/** The machine's source of chance: `fill` is fit for ids and secrets, the numbers are fast and seeded from the same source. */
export class CryptoRandom implements Random {
  private readonly words: Words = randomFillSync(new Uint32Array(4))

  uint32(): number {
    return next(this.words)
  }

  below(n: number): number {
    return below(this.words, n)
  }

  fill(into: Uint8Array): void {
    randomFillSync(into)
  }

  fork(_label: string): Random {
    return new CryptoRandom()
  }
}

/**
 * A source of chance that is a function of its seed. A fork depends on the seed, the label and how many forks had that label before, but
 * not on what was drawn, so a new draw in one place does not change the numbers of another.
 */
export class SeededRandom implements Random {
  private readonly seed: string
  private readonly words: Words
  private readonly forks = new Map<string, number>()

  constructor(seed: string) {
    this.seed = seed
    this.words = wordsOf(seed)
  }

  uint32(): number {
    return next(this.words)
  }

  below(n: number): number {
    return below(this.words, n)
  }

  fill(into: Uint8Array): void {
    for (let at = 0; at < into.length; at += 4) {
      const word = this.uint32()
      for (let i = 0; i < 4 && at + i < into.length; i++) into[at + i] = word >>> (8 * i)
    }
  }

  fork(label: string): Random {
    const count = (this.forks.get(label) ?? 0) + 1
    this.forks.set(label, count)
    return new SeededRandom(`${this.seed}/${label}#${count}`)
  }
}

/** Blackman and Vigna's xoshiro128**, version 1.1. */
function next(words: Words): number {
  const [a, b, c, d] = words as unknown as [number, number, number, number]
  const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
  const third = c ^ a
  const fourth = d ^ b
  words[0] = a ^ fourth
  words[1] = b ^ third
  words[2] = third ^ (b << 9)
  words[3] = rotate(fourth, 11)
  return result
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

/** Uniform: what lies past the last whole multiple of `n` is drawn again. */
function below(words: Words, n: number): number {
  assert(Number.isSafeInteger(n) && n > 0, `cannot draw a number below ${n}`)
  if (n > TWO_32) return belowLarge(words, n)
  const limit = TWO_32 - (TWO_32 % n)
  for (;;) {
    const word = next(words)
    if (word < limit) return word % n
  }
}

function belowLarge(words: Words, n: number): number {
  const range = 2 ** 53
  const limit = range - (range % n)
  for (;;) {
    const value = (next(words) >>> 11) * TWO_32 + next(words)
    if (value < limit) return value % n
  }
}

/** FNV-1a over the seed's characters from four beginnings, whitened with the finaliser of MurmurHash3. */
function wordsOf(seed: string): Words {
  const words = new Uint32Array(4)
  for (let at = 0; at < 4; at++) {
    let hash = 0x811c9dc5 ^ Math.imul(at, 0x9e3779b9)
    for (let from = 0; from < seed.length; from++) hash = Math.imul(hash ^ seed.charCodeAt(from), 0x01000193)
    words[at] = finalise(hash)
  }
  if (words.every((word) => word === 0)) words[0] = 1
  return words
}

function finalise(word: number): number {
  let mixed = word ^ (word >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
