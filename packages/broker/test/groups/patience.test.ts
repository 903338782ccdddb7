import { expect, test } from 'vitest'
import { Patience } from '../../src/groups/patience.ts'
import { VirtualTime } from '../kafka/virtual-world.ts'

class One {
  over = false
  late = 0

  tooLate(): void {
    this.late++
    this.over = true
  }
}

function waiting(time: VirtualTime, patience: Patience, count: number, everyMs: number): One[] {
  return Array.from({ length: count }, () => {
    const one = new One()
    patience.add(one)
    time.advance(everyMs)
    return one
  })
}

test('everybody is told when the time is over, once, in the order of their coming, and with one timer', () => {
  const time = new VirtualTime()
  const patience = new Patience({ clock: time, timers: time }, 1000)
  const ones = waiting(time, patience, 5, 100)
  expect(time.pendingTimers).toBe(1)
  time.advance(500)
  expect(ones.map(({ late }) => late)).toEqual([1, 0, 0, 0, 0])
  time.advance(1000)
  expect(ones.map(({ late }) => late)).toEqual([1, 1, 1, 1, 1])
  expect(time.pendingTimers).toBe(0)
})

test('who came to an end otherwise is not told, and when all have there is no timer', () => {
  const time = new VirtualTime()
  const patience = new Patience({ clock: time, timers: time }, 1000)
  const ones = waiting(time, patience, 3000, 0)
  for (const one of ones.slice(0, 2000)) one.over = true
  patience.moved()
  time.advance(1001)
  expect(ones.filter(({ late }) => late === 1)).toEqual(ones.slice(2000))
  const [last] = waiting(time, patience, 1, 0)
  if (last !== undefined) last.over = true
  patience.moved()
  expect(time.pendingTimers).toBe(0)
})
