// A world for tests: virtual time, seeded chance, and a disk that forgets what was not synced. Every answer comes in a later event.
import {
  type Clock,
  type Compute,
  type Done,
  type Logger,
  type LogFields,
  type Random,
  type Timer,
  type World,
  IoError,
} from '@millrace/base'
import { inflate } from '@millrace/records'
import { CrashDisk } from './crash-disk.ts'

/** xorshift128, seeded. */
export class TestRandom implements Random {
  private readonly state: Uint32Array

  constructor(seed: number) {
    this.state = Uint32Array.of(seed ^ 0x9e3779b9, seed * 7919 + 1, 362436069, 521288629)
    for (let i = 0; i < 20; i++) this.uint32()
  }

  uint32(): number {
    const state = this.state
    let t = state[3] ?? 0
    const s = state[0] ?? 0
    state[3] = state[2] ?? 0
    state[2] = state[1] ?? 0
    state[1] = s
    t ^= t << 11
    t ^= t >>> 8
    state[0] = t ^ s ^ (s >>> 19)
    return state[0] ?? 0
  }

  below(n: number): number {
    return this.uint32() % n
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.below(256)
  }

  fork(label: string): TestRandom {
    let hash = this.uint32()
    for (const c of label) hash = (hash * 31 + c.charCodeAt(0)) | 0
    return new TestRandom(hash)
  }
}

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

/** One incarnation of a process: after `kill` none of its callbacks run. */
export class SimWorld implements World {
  readonly random: TestRandom
  readonly disk: CrashDisk
  readonly lines: { level: string; fields: LogFields; event: string }[] = []
  nowUs = 0
  private readonly events: Event[] = []
  private order = 0
  private killed = false

  constructor(seed: number, disk?: CrashDisk) {
    this.random = new TestRandom(seed)
    this.disk = disk ?? new CrashDisk()
    this.disk.attach(this)
  }

  readonly clock: Clock = {
    monotonicUs: () => this.nowUs,
    wallMs: () => 1_700_000_000_000 + Math.floor(this.nowUs / 1000),
  }

  readonly timers = {
    after: (delayUs: number, run: () => void): Timer => {
      const event = this.at(this.nowUs + delayUs, run)
      return { cancel: () => (event.cancelled = true) }
    },
    endOfTurn: (run: () => void): void => void this.at(this.nowUs, run),
  }

  readonly compute: Compute = {
    // oxlint-disable-next-line max-params -- the seam's signature.
    inflate: (codec, bytes, limit, done: Done<Uint8Array>) => {
      this.timers.after(5, () => {
        let section = new Uint8Array(0)
        try {
          section = Uint8Array.from(inflate(codec, bytes, limit))
        } catch (error) {
          return done(new IoError('EIO', '', String(error)), section)
        }
        done(null, section)
      })
    },
  }

  readonly log: Logger = {
    debug: () => undefined,
    info: (fields, event) => void this.lines.push({ level: 'info', fields, event }),
    warn: (fields, event) => void this.lines.push({ level: 'warn', fields, event }),
    error: (fields, event) => void this.lines.push({ level: 'error', fields, event }),
    child: () => this.log,
  }

  get peers(): never {
    throw new Error('no peers here')
  }
  get streams(): never {
    throw new Error('no streams here')
  }
  get raftStore(): never {
    throw new Error('no raft here')
  }
  fatal(code: string, cause: unknown): never {
    throw new Error(`fatal: ${code}`, { cause })
  }

  at(atUs: number, run: () => void): Event {
    const event = { at: atUs, order: this.order++, run, cancelled: false }
    let low = 0
    let high = this.events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.events[middle]!
      if (other.at > event.at || (other.at === event.at && other.order > event.order)) high = middle
      else low = middle + 1
    }
    this.events.splice(low, 0, event)
    return event
  }

  /** One event; false when there is none. */
  step(): boolean {
    const event = this.events.shift()
    if (event === undefined || this.killed) return false
    this.nowUs = Math.max(this.nowUs, event.at)
    if (!event.cancelled) event.run()
    return true
  }

  /** Runs events until the condition holds. */
  until(condition: () => boolean, what = 'the condition'): void {
    for (let steps = 0; !condition(); steps++)
      if (!this.step() || steps > 1_000_000) throw new Error(`${what} never came true`)
  }

  /** Runs what is due within this time. */
  run(us: number): void {
    const end = this.nowUs + us
    while (this.events.length > 0 && this.events[0]!.at <= end && !this.killed) this.step()
    this.nowUs = Math.max(this.nowUs, end)
  }

  /** The value that a call answers with; throws its error. */
  ask<T>(call: (done: Done<T>) => void): T {
    const answer: { error?: IoError | null; value?: T } = {}
    call((error, value) => {
      if ('error' in answer) throw new Error('answered twice')
      answer.error = error
      answer.value = value
    })
    this.until(() => 'error' in answer, 'the answer')
    if (answer.error) throw answer.error
    return answer.value as T
  }

  /** The process is gone: no callback of it runs any more. */
  kill(): void {
    this.killed = true
    this.events.length = 0
  }
}
