import { computeContract, randomContract, SeededRandom, timersContract } from '@millrace/host'
import type { ContractCase } from '@millrace/host'
import { describe, expect, test } from 'vitest'
import { SimClock } from '../../src/kernel/clock.ts'
import { SimCompute } from '../../src/kernel/compute.ts'
import { drive } from '../../src/kernel/drive.ts'
import { SimLogger } from '../../src/kernel/logger.ts'
import { createSchedule } from '../../src/kernel/schedule.ts'
import type { SimSchedule } from '../../src/kernel/schedule.ts'
import { SimTimers } from '../../src/kernel/timers.ts'
import { simWorld } from '../../src/kernel/world.ts'
import type { SimWorldParts } from '../../src/kernel/world.ts'
import type { Network, SimStorage } from '../../src/seams.ts'

function schedule(): SimSchedule {
  return createSchedule(new SeededRandom('a'))
}

/** What contract suites ask of a host, on virtual time. */
function virtually(run: SimSchedule) {
  return {
    until: async (condition: () => boolean, what: string) => {
      const end = await drive(run, { until: condition, untilUs: run.nowUs + 60_000_000 })
      if (end !== 'until') throw new Error(`still waiting for ${what}: ${end}`)
    },
    end: async () => {},
  }
}

function holdTo(what: string, cases: readonly ContractCase[]): void {
  describe(`The contract of ${what}`, () => {
    test.for(cases)('$name', async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })
}

for (const driftPpm of [0, -500, 100_000])
  holdTo(
    `timers by a clock that is off by ${driftPpm} ppm`,
    timersContract(async () => {
      const run = schedule()
      const clock = new SimClock(run, { driftPpm }).ofProcess()
      return { clock, timers: new SimTimers(run, run.newLife('n1'), clock, new SeededRandom('t')), ...virtually(run) }
    }),
  )

holdTo(
  'simulated codecs',
  computeContract(async () => {
    const run = schedule()
    return { compute: new SimCompute(run, run.newLife('n1'), new SeededRandom('c')), ...virtually(run) }
  }),
)

holdTo(
  'chance by a seed',
  randomContract(async () => ({ random: new SeededRandom('a'), ...virtually(schedule()) })),
)

describe('The clocks of a machine', () => {
  test('drift apart, and only the wall clock jumps', () => {
    const run = schedule()
    const [fast, slow] = [
      new SimClock(run, { driftPpm: 100, wallOffsetMs: 500 }),
      new SimClock(run, { driftPpm: -100 }),
    ]
    const wallAtFirst = slow.wallMs()
    expect(fast.wallMs() - wallAtFirst).toBe(500)
    run.pass(1_000_000_000)
    expect(fast.monotonicUs()).toBe(1_000_100_000)
    expect(slow.monotonicUs()).toBe(999_900_000)
    expect(slow.wallMs() - wallAtFirst).toBe(999_900)
    const before = fast.monotonicUs()
    fast.jump(-3_600_000)
    expect(fast.monotonicUs()).toBe(before)
    expect(fast.wallMs() - slow.wallMs()).toBe(-3_600_000 + 700)
    fast.setRight()
    expect(fast.wallMs() - wallAtFirst).toBe(1_000_000)
    expect(fast.monotonicUs()).toBe(before)
  })

  test('do not go back when their rate changes, and processes count from their own start', () => {
    const run = schedule()
    const clock = new SimClock(run, { driftPpm: 200 })
    let last = 0
    for (let at = 1; at < 200; at++) {
      run.pass(at * 1111)
      const now = clock.monotonicUs()
      expect(now).toBeGreaterThan(last)
      last = now
      if (at % 10 === 0) clock.skew(at % 20 === 0 ? 500 : -500)
    }
    const process = clock.ofProcess()
    expect(process.monotonicUs()).toBe(0)
    run.pass(run.nowUs + 1_000_000)
    expect(process.monotonicUs()).toBeGreaterThan(999_000)
  })

  test('a timer waits for a clock that was slowed down meanwhile', () => {
    const run = schedule()
    const machine = new SimClock(run)
    const clock = machine.ofProcess()
    const timers = new SimTimers(run, run.newLife('n1'), clock, new SeededRandom('t'))
    let firedUs = -1
    timers.after(1_000_000, () => (firedUs = clock.monotonicUs()))
    machine.skew(-100_000)
    while (run.step()) continue
    expect(firedUs).toBeGreaterThanOrEqual(1_000_000)
    expect(run.nowUs).toBeGreaterThan(1_100_000)
  })
})

describe('The world of an incarnation', () => {
  function world(run: SimSchedule, lines: string[], fatal?: SimWorldParts['fatal']) {
    const life = run.newLife('n1#1')
    const storage = { disk: () => ({}), raftStores: () => ({}) } as unknown as SimStorage
    const network = { peers: () => ({}), streams: () => ({}) } as unknown as Network
    const log = new SimLogger((level, text) => lines.push(`${level} ${text}`))
    const parts = {
      schedule: run,
      life,
      host: 'n1',
      clock: new SimClock(run),
      random: new SeededRandom('w'),
      storage,
      network,
      log,
    }
    return { life, world: simWorld(fatal === undefined ? parts : { ...parts, fatal }) }
  }

  test('ends with a fatal error: the rest of the turn and all that was begun never come', () => {
    const run = schedule()
    const lines: string[] = []
    const told: string[] = []
    const made = world(run, lines, (code) => told.push(`${code} ${made.life.over}`))
    made.world.timers.after(10, () => told.push('a timer'))
    run.post(1, made.life, () => {
      made.world.timers.endOfTurn(() => told.push('the end of the turn'))
      made.world.fatal('disk-failed', new Error('EIO'))
    })
    while (run.step()) continue
    expect(told).toEqual(['disk-failed false'])
    expect(made.life.over).toBe(true)
    expect(lines).toEqual(['error the node ends itself code=disk-failed cause="EIO"'])
  })

  test('logs from info on, with the fields of its parents', () => {
    const lines: string[] = []
    const { world: made } = world(schedule(), lines)
    const log = made.log.child({ node: 1 })
    log.debug({ a: 1 }, 'nobody reads this')
    log.info({ topic: 'a b', size: 5n, list: [1] }, 'it happened')
    log.warn({ missing: undefined }, 'twice')
    expect(lines).toEqual([
      'info it happened node=1 topic="a b" size="5" list=[1]',
      'warn twice node=1 missing=undefined',
    ])
  })
})
