import { afterAll, describe, expect, it } from 'vitest'
import { Simulation } from './simulation.ts'

const EVENTS = 30_000
const totals = { events: 0, checks: 0, seconds: 0, committed: 0, reads: 0 }
const counts = new Map<string, number>()

/** Runs one storm and what follows it; the answer is the number of entries that were committed. */
function storm(seed: number): number {
  const simulation = new Simulation(seed, seed % 2 === 0 ? 3 : 5)
  const began = performance.now()
  try {
    for (let at = 0; at < EVENTS; at++) simulation.step()
    simulation.converge(600)
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    throw new Error(`${simulation.describe()}: ${what}`, { cause: error })
  }
  totals.seconds += (performance.now() - began) / 1000
  totals.events += simulation.events
  totals.checks += simulation.group.invariants.checks
  totals.committed += simulation.group.invariants.committedEntries.length
  totals.reads += simulation.confirmedReads
  for (const [name, count] of simulation.counts) counts.set(name, (counts.get(name) ?? 0) + count)
  return simulation.group.invariants.committedEntries.length
}

const fixed = Array.from({ length: 60 }, (_, at) => at + 1)
const first = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const fresh = Array.from({ length: Number(process.env['MILLRACE_SEEDS'] ?? 20) }, (_, at) => first + at)

describe('a group in a storm keeps every invariant and converges once it is over', () => {
  it.each(fixed)('with seed %i', (seed) => {
    expect(storm(seed)).toBeGreaterThan(1)
  })

  it(`with fresh seeds from ${first}`, { timeout: 600_000 }, () => {
    process.stdout.write(`raft simulation: fresh seeds from ${first} (MILLRACE_SEED=${first} repeats them)\n`)
    for (const seed of fresh) expect(storm(seed)).toBeGreaterThan(1)
  })

  it('and the storms together did everything', () => {
    const wanted = ['crash', 'restart', 'wipe', 'voters added', 'voters removed', 'transfer', 'breakLink', 'fetch']
    expect(wanted.filter((name) => (counts.get(name) ?? 0) < 10)).toEqual([])
    expect(totals.committed).toBeGreaterThan(10_000)
    expect(totals.reads).toBeGreaterThan(1000)
  })

  afterAll(() => {
    const rate = Math.round(totals.events / totals.seconds)
    process.stdout.write(
      `raft simulation: ${totals.events} events, ${totals.checks} checks, ${totals.committed} entries committed, ` +
        `${totals.reads} rounds confirmed, ${totals.seconds.toFixed(1)} s, ${rate} events/s\n` +
        `${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}\n`,
    )
  })
})
