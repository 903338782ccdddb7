import { guarded } from './guard.ts'
import type { Guard } from './guard.ts'
import type { SimSchedule } from './schedule.ts'

/** How many events run before the process may see to its other business. */
const EVENTS_PER_BREATH = 20_000

/** How far a schedule is driven: until the first of these. */
export interface DriveOptions {
  /** Virtual time. */
  readonly untilUs?: number
  /** Asked before every event. */
  readonly until?: () => boolean
  /** Runs after every event, its end of turn and the microtasks; what it throws ends the drive. */
  readonly afterEvent?: () => void
  /** So many more events at most. */
  readonly maxEvents?: number
}

/** Why a drive came to its end: `idle` when no event is left. */
export type DriveEnd = 'until' | 'time' | 'events' | 'idle'

/**
 * Runs the events of a schedule, each followed by the microtasks that it made. While it runs, code that reaches past its world throws, and the drive rejects with
 * what it threw even where that was swallowed. Rejects with `Violation`, or `UncaughtError` for anything else that an event throws; the schedule can
 * be driven on after that.
 */
export function drive(schedule: SimSchedule, options: DriveOptions = {}): Promise<DriveEnd> {
  return guarded(async (guard) => {
    if (guard.driving) throw new Error('a simulation runs in this process already')
    guard.driving = true
    guard.caught = null
    try {
      return await run(schedule, guard, options)
    } finally {
      guard.driving = false
    }
  })
}

async function run(schedule: SimSchedule, guard: Guard, options: DriveOptions): Promise<DriveEnd> {
  const { untilUs = Number.POSITIVE_INFINITY, until, afterEvent, maxEvents = Number.POSITIVE_INFINITY } = options
  const lastEvent = schedule.events + maxEvents
  let breath = schedule.events + EVENTS_PER_BREATH
  // What was begun before the drive has its microtasks too.
  await settle(guard)
  for (;;) {
    if (until?.() === true) return 'until'
    if (schedule.events >= lastEvent) return 'events'
    const before = guard.promises
    guard.armed = true
    let ran: boolean
    try {
      ran = schedule.step(untilUs)
    } finally {
      guard.armed = false
    }
    if (guard.promises !== before) await settle(guard)
    if (guard.caught !== null) throw guard.caught
    if (!ran) break
    afterEvent?.()
    if (schedule.events >= breath) {
      breath = schedule.events + EVENTS_PER_BREATH
      await guard.breathe()
    }
  }
  schedule.pass(untilUs)
  return schedule.idle ? 'idle' : 'time'
}

/** Runs the microtasks that there are, guarded as events are. */
async function settle(guard: Guard): Promise<void> {
  guard.armed = true
  await guard.microtasks()
  guard.armed = false
}
