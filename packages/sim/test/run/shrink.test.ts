import { describe, expect, it } from 'vitest'
import type { Act } from '../../src/run/act.ts'
import { CALM_DISK, CALM_NETWORK, drawPlan, type Plan } from '../../src/run/plan.ts'
import { ddmin, shrink } from '../../src/run/shrink.ts'

const breaks = (atUs: number): Act => ({ kind: 'break', atUs, from: 'node1', to: 'node2' })
const acts = Array.from({ length: 37 }, (_, at) => breaks(at))

describe('reducing', () => {
  it('finds the acts that are needed together, and no other', async () => {
    const needed = [acts[3], acts[19], acts[36]] as Act[]
    const kept = await ddmin(acts, async (some) => needed.every((act) => some.includes(act)))
    expect(kept).toEqual(needed)
  })

  it('keeps nothing when nothing is needed', async () => {
    expect(await ddmin(acts, async () => true)).toEqual([])
  })

  it('keeps everything when everything is needed', async () => {
    expect(await ddmin(acts, async (some) => some.length === acts.length)).toEqual(acts)
  })

  it('drops kinds of faults, rates, clients and what comes after the violation', async () => {
    const plan = { ...drawPlan(busySeed()), lost: [1] }
    const [first] = plan.acts.filter(({ kind }) => kind === 'kill') as [Act]
    const fails = async (candidate: Plan): Promise<boolean> => candidate.acts.some(({ atUs }) => atUs === first.atUs)
    const small = await shrink(plan, first.atUs + 5, fails)
    expect(small.acts).toEqual([first])
    expect(small.horizonUs).toBe(first.atUs + 6)
    expect(small.network).toEqual(CALM_NETWORK)
    expect(small.disk).toEqual(CALM_DISK)
    expect(small.clients.count).toBe(1)
    expect(small.clients.topics).toHaveLength(1)
    expect(small.lost).toEqual([])
  })
})

/** A seed whose plan kills and does other things too. */
function busySeed(): number {
  for (let seed = 1; ; seed++) {
    const kinds = drawPlan(seed).acts.map(({ kind }) => kind)
    if (kinds.includes('kill') && new Set(kinds).size > 3) return seed
  }
}
