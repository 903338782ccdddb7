import { describe, expect, it } from 'vitest'
import { Life } from './life.ts'

describe('a log through seeded lives with power cuts', () => {
  const seeds = Number(process.env['SEEDS'] ?? 60)
  const first = Number(process.env['SEED'] ?? 1)
  it.each(Array.from({ length: seeds }, (_, i) => first + i))('keeps what it promised, seed %i', (seed) => {
    const life = new Life(seed)
    life.live(250)
    expect(life.crashes).toBeGreaterThan(0)
  })
})
