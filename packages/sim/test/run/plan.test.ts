import { readNodeConfig } from '@millrace/server'
import { describe, expect, it } from 'vitest'
import { ACT_KINDS, tellAct } from '../../src/run/act.ts'
import { drawPlan, propertiesOf } from '../../src/run/plan.ts'

const plans = Array.from({ length: 300 }, (_, seed) => drawPlan(seed))

describe('a plan', () => {
  it('is a function of its seed', () => {
    expect(drawPlan(17)).toEqual(drawPlan(17))
    expect(JSON.stringify(drawPlan(17))).not.toBe(JSON.stringify(drawPlan(18)))
  })

  it('survives being kept as JSON', () => {
    for (const plan of plans) expect(JSON.parse(JSON.stringify(plan))).toEqual(plan)
  })

  it('gives every node a configuration without problems', () => {
    for (const plan of plans)
      for (const { id } of plan.nodes) expect(readNodeConfig(propertiesOf(plan, id), `node${id}`).problems).toEqual([])
  })

  it('has acts in the order of time, before the horizon, of nodes that exist', () => {
    for (const { acts, nodes, horizonUs } of plans) {
      const ids = nodes.map(({ id }) => id)
      const times = acts.map(({ atUs }) => atUs)
      expect(times).toEqual(times.toSorted((a, b) => a - b))
      expect(times.every((atUs) => Number.isSafeInteger(atUs) && atUs >= 0 && atUs < horizonUs + 20_000_000)).toBe(true)
      const named = acts.flatMap((act) => ('nodes' in act ? act.nodes : 'node' in act ? [act.node] : []))
      expect(named.filter((id) => !ids.includes(id))).toEqual([])
      expect(acts.map(tellAct).filter((text) => text.includes('undefined'))).toEqual([])
    }
  })

  it('draws every kind of fault, every size of cluster, and runs without faults', () => {
    const kinds = new Set(plans.flatMap(({ acts }) => acts.map(({ kind }) => kind)))
    expect([...kinds].sort()).toEqual([...ACT_KINDS].sort())
    expect(new Set(plans.map(({ nodes }) => nodes.length))).toEqual(new Set([1, 3, 5, 6]))
    expect(plans.filter(({ acts }) => acts.length === 0).length).toBeGreaterThan(5)
  })

  it('lays tapes over each other in some runs: more faults a second than one tape has', () => {
    const rates = plans.map(({ acts, horizonUs }) => (acts.length / horizonUs) * 1e6)
    const crowded = rates.filter((rate) => rate > 0.75).length
    expect(crowded).toBeGreaterThan(5)
    expect(crowded).toBeLessThan(30)
  })

  it('cuts no power where the page cache is all that was promised', () => {
    const unsynced = plans.filter(({ properties }) => properties['flush.mode'] === 'pagecache')
    expect(unsynced.length).toBeGreaterThan(10)
    expect(unsynced.flatMap(({ acts }) => acts).filter(({ kind }) => kind === 'power-cut')).toEqual([])
  })
})
