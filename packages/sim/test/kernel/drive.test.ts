import { randomFillSync, randomUUID } from 'node:crypto'
import { setImmediate as nodeImmediate } from 'node:timers'
import { gunzipSync, gzipSync } from 'node:zlib'
import { SeededRandom } from '@millrace/host'
import { describe, expect, test } from 'vitest'
import { drive } from '../../src/kernel/drive.ts'
import { createSchedule } from '../../src/kernel/schedule.ts'
import type { SimSchedule } from '../../src/kernel/schedule.ts'

function schedule(): SimSchedule {
  return createSchedule(new SeededRandom('a'))
}

describe('A drive', () => {
  test('ends at the predicate, the time, the number of events, or when nothing is left', async () => {
    const run = schedule()
    const life = run.newLife('n1')
    let ran = 0
    for (let at = 1; at <= 10; at++) run.post(at * 10, life, () => ran++)
    expect(await drive(run, { until: () => ran === 3 })).toBe('until')
    expect([ran, run.nowUs]).toEqual([3, 30])
    expect(await drive(run, { untilUs: 55 })).toBe('time')
    expect([ran, run.nowUs]).toEqual([5, 55])
    expect(await drive(run, { maxEvents: 2 })).toBe('events')
    expect(ran).toBe(7)
    let looks = 0
    expect(await drive(run, { afterEvent: () => looks++ })).toBe('idle')
    expect([ran, looks, run.lastLife]).toEqual([10, 3, life])
    expect(await drive(run, { untilUs: 500 })).toBe('idle')
    expect(run.nowUs).toBe(500)
  })

  test('runs all microtasks between two events', async () => {
    const run = schedule()
    const life = run.newLife('n1')
    const order: string[] = []
    let settle: () => void = () => {}
    const pending = new Promise<void>((resolve) => (settle = resolve))
    const wait = async (): Promise<void> => {
      await pending
      for (let at = 0; at < 20; at++) await Promise.resolve()
      order.push('microtasks')
      run.post(1, life, () => order.push('posted'))
    }
    void wait()
    run.post(10, life, () => {
      order.push('first')
      settle()
    })
    run.post(11, life, () => order.push('second'))
    await drive(run)
    expect(order.slice(0, 2)).toEqual(['first', 'microtasks'])
    expect(order.slice(2).sort()).toEqual(['posted', 'second'])
  })

  test('is rejected by what an event throws, and can go on', async () => {
    const run = schedule()
    const life = run.newLife('n1')
    run.post(1, life, () => {
      throw new Error('a bug')
    })
    run.post(2, life, () => {})
    await expect(drive(run)).rejects.toThrow(/n1 threw Error: a bug/)
    expect(await drive(run)).toBe('idle')
  })
})

describe('While a simulation runs', () => {
  const waysOut: Record<string, () => unknown> = {
    'process.nextTick': () => process.nextTick(() => {}),
    setTimeout: () => setTimeout(() => {}, 1),
    setInterval: () => setInterval(() => {}, 1),
    setImmediate: () => setImmediate(() => {}),
    'timers.setImmediate': () => nodeImmediate(() => {}),
    queueMicrotask: () => queueMicrotask(() => {}),
    'Date.now': () => Date.now(),
    Date: () => new Date(),
    'performance.now': () => performance.now(),
    'process.hrtime': () => process.hrtime(),
    'Math.random': () => Math.random(),
    'crypto.getRandomValues': () => crypto.getRandomValues(new Uint8Array(1)),
    'crypto.randomUUID': () => randomUUID(),
    'crypto.randomFillSync': () => randomFillSync(new Uint8Array(1)),
    fetch: () => fetch('http://127.0.0.1:1'),
  }

  test.for(Object.entries(waysOut))('%s throws and names its caller', async ([name, call]) => {
    const run = schedule()
    const life = run.newLife('n1')
    run.post(1, life, function theCulprit() {
      call()
    })
    await expect(drive(run)).rejects.toThrow(new RegExp(`${name} was called while a simulation ran, at .*drive\\.test`))
    expect(typeof Date.now()).toBe('number')
  })

  test('a caller that swallows the exception is found out, and so is one in a microtask', async () => {
    const swallow = (): void => {
      try {
        Math.random()
      } catch {}
    }
    const run = schedule()
    run.post(1, run.newLife('n1'), swallow)
    await expect(drive(run)).rejects.toThrow('Math.random was called')
    run.post(1, run.newLife('n1'), () => void Promise.resolve().then(swallow))
    await expect(drive(run)).rejects.toThrow('Math.random was called')
  })

  test('what is only computation goes on', async () => {
    const run = schedule()
    const seen: unknown[] = []
    run.post(1, run.newLife('n1'), () => {
      const date = new Date(86_400_000)
      seen.push(date.toISOString(), date instanceof Date, Date.UTC(1970, 0, 2))
      seen.push(gunzipSync(gzipSync('x'.repeat(1000))).length)
    })
    await drive(run)
    expect(seen).toEqual(['1970-01-02T00:00:00.000Z', true, 86_400_000, 1000])
  })

  test('a second one in the same process is refused', async () => {
    const run = schedule()
    run.post(1, run.newLife('n1'), () => {})
    const first = drive(run)
    await expect(drive(schedule())).rejects.toThrow('a simulation runs in this process already')
    await first
    expect(await drive(schedule())).toBe('idle')
  })
})
