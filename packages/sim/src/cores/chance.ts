import type { Random } from '@millrace/base'

/** True `percent` times of a hundred. */
export function chance(random: Random, percent: number): boolean {
  return random.uint32() < (percent / 100) * 2 ** 32
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)] as T
}

/** The name of one weight, each as often as it weighs; null when all are 0. */
export function weighted(random: Random, weights: Readonly<Record<string, number>>): string | null {
  let total = 0
  for (const name in weights) total += weights[name] as number
  let at = random.below(Math.max(1, total))
  for (const name in weights) {
    at -= weights[name] as number
    if (at < 0) return name
  }
  return null
}
