import { createRequire, syncBuiltinESMExports } from 'node:module'
import { promiseHooks } from 'node:v8'

const require = createRequire(import.meta.url)

/** Where the guard of a process is found: what it replaces exists once. */
const STANDS = 'millraceSimulationGuard'

/** Something that is replaced while a guard stands. */
interface Replaced {
  readonly owner: object
  readonly name: string
  readonly before: PropertyDescriptor | undefined
}

type AnyFunction = (...parameters: unknown[]) => unknown

/** Where code reaches past its world: by object and names. */
function waysOut(): [string, object, readonly string[]][] {
  const crypto = require('node:crypto') as object
  const timers = require('node:timers') as object
  const sources = ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID']
  const waits = ['setTimeout', 'setInterval', 'setImmediate']
  return [
    ['', globalThis, [...waits, 'queueMicrotask', 'fetch']],
    ['timers.', timers, waits],
    ['process.', process, ['nextTick', 'hrtime', 'uptime']],
    ['performance.', performance, ['now']],
    ['Math.', Math, ['random']],
    ['crypto.', globalThis.crypto, ['getRandomValues', 'randomUUID']],
    ['crypto.', crypto, sources],
  ]
}

/** Gives the guard of this process while `run` lasts; one stands for all that runs inside of another such call. */
export async function guarded<T>(run: (guard: Guard) => Promise<T>): Promise<T> {
  const standing = (process as unknown as Record<string, Guard | undefined>)[STANDS]
  if (standing !== undefined) return run(standing)
  const guard = new Guard()
  try {
    guard.install()
    return await run(guard)
  } finally {
    guard.remove()
  }
}

/**
 * Makes the ways past a node's world throw while simulated code runs, and counts what happens to promises, so that microtasks are waited for only where
 * there are some.
 */
export class Guard {
  /** True while simulated code runs. */
  armed = false
  /** Grows with every promise that is made or settled. */
  promises = 0
  /** What was caught first; simulated code may have swallowed the exception. */
  caught: Error | null = null
  /** A schedule is driven. */
  driving = false
  private readonly replaced: Replaced[] = []
  private readonly nextTick = process.nextTick.bind(process)
  private readonly immediate = globalThis.setImmediate
  private unhook: Function | null = null

  install(): void {
    this.replace(process, STANDS, this)
    for (const [prefix, owner, names] of waysOut()) for (const name of names) this.close(owner, name, prefix + name)
    this.replaceDate()
    syncBuiltinESMExports()
    const count = (): void => void this.promises++
    this.unhook = promiseHooks.createHook({ init: count, settled: count })
  }

  remove(): void {
    this.armed = false
    for (const { owner, name, before } of this.replaced.splice(0).reverse()) {
      if (before === undefined) delete (owner as Record<string, unknown>)[name]
      else Object.defineProperty(owner, name, before)
    }
    syncBuiltinESMExports()
    this.unhook?.()
    this.unhook = null
  }

  /** Resolves when there are no microtasks left, before the event loop gets to anything else. */
  microtasks(): Promise<void> {
    return new Promise((resolve) => this.nextTick(resolve))
  }

  /** Lets the process see to its other business. */
  breathe(): Promise<void> {
    return new Promise((resolve) => void this.immediate(resolve))
  }

  private close(owner: object, name: string, told: string): void {
    const held = (owner as Record<string, unknown>)[name] as AnyFunction
    const { check } = this
    this.replace(owner, name, function (this: unknown, ...parameters: unknown[]) {
      check(told)
      return Reflect.apply(held, this, parameters)
    })
  }

  private replace(owner: object, name: string, value: unknown): void {
    this.replaced.push({ owner, name, before: Object.getOwnPropertyDescriptor(owner, name) })
    Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: true })
  }

  /** A date of given time is computation; the present one is not. */
  private replaceDate(): void {
    const { check } = this
    const real = Date
    const GuardedDate = function (...parameters: unknown[]): unknown {
      if (parameters.length === 0 || new.target === undefined) check('Date')
      return new.target === undefined ? real() : Reflect.construct(real, parameters, new.target)
    }
    const now = (): number => {
      check('Date.now')
      return real.now()
    }
    Object.assign(GuardedDate, { now, parse: real.parse, UTC: real.UTC })
    GuardedDate.prototype = real.prototype
    this.replace(globalThis, 'Date', GuardedDate)
  }

  /** Node's own code may: its synchronous codecs tidy up after bad input in a later tick, which nobody sees. */
  private readonly check = (what: string): void => {
    if (!this.armed) return
    // The frames: Error, this function, what was replaced, its caller.
    const caller = new Error().stack?.split('\n')[3]?.trim() ?? 'somewhere'
    if (/^at (.*\()?node:/.test(caller)) return
    const error = new Error(`${what} was called while a simulation ran, ${caller}`)
    this.caught ??= error
    throw error
  }
}
