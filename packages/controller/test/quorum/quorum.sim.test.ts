import { afterAll, describe, expect, it } from 'vitest'
import { QuorumSimulation } from './sim/quorum-simulation.ts'

const STEPS = 1500
const totals = { events: 0, seconds: 0, virtualSeconds: 0, committed: 0 }
const counts = new Map<string, number>()

function storm(seed: number): QuorumSimulation {
  const simulation = new QuorumSimulation(seed, [1, 3, 3, 3, 5][seed % 5] as number)
  const began = performance.now()
  try {
    simulation.storm(STEPS)
    simulation.converge()
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    throw new Error(`seed ${seed}: ${what}`, { cause: error })
  }
  totals.seconds += (performance.now() - began) / 1000
  totals.events += simulation.schedule.events
  totals.virtualSeconds += simulation.schedule.nowUs / 1e6
  totals.committed += simulation.committed
  for (const [name, count] of simulation.counts) counts.set(name, (counts.get(name) ?? 0) + count)
  return simulation
}

const fixed = Array.from({ length: 30 }, (_, at) => at + 1)
const first = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const fresh = Array.from({ length: Number(process.env['MILLRACE_SEEDS'] ?? 10) }, (_, at) => first + at)

describe('quorum members on disks that forget and a network that breaks agree, and serve again afterwards', () => {
  it.each(fixed)('with seed %i', (seed) => {
    expect(storm(seed).committed).toBeGreaterThan(0)
  })

  it(`with fresh seeds from ${first}`, { timeout: 600_000 }, () => {
    process.stdout.write(`quorum simulation: fresh seeds from ${first} (MILLRACE_SEED=${first} repeats them)\n`)
    for (const seed of fresh) expect(storm(seed).committed).toBeGreaterThan(0)
  })

  it('and the same seed gives the same run', () => {
    expect(storm(7).fingerprint).toBe(storm(7).fingerprint)
  })

  it('and a leader that dies is replaced long before an election timeout, of one second here', () => {
    const times = Array.from({ length: 40 }, (_, seed) => new QuorumSimulation(1000 + seed, 3).failoverMs())
    const sorted = times.toSorted((a, b) => a - b)
    process.stdout.write(`quorum simulation: failover ${sorted[20]} ms in the middle, ${sorted.at(-1)} ms at worst\n`)
    expect(sorted[36]).toBeLessThan(400)
  })

  it('and the storms together did everything', () => {
    const wanted = ['powerCut', 'crash', 'restart', 'wiped', 'damaged', 'flipped', 'forgot', 'stall', 'stop', 'cut']
    expect(wanted.filter((name) => (counts.get(name) ?? 0) === 0)).toEqual([])
  })

  afterAll(() => {
    process.stdout.write(
      `quorum simulation: ${totals.events} events, ${totals.virtualSeconds.toFixed(0)} virtual seconds, ` +
        `${totals.committed} entries, ${totals.seconds.toFixed(1)} s, ${Math.round(totals.events / totals.seconds)} events/s\n` +
        `${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}\n`,
    )
  })
})
