import type { Random } from '@millrace/base'

/** The same seed gives the same numbers everywhere (xorshift128). */
export class SeededRandom implements Random {
  private a: number
  private b: number
  private c = 0x9e3779b9
  private d = 0x243f6a88

  constructor(seed: number) {
    this.a = seed | 0 || 1
    this.b = (seed / 2 ** 32) | 0
    for (let i = 0; i < 20; i++) this.uint32()
  }

  uint32(): number {
    let t = this.d
    const s = this.a
    this.d = this.c
    this.c = this.b
    this.b = s
    t ^= t << 11
    t ^= t >>> 8
    this.a = t ^ s ^ (s >>> 19)
    return this.a >>> 0
  }

  below(n: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * n)
  }

  /** True `percent` times of a hundred. */
  chance(percent: number): boolean {
    return this.uint32() < (percent / 100) * 2 ** 32
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.uint32() & 0xff
  }

  fork(label: string): SeededRandom {
    let hash = this.uint32()
    for (const character of label) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) | 0
    return new SeededRandom(hash >>> 0)
  }
}
