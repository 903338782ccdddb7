import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { RandomWorld } from './random-world.ts'
import type { Step } from './random-world.ts'

/** Kinds of steps, and how often each is done. */
function steps(weights: Partial<Record<Step['kind'], number>>): fc.Arbitrary<Step[]> {
  const kinds = Object.entries(weights).map(([kind, weight]) => ({
    weight,
    arbitrary: fc.constant(kind as Step['kind']),
  }))
  const step = fc.record({
    kind: fc.oneof(...kinds),
    client: fc.integer({ min: 0, max: 7 }),
    amount: fc.integer({ min: 0, max: 99 }),
  })
  return fc.array(step, { minLength: 20, maxLength: 150, size: 'max' })
}

const CLASSIC = {
  join: 12,
  sync: 10,
  heartbeat: 4,
  commit: 4,
  commitByHand: 1,
  leave: 1,
  restart: 1,
  advance: 6,
  stall: 1,
}
const TAKEOVER = { reload: 2, lostAppend: 2, delete: 2 }

test.each([
  ['classic groups', CLASSIC],
  ['classic groups whose coordinators come and go', { ...CLASSIC, ...TAKEOVER }],
  ['groups of both types', { ...CLASSIC, ...TAKEOVER, join: 6, sync: 5, beat: 12, leave: 4 }],
])(
  'whatever the clients of %s do, members agree, nothing committed is lost, everybody is answered once, and the log tells all',
  (_, weights) => {
    let answered = 0
    fc.assert(
      fc.property(steps(weights), (all) => {
        const world = new RandomWorld()
        for (const step of all) world.do(step)
        world.end()
        answered += world.answered
      }),
      { numRuns: 60 },
    )
    expect(answered).toBeGreaterThan(1000)
  },
  60_000,
)
