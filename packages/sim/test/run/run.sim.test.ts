import { describe, expect, it } from 'vitest'
import type { Act } from '../../src/run/act.ts'
import { CALM_DISK, CALM_NETWORK, drawPlan, type Plan } from '../../src/run/plan.ts'
import { runPlan } from '../../src/run/run.ts'

const S = 1_000_000
const acts: readonly Act[] = [
  { kind: 'kill', atUs: 3 * S, forUs: S, nodes: [1] },
  { kind: 'power-cut', atUs: 4 * S, forUs: S, nodes: [2] },
  { kind: 'cut', atUs: 6 * S, forUs: S, from: ['node3'], to: ['node1', 'node2'], bothWays: true },
  { kind: 'pause', atUs: 7 * S, forUs: 2 * S, nodes: [1] },
]

/** Three nodes, one topic of three replicas, nothing but the given acts. */
function small(changes: Partial<Plan> = {}): Plan {
  const drawn = drawPlan(1)
  return {
    ...drawn,
    nodes: [1, 2, 3].map((id) => ({ id, broker: true, controller: true, driftPpm: 0, wallOffsetMs: 0 })),
    clients: { count: 2, topics: [{ name: 'topic-1', partitions: 2, replicas: 3, minInSync: 2 }] },
    network: CALM_NETWORK,
    disk: CALM_DISK,
    horizonUs: 10 * S,
    acts: [],
    lost: [],
    ...changes,
  }
}

describe('a run', () => {
  it('of a healthy cluster breaks nothing and acknowledges much', async () => {
    const report = await runPlan(small())
    expect(report.violation).toBeNull()
    expect(report.counts.acked).toBeGreaterThan(50)
    expect(report.counts.valuesRead).toBeGreaterThan(report.counts.acked)
    expect(report.counts.incarnations).toBe(3)
    expect(report.faults).toEqual({})
  }, 60_000)

  it('through deaths, a partition and a pause breaks nothing, and tells what happened', async () => {
    const report = await runPlan(small({ acts }), { storyLines: 5_000 })
    expect(report.violation).toBeNull()
    expect(report.faults).toEqual({ kill: 1, 'power-cut': 1, cut: 1, pause: 1 })
    expect(report.counts.incarnations).toBe(5)
    const story = report.story.map(({ who, text }) => `${who}: ${text}`)
    expect(story).toContain('nemesis: kill of node1 for 1.0 s')
    expect(story).toContain('node2: power-cut')
    expect(story.some((line) => line.startsWith('client-1: send topic-1-0 acks=all'))).toBe(true)
  }, 60_000)

  it('gives the same digest for the same plan, and another one for another seed', async () => {
    const digest = async (seed: number): Promise<string> => (await runPlan({ ...small({ acts }), seed })).digest
    const [first, again, other] = [await digest(5), await digest(5), await digest(6)]
    expect(again).toBe(first)
    expect(other).not.toBe(first)
  }, 60_000)

  it('without a node does with those that are left, and takes it in when it is back', async () => {
    const report = await runPlan(small({ lost: [2] }), { storyLines: 5_000 })
    expect(report.violation).toBeNull()
    const story = report.story.map(({ who, text }) => `${who}: ${text}`)
    expect(story).toContain('nemesis: everything heals but node2')
    expect(story).toContain('node2: n2#2 begins')
  }, 60_000)

  it('in which something never comes to be ends in a violation with a story', async () => {
    const topics = [{ name: 'too-wide', partitions: 1, replicas: 5, minInSync: 1 }]
    const report = await runPlan(small({ clients: { count: 1, topics }, horizonUs: S }))
    expect(report.violation).toMatchObject({
      invariant: 'liveness',
      detail: '90 s after all was healed: too-wide does not exist',
    })
    expect(report.story).toHaveLength(60)
  }, 60_000)
})
