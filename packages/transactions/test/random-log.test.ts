// A leader under random batches, markers, failed writes, truncations, expiry and restarts, beside a follower and the model.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { step, TwoReplicas } from './two-replicas.ts'

const RUNS = Number(process.env['RUNS'] ?? 1500)

test('leader and follower say of every log what reading all of it again says, whatever happened to it', () => {
  const seen = { accepted: 0, duplicate: 0, staged: 0, refused: 0, undone: 0, rebuilt: 0 }
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 120 }), fc.nat(3), (steps, forgets) => {
      const run = new TwoReplicas(forgets === 0)
      for (const one of steps) {
        run.do(one)
        run.compare()
      }
      for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += run.seen[key]
    }),
    { numRuns: RUNS },
  )
  expect(Math.min(...Object.values(seen)), `of ${JSON.stringify(seen)}`).toBeGreaterThan(RUNS / 10)
})
