import { assert } from '@millrace/base'
import type { Random, Timer } from '@millrace/base'
import { Violation } from '../seams.ts'
import type { Life, Schedule } from '../seams.ts'
import { Digest, hashOf, mixed } from './digest.ts'
import { SimEvent, EventQueue } from './event-queue.ts'
import { LifeEnded, SimLife, UncaughtError } from './life.ts'
import type { LifeKeeper } from './life.ts'

/** How often callbacks that register callbacks extend a turn, as in production. */
const ROUNDS_PER_TURN = 16
/** How long a turn may last that takes in other events before it ends. */
const LONG_TURN_US = 2000
/** Cancelled events are swept out of the queue when they are this many and most of it. */
const SWEEP_FROM = 1000

/** What a schedule may be asked for beside its seed. */
export interface ScheduleOptions {
  /**
   * Of 100 turns so many end later than with the event that began them, as when several sockets are ready at once: other events of the same life run
   * before the end of the turn, or its death comes before it. 10 when absent.
   */
  readonly longTurnPercent?: number
  /** Is told everything that goes into the digest, to find where two runs part. */
  readonly trace?: (line: string) => void
}

/** The one queue of a run; see {@link Schedule}. `drive` runs it. */
export function createSchedule(random: Random, options: ScheduleOptions = {}): SimSchedule {
  return new SimSchedule(random, options)
}

export class SimSchedule implements Schedule, LifeKeeper {
  nowUs = 0
  events = 0
  lastLife: Life | null = null
  private readonly queue = new EventQueue()
  private readonly hash = new Digest()
  private readonly random: Random
  private readonly salt: number
  private readonly longTurnPercent: number
  private readonly trace: ((line: string) => void) | undefined
  /** The lives whose turn ends behind the event that runs. */
  private ending: SimLife[] = []
  private running = false
  private order = 0
  private turns = 0
  /** About how many events of the queue were cancelled. */
  private dead = 0

  constructor(random: Random, { longTurnPercent = 10, trace }: ScheduleOptions) {
    this.random = random.fork('schedule')
    this.salt = this.random.uint32()
    this.longTurnPercent = longTurnPercent
    this.trace = trace
  }

  get digest(): string {
    return this.hash.toString()
  }

  /** Nothing is left to run, but for what waits in paused lives. */
  get idle(): boolean {
    return this.queue.size === 0
  }

  post(delayUs: number, life: Life, run: () => void, lane?: string): Timer {
    assert(delayUs < Number.MAX_SAFE_INTEGER, `${delayUs} is no delay`)
    const atUs = delayUs > 0 ? this.nowUs + Math.ceil(delayUs) : this.nowUs
    const order = this.order++
    const event = new SimEvent(atUs, this.tie(atUs, order, lane), order, life as SimLife, run, lane)
    if (life.over) event.run = null
    else this.queue.push(event)
    return event
  }

  endOfTurn(life: Life, run: () => void): void {
    const own = life as SimLife
    if (own.over) return
    own.ends.push(run)
    if (own.endsTurn) return
    own.endsTurn = true
    if (this.running) this.ending.push(own)
    else this.postEnd(own, 0)
  }

  note(what: string, value?: number | Uint8Array): void {
    this.hash.text(what)
    if (typeof value === 'number') this.hash.number(value)
    else if (value !== undefined) this.hash.bytes(value)
    this.trace?.(`${this.nowUs} ${what} ${traced(value)}`)
  }

  newLife(name: string): Life {
    this.note(name)
    return new SimLife(name, this)
  }

  end(life: Life): void {
    if (life.over) return
    this.note('ends')
    ;(life as SimLife).end()
    this.sweep()
  }

  pause(life: Life): void {
    if (!life.over) (life as SimLife).paused = true
  }

  /**
   * What waited is due now. The lanes and the rest each keep their order; how they mix is drawn, and in half of the cases the rest, timers above all, comes
   * first, as an event loop does that was stopped and goes on.
   */
  resume(life: Life): void {
    const own = life as SimLife
    if (!own.paused) return
    own.paused = false
    const events = own.waiting.filter((event) => event.run !== null)
    own.waiting = []
    const timersFirst = this.random.below(2) === 0
    const ties = events.map(() => (timersFirst ? 0 : this.random.uint32())).sort((a, b) => a - b)
    events.forEach((event, at) => {
      event.atUs = this.nowUs
      event.order = this.order++
      event.tie = event.lane === undefined ? (ties[at] as number) : this.tie(this.nowUs, event.order, event.lane)
      this.queue.push(event)
    })
  }

  /** Runs the next event that is due by then, and the end of its turn. False when there is none. */
  step(untilUs = Number.POSITIVE_INFINITY): boolean {
    for (;;) {
      const event = this.queue.peek()
      if (event === undefined || event.atUs > untilUs) return false
      this.queue.pop()
      const { life, run } = event
      if (run === null) this.dead = Math.max(0, this.dead - 1)
      else if (life.paused) life.waiting.push(event)
      else if (!life.over) {
        event.run = null
        this.nowUs = event.atUs
        this.turn(life, run)
        return true
      }
    }
  }

  /** Time passes in which nothing is due. */
  pass(untilUs: number): void {
    if (Number.isFinite(untilUs)) this.nowUs = Math.max(this.nowUs, untilUs)
  }

  /** For lives: an event that is in the queue, or waits in a paused life, will not run. */
  cancelled(): void {
    this.dead++
    if (this.dead > SWEEP_FROM && this.dead * 2 > this.queue.size) this.sweep()
  }

  private turn(life: SimLife, run: () => void): void {
    this.events++
    this.lastLife = life
    this.hash.number(this.nowUs)
    this.hash.word(life.mark)
    this.trace?.(`${this.nowUs} ${life.name}`)
    this.running = true
    this.call(life, run)
    // A turn's end may make other lives' turns end, where one life calls into another.
    for (let at = 0; at < this.ending.length; at++) this.endTurn(this.ending[at] as SimLife)
    this.ending.length = 0
    this.running = false
  }

  private endTurn(life: SimLife): void {
    if (life.over) return
    const drawn = mixed(this.salt ^ this.turns++)
    if (life.paused || drawn % 100 < this.longTurnPercent) this.postEnd(life, 1 + ((drawn >>> 7) % LONG_TURN_US))
    else this.runEnds(life)
  }

  private postEnd(life: SimLife, delayUs: number): void {
    this.post(delayUs, life, () => this.runEnds(life))
  }

  private runEnds(life: SimLife): void {
    for (let round = 0; round < ROUNDS_PER_TURN && life.ends.length > 0; round++) {
      const { ends } = life
      life.ends = []
      for (const end of ends) if (!life.over) this.call(life, end)
    }
    life.endsTurn = life.ends.length > 0
    if (life.endsTurn) this.postEnd(life, 1)
  }

  private call(life: SimLife, run: () => void): void {
    try {
      run()
    } catch (error) {
      if (error instanceof LifeEnded) return
      this.running = false
      for (const other of this.ending.splice(0)) if (other.endsTurn) this.postEnd(other, 0)
      throw error instanceof Violation ? error : new UncaughtError(life, error)
    }
  }

  private tie(atUs: number, order: number, lane: string | undefined): number {
    return mixed(this.salt ^ (lane === undefined ? Math.imul(order, 0x9e3779b1) : hashOf(lane) ^ (atUs >>> 0)))
  }

  private sweep(): void {
    this.queue.keep(({ run, life }) => run !== null && !life.over)
    this.dead = 0
  }
}

function traced(value: number | Uint8Array | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value ?? '')
}
