import { BrokenInvariant } from '@millrace/base'
import type { Address, Random, Timer, World } from '@millrace/base'

interface Event {
  readonly atUs: number
  readonly order: number
  run: (() => void) | null
}

/** Time that passes only when a test says so: every event is a turn, and endOfTurn runs after it. */
export class VirtualTime {
  nowUs = 1_000_000
  private events: Event[] = []
  private ends: (() => void)[] = []
  private order = 0
  private depth = 0

  after(delayUs: number, run: () => void): Timer {
    const event: Event = { atUs: this.nowUs + Math.max(0, Math.round(delayUs)), order: this.order++, run }
    this.events.push(event)
    return {
      cancel: () => {
        event.run = null
      },
    }
  }

  endOfTurn(run: () => void): void {
    this.ends.push(run)
  }

  /** Runs a piece of code as a turn of its own. */
  turn(run: () => void): void {
    this.depth++
    run()
    this.depth--
    if (this.depth > 0) return
    while (this.ends.length > 0) for (const end of this.ends.splice(0)) end()
  }

  /** Lets this much time pass. */
  pass(ms: number): void {
    const until = this.nowUs + ms * 1000
    this.turn(() => {})
    for (;;) {
      const next = this.next()
      if (next === null || next.atUs > until) break
      this.events.splice(this.events.indexOf(next), 1)
      this.nowUs = Math.max(this.nowUs, next.atUs)
      const { run } = next
      if (run !== null) this.turn(run)
    }
    this.nowUs = until
  }

  /** The node sleeps: time goes on, nothing runs. */
  sleep(ms: number): void {
    this.nowUs += ms * 1000
  }

  private next(): Event | null {
    let first: Event | null = null
    for (const event of this.events)
      if (first === null || event.atUs < first.atUs || (event.atUs === first.atUs && event.order < first.order))
        first = event
    return first
  }
}

/** What a dial of each address finds; `alive` unless said otherwise. */
export class Dials {
  readonly answers = new Map<string, 'refused' | 'alive' | 'unknown'>()
  readonly asked: string[] = []

  key({ host, port }: Address): string {
    return `${host}:${port}`
  }
}

export function virtualWorld(time: VirtualTime, dials: Dials): World {
  const missing = new Proxy({}, { get: (_, name) => fail(`the controller has no use for ${String(name)}`) })
  return {
    clock: { monotonicUs: () => time.nowUs, wallMs: () => Math.floor(time.nowUs / 1000) },
    timers: { after: (us, run) => time.after(us, run), endOfTurn: (run) => time.endOfTurn(run) },
    random: seeded(11),
    disk: missing as World['disk'],
    streams: missing as World['streams'],
    raftStore: missing as World['raftStore'],
    compute: missing as World['compute'],
    peers: {
      listen: () => fail('the server listens'),
      open: () => fail('brokers open streams, not controllers'),
      probe(to, done) {
        dials.asked.push(dials.key(to))
        time.after(1000, () => done(dials.answers.get(dials.key(to)) ?? 'alive'))
      },
    },
    log: silent(),
    fatal: (code, cause) => fail(`${code}: ${String(cause)}`),
  }
}

function fail(what: string): never {
  throw new BrokenInvariant(what)
}

function silent(): World['log'] {
  const nothing = (): void => {}
  const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log }
  return log
}

function seeded(seed: number): Random {
  let state = seed
  const uint32 = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state ^ (state >>> 13)) >>> 0
  }
  return {
    uint32,
    below: (n) => (uint32() >>> 4) % n,
    fill(into) {
      for (let i = 0; i < into.length; i++) into[i] = (uint32() >>> 8) & 0xff
    },
    fork: () => seeded(uint32()),
  }
}
