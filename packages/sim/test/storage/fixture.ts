import { IoError } from '@millrace/base'
import type { Disk, Done, File, OpenHow, RaftStore, RaftWrite } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { createSchedule, type SimSchedule } from '../../src/kernel/schedule.ts'
import type { DiskFaults, FaultAtlas, Life, SimStorage } from '../../src/seams.ts'
import { createSimStorage } from '../../src/storage/sim-storage.ts'

export const CALM: DiskFaults = {
  delayMinUs: 20,
  delayMeanUs: 100,
  slowPer100k: 0,
  readErrorPer100k: 0,
  writeErrorPer100k: 0,
  syncErrorPer100k: 0,
  fullPer100k: 0,
  survivesPercent: 50,
  garbagePercent: 20,
}

/** An atlas that lets everything happen and remembers that it did. */
export class OpenAtlas implements FaultAtlas {
  damagedNodes: number[] = []
  expectsHalt = false
  may = true

  mayDamage(): boolean {
    return this.may
  }
  mayFail(): boolean {
    return true
  }
  damaged(node: number): void {
    this.damagedNodes.push(node)
  }
  wiped(node: number): void {
    this.damagedNodes.push(node)
  }
  isRotten(node: number): boolean {
    return this.damagedNodes.includes(node)
  }
  wipesOf(): number {
    return 0
  }
  recovered(): void {}
}

export interface BenchOptions {
  readonly faults?: Partial<DiskFaults>
  readonly capacityBytes?: number
}

/** One machine and the process that runs on it. */
export class Bench {
  readonly schedule: SimSchedule
  readonly storage: SimStorage
  readonly atlas = new OpenAtlas()
  life: Life

  constructor(seed: string, options: BenchOptions = {}) {
    const random = new SeededRandom(seed)
    this.schedule = createSchedule(random.fork('schedule'))
    this.storage = createSimStorage({
      schedule: this.schedule,
      random: random.fork('storage'),
      node: 1,
      faults: { ...CALM, ...options.faults },
      atlas: this.atlas,
      ...(options.capacityBytes === undefined ? {} : { capacityBytes: options.capacityBytes }),
    })
    this.life = this.schedule.newLife('n1#1')
  }

  get disk(): Disk {
    return this.storage.disk(this.life)
  }

  set faults(faults: Partial<DiskFaults>) {
    this.storage.faults = { ...CALM, ...faults }
  }

  /** The process dies, with the machine or without it, and another one begins. */
  restart(how: 'killed' | 'power-cut'): void {
    this.schedule.end(this.life)
    if (how === 'killed') this.storage.killed()
    else this.storage.powerCut()
    this.life = this.schedule.newLife('n1')
  }

  /** Runs events until the condition holds. */
  until(condition: () => boolean, what = 'the condition'): void {
    while (!condition()) if (!this.step()) throw new Error(`${what} never came true`)
  }

  /** Runs one event; false when there is none. */
  step(): boolean {
    const { events } = this.schedule
    this.schedule.step()
    return this.schedule.events > events
  }

  /** The value that a call answers with; throws its error. */
  ask<T>(call: (done: Done<T>) => void): T {
    const answers: { error: IoError | null; value: T }[] = []
    call((error, value) => void answers.push({ error, value }))
    if (answers.length > 0) throw new Error('the answer came inside the call')
    this.until(() => answers.length > 0, 'the answer')
    const [{ error, value }] = answers as [{ error: IoError | null; value: T }]
    if (error !== null) throw error
    return value
  }

  file(path: string, how: OpenHow): File {
    return this.disk.openNow(path, how)
  }

  /** A file as if it had always been there. */
  put(path: string, content: Uint8Array): void {
    const folder = path.slice(0, path.lastIndexOf('/'))
    this.ask<void>((done) => this.disk.mkdir(folder, done))
    const file = this.file(path, 'create')
    file.appendNow([content])
    this.sync(file)
    for (let above = folder; ; above = above.slice(0, above.lastIndexOf('/'))) {
      this.ask<void>((done) => this.disk.syncDir(above, done))
      if (above === '') return
    }
  }

  sync(file: File): void {
    this.ask<void>((done) => file.sync(done))
  }

  /** The content of a file; null when there is none. */
  content(path: string): Uint8Array | null {
    let file: File
    try {
      file = this.file(path, 'read')
    } catch (error) {
      if (error instanceof IoError && error.code === 'ENOENT') return null
      throw error
    }
    const into = new Uint8Array(file.size)
    file.readNow(0, into)
    return into
  }

  text(path: string): string | null {
    const content = this.content(path)
    return content === null ? null : Buffer.from(content).toString('latin1')
  }

  store(path = '/raft'): RaftStore {
    return this.ask<RaftStore>((done) => this.storage.raftStores(this.life).open(path, done))
  }

  write(store: RaftStore, change: Omit<RaftWrite, 'token'>): void {
    this.ask<void>((done) => store.write({ token: 1, ...change }, done))
  }
}

export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

/** Whether the call fails with this code. */
export function failure(call: () => unknown): string | null {
  try {
    call()
  } catch (error) {
    if (error instanceof IoError) return error.code
    throw error
  }
  return null
}

/** Which of these outcomes come about over many seeds. */
export function outcomes<T>(seeds: number, run: (seed: string) => T): Set<T> {
  return new Set(Array.from({ length: seeds }, (_, seed) => run(`seed ${seed}`)))
}
