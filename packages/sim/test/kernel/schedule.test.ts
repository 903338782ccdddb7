import { SeededRandom } from '@millrace/host'
import { describe, expect, test } from 'vitest'
import { drive } from '../../src/kernel/drive.ts'
import { LifeEnded, UncaughtError } from '../../src/kernel/life.ts'
import { createSchedule } from '../../src/kernel/schedule.ts'
import type { SimSchedule } from '../../src/kernel/schedule.ts'
import { Violation } from '../../src/seams.ts'

function schedule(seed = 'a', longTurnPercent = 0): SimSchedule {
  return createSchedule(new SeededRandom(seed), { longTurnPercent })
}

/** Two lives that post to each other, so many events in all. */
async function pingPong(
  seed: string,
  count: number,
): Promise<{ digest: string; events: number; milliseconds: number }> {
  const run = createSchedule(new SeededRandom(seed))
  const random = new SeededRandom(seed)
  const lives = Array.from({ length: 10 }, (_, at) => run.newLife(`n${at}`))
  let left = count - lives.length
  const play = (at: number): void => {
    if (left-- <= 0) return
    const next = (at + 1) % lives.length
    run.post(1 + random.below(1000), lives[next]!, plays[next]!)
  }
  const plays = lives.map((_, at) => () => play(at))
  lives.forEach((life, at) => run.post(0, life, plays[at]!))
  const begin = performance.now()
  await drive(run)
  return { digest: run.digest, events: run.events, milliseconds: performance.now() - begin }
}

describe('The queue of a run', () => {
  test('a million events are the same for the same seed, and others for another', async () => {
    const first = await pingPong('one', 1_000_000)
    const again = await pingPong('one', 1_000_000)
    const other = await pingPong('two', 100_000)
    console.log(`${Math.round(1e6 / Math.min(first.milliseconds, again.milliseconds))} thousand events/s`)
    expect(first.events).toBe(1_000_000)
    expect(again.digest).toBe(first.digest)
    expect(other.digest).not.toBe(first.digest)
  })

  test('time goes on from event to event and never back', () => {
    const run = schedule()
    const life = run.newLife('n1')
    const times: number[] = []
    for (const delay of [30, 10.2, 20, -5, 0]) run.post(delay, life, () => times.push(run.nowUs))
    while (run.step()) continue
    expect(times).toEqual([0, 0, 11, 20, 30])
  })

  test('events of one microsecond come in an order that the seed draws, those of a lane as they were posted', () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const run = schedule(`seed ${seed}`)
      const life = run.newLife('n1')
      const order: string[] = []
      for (const name of ['a1', 'b1', 'c', 'a2', 'd', 'b2', 'a3'])
        run.post(5, life, () => order.push(name), name.length > 1 ? name[0] : undefined)
      while (run.step()) continue
      expect(order.filter((name) => name[0] === 'a')).toEqual(['a1', 'a2', 'a3'])
      expect(order.filter((name) => name[0] === 'b')).toEqual(['b1', 'b2'])
      orders.add(order.join())
    }
    expect(orders.size).toBeGreaterThan(10)
  })

  test('what was cancelled does not run, also among very many', () => {
    const run = schedule()
    const life = run.newLife('n1')
    let ran = 0
    for (let at = 0; at < 10_000; at++) {
      const timer = run.post(1 + (at % 100), life, () => ran++)
      if (at % 10 !== 0) timer.cancel()
      if (at % 20 === 1) timer.cancel()
    }
    while (run.step()) continue
    expect(ran).toBe(1000)
  })

  test('nothing of a life that is over runs, and its end is told once', () => {
    const run = schedule()
    const [life, other] = [run.newLife('n1'), run.newLife('n2')]
    const seen: string[] = []
    life.atEnd(() => seen.push('ended'))
    run.post(10, life, () => seen.push('never'))
    run.post(5, other, () => {
      run.endOfTurn(life, () => seen.push('never'))
      run.end(life)
      run.end(life)
      run.post(1, life, () => seen.push('never'))
      run.endOfTurn(life, () => seen.push('never'))
    })
    while (run.step()) continue
    expect(seen).toEqual(['ended'])
    expect(run.events).toBe(1)
  })
})

describe('A paused life', () => {
  test('waits with all of its events and gets them in order when it goes on', () => {
    for (let seed = 0; seed < 20; seed++) {
      const run = schedule(`seed ${seed}`)
      const [life, other] = [run.newLife('n1'), run.newLife('n2')]
      const order: string[] = []
      run.pause(life)
      for (const at of [30, 10, 20]) {
        run.post(at, life, () => order.push(`timer ${at}`))
        run.post(at, life, () => order.push(`frame ${at}`), 'lane')
      }
      run.post(25, life, () => order.push('cancelled')).cancel()
      run.post(100, other, () => {
        expect(order).toEqual([])
        run.resume(life)
        run.post(0, life, () => order.push('frame 99'), 'lane')
      })
      while (run.step()) continue
      expect(order.filter((name) => name.startsWith('timer'))).toEqual(['timer 10', 'timer 20', 'timer 30'])
      expect(order.filter((name) => name.startsWith('frame'))).toEqual(['frame 10', 'frame 20', 'frame 30', 'frame 99'])
      expect(run.nowUs).toBe(100)
    }
  })

  test('that ends while it is paused runs nothing', () => {
    const run = schedule()
    const life = run.newLife('n1')
    run.pause(life)
    run.post(1, life, () => expect.unreachable())
    run.step()
    run.end(life)
    run.resume(life)
    expect(run.step()).toBe(false)
    expect(life.over).toBe(true)
  })
})

describe('The end of a turn', () => {
  test('comes behind its event and before the next one', () => {
    const run = schedule()
    const life = run.newLife('n1')
    const order: string[] = []
    run.post(0, life, () => {
      run.endOfTurn(life, () => {
        order.push('end')
        run.endOfTurn(life, () => order.push('nested'))
      })
      run.endOfTurn(life, () => order.push('second'))
      order.push('event')
    })
    run.step()
    expect(order).toEqual(['event', 'end', 'second', 'nested'])
  })

  test('may come later, behind other events of the life, and once for all of them', () => {
    let batches = 0
    const run = schedule('a', 50)
    const life = run.newLife('n1')
    let waiting = 0
    let largest = 0
    const flush = (): void => {
      largest = Math.max(largest, waiting)
      waiting = 0
      batches++
    }
    for (let at = 0; at < 1000; at++)
      run.post(at * 200, life, () => {
        if (waiting++ === 0) run.endOfTurn(life, flush)
      })
    while (run.step()) continue
    expect(waiting).toBe(0)
    expect(largest).toBeGreaterThan(5)
    expect(batches).toBeGreaterThan(100)
  })

  test('is asked for outside of an event and comes in one of its own', () => {
    const run = schedule()
    const life = run.newLife('n1')
    let ended = false
    run.endOfTurn(life, () => (ended = true))
    expect(ended).toBe(false)
    run.step()
    expect(ended).toBe(true)
  })
})

describe('What an event throws', () => {
  test('is told with whose it was; a violation as it is; the end of a life not at all', () => {
    const run = schedule()
    const life = run.newLife('n1')
    const post = (error: Error): void =>
      void run.post(0, life, () => {
        throw error
      })
    post(new TypeError('x is not a function'))
    expect(() => run.step()).toThrow(UncaughtError)
    post(new Violation('OneLeader', 'two'))
    expect(() => run.step()).toThrow(Violation)
    post(new LifeEnded(life, 'disk-failed'))
    expect(run.step()).toBe(true)
  })

  test('leaves the ends of other lives in place', () => {
    const run = schedule()
    const [life, other] = [run.newLife('n1'), run.newLife('n2')]
    let ended = false
    run.post(0, life, () => {
      run.endOfTurn(other, () => (ended = true))
      throw new Error('a bug')
    })
    expect(() => run.step()).toThrow('a bug')
    run.step()
    expect(ended).toBe(true)
  })
})

describe('The digest', () => {
  test('differs by every bit of what is told, and by its order', () => {
    const digests = new Set<string>()
    const tell = (...told: [string, (number | Uint8Array)?][]): void => {
      const run = schedule()
      for (const [what, value] of told) run.note(what, value)
      digests.add(run.digest)
    }
    let count = 0
    for (const size of [10, 100, 1000])
      for (let at = 0; at < size; at += 9) {
        const bytes = new Uint8Array(size)
        bytes[at] = 1
        tell(['frame', bytes])
        count++
      }
    for (const value of [0, 1, -1, 0.5, 2 ** 40, 2 ** 40 + 1]) tell(['number', value])
    tell(['a'], ['b'])
    tell(['b'], ['a'])
    tell(['a'])
    expect(digests.size).toBe(count + 9)
  })
})
