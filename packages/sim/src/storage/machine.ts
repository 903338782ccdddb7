import { IoError } from '@millrace/base'
import type { Done, IoErrorCode, Random } from '@millrace/base'
import type { DiskFaults, FaultAtlas, Life, Schedule } from '../seams.ts'
import type { FileContent } from './file-content.ts'
import { Names } from './names.ts'

/** A kind of call that faults tell apart. */
export type Operation = 'read' | 'append' | 'sync' | 'open'

/** What a machine's storage is made of. */
export interface MachineParts {
  readonly schedule: Schedule
  readonly random: Random
  readonly node: number
  readonly atlas: FaultAtlas
  readonly capacityBytes: number
  /** Milliseconds since 1970 as the machine's clock says: for the times of files. */
  readonly wallMs: () => number
}

/** Something that a process has begun and that its machine may yet do, or do in part, when the process dies. */
interface InFlight {
  readonly life: Life
  /** How far the machine gets with it after the process is gone. */
  readonly abandon: (random: Random) => void
}

interface Ordered {
  readonly operation: Operation
  readonly code: IoErrorCode
  readonly within: string
}

const CHANCES = 100_000
const SLOWER = 1000
/** A disk that filled up has room again after at most so long: whoever filled it tidies up. */
const FULL_MAX_US = 20_000_000

/** One machine's storage under all its processes: names, space, time, and what fails. */
export class Machine {
  readonly names = new Names()
  readonly schedule: Schedule
  readonly atlas: FaultAtlas
  readonly node: number
  /** Draws for faults that the calls of processes meet; what the machine does on its own draws from `fate`. */
  readonly chance: Random
  readonly fate: Random
  readonly sectorBytes: number
  usedBytes = 0
  openedStores = 0
  private rates: DiskFaults
  private readonly parts: MachineParts
  private readonly inFlight = new Set<InFlight>()
  private readonly watched = new Set<Life>()
  private ordered: Ordered[] = []
  private fullUntilUs = 0
  private roomWhenFull = 0
  private untilWriteBack = 1

  constructor(parts: MachineParts, faults: DiskFaults) {
    this.parts = parts
    this.schedule = parts.schedule
    this.atlas = parts.atlas
    this.node = parts.node
    this.chance = parts.random.fork('calls')
    this.fate = parts.random.fork('fate')
    this.rates = faults
    this.sectorBytes = this.fate.below(2) === 0 ? 512 : 4096
  }

  get faults(): DiskFaults {
    return this.rates
  }

  set faults(faults: DiskFaults) {
    const begins = faults.fullPer100k >= CHANCES && !this.full
    this.rates = faults
    if (begins) this.fillUp()
  }

  get wallMs(): number {
    return this.parts.wallMs()
  }

  /** Answers after the time that a call takes; `work` is done then, so that calls in flight overtake each other. */
  answer<T>(life: Life, done: Done<T>, work: () => T): void {
    this.schedule.post(this.delayUs(), life, () => {
      let value: T
      try {
        value = work()
      } catch (error) {
        if (!(error instanceof IoError)) throw error
        return done(error, undefined as T)
      }
      done(null, value)
    })
  }

  /** As `answer`, for what the machine may still do when the process dies meanwhile. */
  begin<T>(life: Life, done: Done<T>, call: { work: () => T; abandon: (random: Random) => void }): void {
    this.watch(life)
    const inFlight = { life, abandon: call.abandon }
    this.inFlight.add(inFlight)
    this.answer(life, done, () => {
      this.inFlight.delete(inFlight)
      return call.work()
    })
  }

  delayUs(): number {
    const { delayMinUs, delayMeanUs, slowPer100k } = this.rates
    const usual = delayMinUs + this.chance.below(2 * Math.max(0, delayMeanUs - delayMinUs) + 1)
    return this.chance.below(CHANCES) < slowPer100k ? usual * SLOWER : usual
  }

  /** Fails the call when it was ordered to fail, or by chance. */
  check(operation: Operation, path: string): void {
    if (this.ordered.length > 0) {
      const at = this.ordered.findIndex((order) => order.operation === operation && path.includes(order.within))
      if (at >= 0 && this.permits(operation)) {
        const [{ code }] = this.ordered.splice(at, 1) as [Ordered]
        this.fail(operation, path, code)
      }
    }
    if (this.chance.below(CHANCES) < this.rate(operation) && this.permits(operation)) this.fail(operation, path, 'EIO')
  }

  order(operation: Operation, code: IoErrorCode, within: string): void {
    this.ordered.push({ operation, code, within })
  }

  /** Takes `bytes` of room, or gives them back when negative; throws ENOSPC when they are not there. */
  take(bytes: number, path: string): void {
    if (bytes > 0) {
      const drawn = this.chance.below(CHANCES) < this.rates.fullPer100k
      if (drawn && !this.full) this.fillUp()
      if (bytes > this.freeBytes) throw new IoError('ENOSPC', path, 'the disk is full')
    }
    this.usedBytes += bytes
  }

  get freeBytes(): number {
    const free = this.full ? this.roomWhenFull : this.parts.capacityBytes
    return Math.max(0, free - this.usedBytes)
  }

  /** Forgets the space of contents that lost their last name. */
  unnamed(contents: readonly FileContent[]): void {
    for (const content of contents) {
      if (content.named) this.usedBytes -= content.size
      content.named = false
    }
  }

  /** A write to this file: now and then the kernel writes back a page in the meantime. */
  wrote(content: FileContent): void {
    if (--this.untilWriteBack > 0) return
    this.untilWriteBack = 1 + this.fate.below(64)
    if (this.fate.below(100) < this.rates.survivesPercent) content.writeBackOne(this.fate)
  }

  /** Has what the process has begun end somewhere when the process ends. */
  watch(life: Life): void {
    if (this.watched.has(life)) return
    this.watched.add(life)
    life.atEnd(() => {
      this.watched.delete(life)
      for (const call of this.inFlight) {
        if (call.life !== life) continue
        this.inFlight.delete(call)
        call.abandon(this.fate)
      }
    })
  }

  /** No process runs on this machine. */
  get idle(): boolean {
    for (const life of this.watched) if (!life.over) return false
    return true
  }

  powerCut(): void {
    const { survivesPercent, garbagePercent } = this.rates
    const rules = { sectorBytes: this.sectorBytes, survivesPercent, garbagePercent }
    this.names.powerCut(this.fate, survivesPercent)
    this.usedBytes = 0
    for (const { content } of this.names.allFiles()) {
      content.powerCut(this.fate, rules)
      content.named = true
      this.usedBytes += content.size
    }
  }

  wipe(): void {
    this.names.wipe()
    this.usedBytes = 0
    this.ordered = []
  }

  /** Whether the disk is full: for as long as its faults say so, or until the time that was drawn. */
  private get full(): boolean {
    const { fullPer100k } = this.rates
    return fullPer100k >= CHANCES || (fullPer100k > 0 && this.schedule.nowUs < this.fullUntilUs)
  }

  private fillUp(): void {
    this.fullUntilUs = this.schedule.nowUs + 1 + this.fate.below(FULL_MAX_US)
    this.roomWhenFull = this.usedBytes + (this.fate.below(2) === 0 ? 0 : this.fate.below(64 * 1024))
  }

  private rate(operation: Operation): number {
    if (operation === 'append') return this.rates.writeErrorPer100k
    return operation === 'sync' ? this.rates.syncErrorPer100k : this.rates.readErrorPer100k
  }

  private permits(operation: Operation): boolean {
    if (!this.atlas.mayFail(this.node)) return false
    return !costsCopy(operation) || this.atlas.mayDamage(this.node)
  }

  private fail(operation: Operation, path: string, code: IoErrorCode): never {
    this.schedule.note('fault', operation.length)
    if (costsCopy(operation)) this.atlas.damaged(this.node)
    throw new IoError(code, path, `injected into ${operation}`)
  }
}

/** Who cannot read a copy gives it up, so a read that fails costs a copy as rot does. */
function costsCopy(operation: Operation): boolean {
  return operation === 'read' || operation === 'open'
}
