import type { Clock } from '@millrace/base'
import { MemoryLogger } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { SleepGuard } from '../src/sleep-guard.ts'

function guarded(sessionMs: number) {
  let now = 0
  let slept = 0
  const clock: Clock = { monotonicUs: () => now, wallMs: () => 0 }
  const log = new MemoryLogger()
  const guard = new SleepGuard(clock, log, sessionMs, () => slept++)
  return { guard, log, pass: (ms: number) => void (now += ms * 1000), slept: () => slept }
}

describe('a node that slept', () => {
  it('serves nothing after a gap of more than half a session until it is confirmed', () => {
    const { guard, pass, slept, log } = guarded(1000)
    pass(500)
    expect(guard.awake()).toBe(true)
    pass(501)
    expect(guard.awake()).toBe(false)
    pass(1)
    expect(guard.awake()).toBe(false)
    expect(slept()).toBe(1)
    guard.confirmed()
    expect(guard.awake()).toBe(true)
    expect(guard.sleeps).toBe(1)
    expect(log.lines.map(({ level }) => level)).toEqual(['warn', 'info'])
  })

  it('that sleeps again before it was confirmed asks for a confirmation after the later sleep', () => {
    const { guard, pass, slept } = guarded(1000)
    pass(600)
    guard.awake()
    pass(600)
    guard.awake()
    expect(slept()).toBe(2)
  })
})
