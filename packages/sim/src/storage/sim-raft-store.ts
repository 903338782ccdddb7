import { assert, IoError } from '@millrace/base'
import type { Done, Entry, HardState, RaftStore, RaftStoreFactory, RaftStoreState, RaftWrite } from '@millrace/base'
import { closedError } from '@millrace/host'
import type { LogExtent } from '@millrace/host'
import type { Life } from '../seams.ts'
import { DurableRaft } from './durable-raft.ts'
import type { Machine } from './machine.ts'
import { Folder } from './names.ts'

/** What a write takes beside its entries. */
const WRITE_BYTES = 256

/** The file beside the log in a store's folder. What it and the log hold is in `DurableRaft`; a store without it is damaged. */
const WITNESS = 'quorum-state'

/** A machine's Raft stores as one process sees them: each has a folder on its disk, and goes with it. */
export class SimRaftStores implements RaftStoreFactory {
  private readonly machine: Machine
  private readonly life: Life

  constructor(machine: Machine, life: Life) {
    this.machine = machine
    this.life = life
    machine.watch(life)
  }

  open(path: string, done: Done<RaftStore>): void {
    this.machine.answer(this.life, done, () => {
      if (this.machine.freeBytes < WRITE_BYTES) throw new IoError('ENOSPC', path, 'the disk is full')
      const durable = this.found(path) ?? this.create(path)
      if (durable.openIn?.over === false) throw new IoError('EACCES', path, 'another process has the raft store open')
      this.readAll(durable)
      durable.openIn = this.life
      durable.opening = ++this.machine.openedStores
      return new SimRaftStore(this.machine, this.life, durable)
    })
  }

  private found(path: string): DurableRaft | null {
    const folder = this.machine.names.find(path)
    if (!(folder instanceof Folder) || folder.raft === null) return null
    if (!folder.entries.has(WITNESS) && folder.raft.written) folder.raft.spoil(`${WITNESS} is missing`, 'kept')
    this.makeWitness(folder)
    return folder.raft
  }

  private create(path: string): DurableRaft {
    const { names, wallMs, schedule } = this.machine
    schedule.note(`raft store ${path}`)
    names.makeFolders(path, wallMs)
    names.sync(names.place(path).folder)
    const folder = names.folder(path)
    folder.raft = new DurableRaft(path)
    this.makeWitness(folder)
    return folder.raft
  }

  private makeWitness(folder: Folder): void {
    const { names, wallMs } = this.machine
    if (folder.entries.has(WITNESS)) return
    names.create({ folder, name: WITNESS }, wallMs)
    names.sync(folder)
  }

  /** What keeps the log from being read is damage to it, unless the machine says that it is something else. */
  private readAll(durable: DurableRaft): void {
    try {
      this.machine.check('open', durable.path)
    } catch (error) {
      if (!(error instanceof IoError) || error.code !== 'EIO') throw error
      if (durable.written) durable.spoil('the log cannot be read', 'kept')
    }
    durable.meet()
  }
}

/**
 * A Raft store that is open in one process. Writes go in rounds, as in LevelDB with its witness file: all that was called until a round
 * begins is one synced batch, which a crash leaves whole or not at all, and after one that fails the store takes nothing more.
 */
class SimRaftStore implements RaftStore {
  private readonly machine: Machine
  private readonly life: Life
  private readonly durable: DurableRaft
  /** The log as it will be once all that was called is done. */
  private readonly extent: LogExtent
  private hardState: HardState | null
  private changes: RaftWrite[] = []
  private waiting: (() => void)[] = []
  private running = false
  private scheduled = false
  private failed: IoError | null = null
  private closing: Done<void> | null = null

  constructor(machine: Machine, life: Life, durable: DurableRaft) {
    this.machine = machine
    this.life = life
    this.durable = durable
    this.extent = durable.extent.copy()
    this.hardState = durable.hardState
  }

  load(done: Done<RaftStoreState>): void {
    this.whenWritten((error) => done(error, this.durable.state()))
  }

  write(change: RaftWrite, done: Done<void>): void {
    if (this.closing === null && this.failed === null && !this.life.over) this.collect(change)
    this.whenWritten((error) => done(error))
  }

  read(from: number, to: number, maxBytes: number, done: Done<readonly Entry[]>): void {
    const last = Math.min(to, this.extent.lastIndex)
    this.whenWritten((error) => {
      if (error !== null) return done(error, [])
      this.machine.answer(this.life, done, () => this.entries(from, last, maxBytes))
    })
  }

  close(done: Done<void>): void {
    if (this.closing !== null) return this.whenWritten(done)
    this.closing = done
    this.schedule()
  }

  private collect(change: RaftWrite): void {
    const term = this.hardState?.term ?? 0
    if (change.hardState !== undefined) {
      assert(change.hardState.term >= term, `term ${change.hardState.term} follows term ${term}`)
      this.hardState = change.hardState
    }
    this.extent.cut(change)
    for (const entry of change.append ?? []) this.extent.add(entry.index, entry.term)
    const append = change.append?.map((entry) => ({ ...entry, payload: entry.payload.slice() })) ?? []
    this.changes.push({ ...change, append })
  }

  /** Runs in a later event, once all writes called before are durable, or with the reason why they are not. */
  private whenWritten(run: (error: IoError | null) => void): void {
    if (this.closing !== null) {
      const refusal = closedError(this.durable.path)
      return this.machine.answer<void>(
        this.life,
        () => run(refusal),
        () => {},
      )
    }
    if (this.changes.length === 0 && !this.running)
      return this.machine.answer<void>(
        this.life,
        () => run(this.failed),
        () => {},
      )
    this.waiting.push(() => run(this.failed))
    this.schedule()
  }

  private schedule(): void {
    if (this.running || this.scheduled) return
    this.scheduled = true
    this.machine.schedule.endOfTurn(this.life, () => {
      this.scheduled = false
      this.round()
    })
  }

  private round(): void {
    this.running = true
    const { changes, waiting } = this
    this.changes = []
    this.waiting = []
    const ended: Done<void> = (error) => this.ended(error, waiting)
    if (changes.length === 0) return this.machine.answer<void>(this.life, ended, () => {})
    const work = (): void => this.carryOut(changes)
    // A process that dies over a round leaves all of it or nothing.
    this.machine.begin(this.life, ended, { work, abandon: () => this.maybeApply(changes) })
  }

  private carryOut(changes: readonly RaftWrite[]): void {
    const { machine, durable } = this
    if (this.failed !== null) throw this.failed
    let bytes = WRITE_BYTES
    for (const { append } of changes) for (const { payload } of append ?? []) bytes += payload.length
    try {
      if (bytes > machine.freeBytes) throw new IoError('ENOSPC', durable.path, 'the disk is full')
      machine.check('append', durable.path)
      machine.check('sync', durable.path)
    } catch (error) {
      this.maybeApply(changes)
      throw error
    }
    this.apply(changes)
  }

  /** What is on disk after a failure is unknown. */
  private maybeApply(changes: readonly RaftWrite[]): void {
    if (this.failed === null && this.machine.fate.below(2) === 0) this.apply(changes)
  }

  private apply(changes: readonly RaftWrite[]): void {
    const { schedule } = this.machine
    for (const change of changes) {
      this.durable.apply(change)
      schedule.note('raft write', this.durable.lastIndex)
      if (change.hardState !== undefined)
        schedule.note(`vote ${change.hardState.votedFor?.id ?? -1}`, change.hardState.term)
      for (const { payload } of change.append ?? []) schedule.note('entry', payload)
    }
  }

  private ended(error: IoError | null, waiting: readonly (() => void)[]): void {
    this.running = false
    if (error !== null) this.failed ??= error
    if (this.changes.length > 0 || this.waiting.length > 0) this.schedule()
    for (const run of waiting) if (!this.life.over) run()
    if (this.closing !== null && !this.running && !this.scheduled) this.closed(this.closing)
  }

  private closed(done: Done<void>): void {
    this.machine.answer(this.life, done, () => {
      this.durable.openIn = null
    })
  }

  private entries(from: number, to: number, maxBytes: number): Entry[] {
    const { durable, machine } = this
    if (from < durable.firstIndex || from > to)
      throw new IoError('ENOENT', durable.path, `the log does not hold entry ${from}`)
    machine.check('read', durable.path)
    const found: Entry[] = []
    let bytes = 0
    for (let index = from; index <= to; index++) {
      const entry = durable.entry(index)
      if (entry === undefined) throw new IoError('EIO', durable.path, `entry ${index} is missing`)
      bytes += entry.payload.length
      if (bytes > maxBytes && found.length > 0) break
      if (durable.isRotten(index, index)) throw new IoError('EIO', durable.path, `entry ${index} is corrupt`)
      found.push({ ...entry, payload: entry.payload.slice() })
    }
    return found
  }
}
