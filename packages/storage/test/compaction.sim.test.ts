import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { latestOf, recordsOf, reopen, settle, COMPACTED, keyedBatch, UNLIMITED } from './compaction-fixture.ts'
import { CompactionLife, type Operation } from './compaction-life.ts'
import { createLog, type Opened, openDirectory, readAll } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'
import type { PartitionLog } from '../src/index.ts'

const share = fc.double({ min: 0, max: 1, noNaN: true })
const append: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constant('append' as const),
  batches: fc.integer({ min: 1, max: 25 }),
  keys: fc.integer({ min: 1, max: 12 }),
  shape: fc.integer({ min: 0, max: 3 }),
})
const crash: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constant('crash' as const),
  how: fc.constantFrom('power' as const, 'worst' as const, 'process' as const),
  starts: fc.integer({ min: 0, max: 2 }),
})
const plain = fc.constantFrom(
  'commit' as const,
  'checkpoint' as const,
  'compact' as const,
  'wait' as const,
  'idle' as const,
)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: append },
  { weight: 8, arbitrary: fc.record({ kind: plain }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('run' as const), us: fc.integer({ min: 0, max: 8000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('truncate' as const, 'advance' as const), share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
  { weight: 2, arbitrary: crash },
)

/** Commits and compacts often, so that few runs end without a pass. */
function lived(seed: number, operations: readonly Operation[]): CompactionLife {
  const life = new CompactionLife(seed)
  for (const each of operations) {
    life.do(each)
    if (each.kind !== 'wait') continue
    for (const kind of ['commit', 'checkpoint'] as const) life.do({ kind })
    life.do({ kind: 'run', us: 30_000 })
    life.do({ kind: 'compact' })
  }
  life.check()
  life.do({ kind: 'crash', how: 'power', starts: 0 })
  return life
}

describe('a compacted log', () => {
  it('leads a reader to the last value of each key, whatever happens to it', () => {
    let gone = 0
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1 << 20 }),
        fc.array(operation, { minLength: 10, maxLength: 60 }),
        (seed, list) => {
          gone += lived(seed, list).gone
        },
      ),
      {
        numRuns: Number(process.env['RUNS'] ?? 80),
        seed: Number(process.env['SEED'] ?? 1),
        interruptAfterTimeLimit: 60_000,
      },
    )
    expect(gone).toBeGreaterThan(1000)
  }, 120_000)
})

describe('a crash at any step of a pass', () => {
  interface Made extends Opened {
    readonly log: PartitionLog
  }
  /** Journaled: all of the log is still in the journal, and a start replays it. */
  function made(journaled = false): Made {
    const opened = openDirectory(new SimWorld(5), { tailCacheBytes: 0 })
    const { log } = createLog(opened, { ...COMPACTED, segmentBytes: 700 })
    for (let i = 0; i < 36; i++)
      log.append([keyedBatch({ at: i, records: [{ key: `k${i % 4}`, value: `v${'x'.repeat(i)}` }] })], 0)
    settle(opened, log)
    if (!journaled) {
      opened.world.run(61_000_000)
      log.append([keyedBatch({ at: 36, records: [{ key: 'last', value: 'v' }] })], 0)
      settle(opened, log)
    }
    return { ...opened, log }
  }

  it.each([
    ['power', false],
    ['worst', false],
    ['process', false],
    ['process', true],
  ] as const)('(%s, journaled: %s) leaves a log that a start makes whole', (how, journaled) => {
    const whole = made(journaled)
    const wanted = latestOf(recordsOf(readAll(whole.world, whole.log)))
    let finished = false
    const sizes = new Set<number>()
    for (let steps = 0; !finished; steps++) {
      const of = made(journaled)
      of.directory.compact(UNLIMITED)
      for (let i = 0; i < steps; i++) of.world.step()
      finished = of.world.lines.some(({ event }) => event === 'log compacted')
      of.world.kill()
      if (how === 'power') of.world.disk.crash(new TestRandom(steps))
      else if (how === 'worst') of.world.disk.loseUnsynced()
      const again = reopen(of, 9)
      expect([again.log.quarantined, again.log.endOffset]).toEqual([null, of.log.endOffset])
      expect(latestOf(recordsOf(readAll(again.world, again.log)))).toEqual(wanted)
      expect(again.world.disk.paths().filter((path) => /cleaned$|swapping/.test(path))).toEqual([])
      sizes.add(again.log.sizeBytes)
      expect(steps).toBeLessThan(2000)
    }
    expect(sizes.size).toBeGreaterThan(journaled ? 0 : 4)
  })
})
