import type { Random } from '@millrace/base'

/** Draws in the forms that a plan needs. */
export class Draw {
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  /** A whole number in [least, most]. */
  between(least: number, most: number): number {
    return least + this.random.below(most - least + 1)
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.random.below(100) < percent
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)] as T
  }

  /** Each with the same chance, in the order of `from`. */
  subset<T>(from: readonly T[], percent: number): T[] {
    return from.filter(() => this.chance(percent))
  }

  /** One of the names, by weight. */
  weighted<T extends string>(weights: Readonly<Partial<Record<T, number>>>): T {
    const entries = Object.entries(weights) as [T, number][]
    let at = this.random.below(entries.reduce((sum, [, weight]) => sum + weight, 0))
    for (const [name, weight] of entries) {
      if (at < weight) return name
      at -= weight
    }
    return (entries[0] as [T, number])[0]
  }

  /** Zero in `percent` of 100 cases, else up to `most`, with small numbers as likely as large ones (swarm rates). */
  rate(percent: number, most: number): number {
    if (this.chance(percent)) return 0
    const bits = Math.ceil(Math.log2(most + 1))
    return Math.min(most, this.between(0, 2 ** this.between(1, bits)))
  }

  /** A duration with that mean, from a tenth of it to three times of it. */
  around(mean: number): number {
    const low = Math.max(1, Math.floor(mean / 10))
    return this.chance(50) ? this.between(low, mean) : this.between(mean, mean * 3)
  }
}
