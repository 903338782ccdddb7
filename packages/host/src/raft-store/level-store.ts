import { assert, IoError } from '@millrace/base'
import type { Done, Entry, HardState, RaftStore, RaftStoreState, RaftWrite, Timers } from '@millrace/base'
import { answer } from '../answer.ts'
import { closedError, ioError } from '../io-error.ts'
import { STATE_KEY } from './level-log.ts'
import type { LevelLog, LevelStep } from './level-log.ts'
import type { LogExtent } from './log-extent.ts'
import type { QuorumStateFile } from './quorum-state.ts'
import { encodeEntry, entryKey } from './stored-entry.ts'
import { encodeState } from './stored-state.ts'
import type { StoredState } from './stored-state.ts'

/** What opening a store found and made. */
export interface OpenedStore {
  readonly path: string
  readonly log: LevelLog
  readonly file: QuorumStateFile
  readonly state: StoredState
  readonly extent: LogExtent
  readonly timers: Timers
}

/**
 * Raft's log and hard state in LevelDB, with a second file as the witness of what the log must hold.
 *
 * Writes go in rounds. A round takes all writes that were called until it begins, as one synced batch together with the new state, whose
 * sequence is one higher; then the same state goes to the quorum-state file, synced; then the writes are done. So after a crash the log
 * is at the file's sequence or one ahead. Where the log is behind the file it has lost what was acknowledged, and no write that was
 * acknowledged can go missing unseen, because the file knew of it before anybody else did. The price is a second, cheap sync a round.
 */
export class LevelStore implements RaftStore {
  private readonly path: string
  private readonly log: LevelLog
  private readonly file: QuorumStateFile
  private readonly timers: Timers
  private readonly extent: LogExtent
  private durable: StoredState
  private hardState: HardState | null
  private damage: string | null
  private steps: LevelStep[] = []
  private changed = false
  private waiting: (() => void)[] = []
  private running = false
  private scheduled = false
  /** Whether entries that were trimmed may still take space. */
  private trimmed = true
  private failed: IoError | null = null
  private closing: Done<void> | null = null

  constructor(opened: OpenedStore) {
    this.path = opened.path
    this.log = opened.log
    this.file = opened.file
    this.timers = opened.timers
    this.extent = opened.extent
    this.durable = opened.state
    this.hardState = opened.state.hardState
    this.damage = opened.state.damage
  }

  load(done: Done<RaftStoreState>): void {
    this.whenWritten((error) => {
      const { firstIndex, lastIndex, lastTerm } = this.extent
      const damage = this.damage === null ? null : { reason: this.damage }
      done(error, { hardState: this.hardState, firstIndex, lastIndex, lastTerm, damage })
    })
  }

  write(change: RaftWrite, done: Done<void>): void {
    if (this.closing === null && this.failed === null) this.collect(change)
    this.whenWritten(done)
  }

  read(from: number, to: number, maxBytes: number, done: Done<readonly Entry[]>): void {
    const last = Math.min(to, this.extent.lastIndex)
    this.whenWritten((error) => {
      if (error !== null) return done(error, [])
      if (from < this.extent.firstIndex || from > last) return done(absent(this.path, from), [])
      answer(this.log.read(from, last, maxBytes), this.path, (failure, entries) => {
        // The entries may have been trimmed while they were being read.
        const trimmed = failure !== null && from < this.extent.firstIndex
        done(trimmed ? absent(this.path, from) : failure, entries ?? [])
      })
    })
  }

  close(done: Done<void>): void {
    if (this.closing !== null) return process.nextTick(done, closedError(this.path))
    this.closing = done
    this.schedule()
  }

  /** Takes a change into the next batch. Steps of a batch count in their order, so a later change may undo an earlier one. */
  private collect(change: RaftWrite): void {
    this.changed = true
    if (change.hardState !== undefined) this.hardState = newer(this.hardState, change.hardState)
    if (change.healed === true) this.damage = null
    const first = this.extent.firstIndex
    const removed = this.extent.cut(change)
    this.trimmed ||= this.extent.firstIndex > first
    for (let index = removed.from; index <= removed.to; index++) this.steps.push({ type: 'del', key: entryKey(index) })
    for (const entry of change.append ?? []) {
      this.extent.add(entry.index, entry.term)
      this.steps.push({ type: 'put', key: entryKey(entry.index), value: encodeEntry(entry) })
    }
  }

  /** Runs in a later turn, once all writes called before are durable, or with the reason why they are not. */
  private whenWritten(run: (error: IoError | null) => void): void {
    if (this.closing !== null) return process.nextTick(run, closedError(this.path))
    if (!this.changed && !this.running) return process.nextTick(run, this.failed)
    this.waiting.push(() => run(this.failed))
    this.schedule()
  }

  private schedule(): void {
    if (this.running || this.scheduled) return
    this.scheduled = true
    this.timers.endOfTurn(() => {
      this.scheduled = false
      void this.runRounds()
    })
  }

  /** Never rejects: what fails is kept as the store's failure and told to everybody who waits. */
  private async runRounds(): Promise<void> {
    this.running = true
    do {
      const waiting = this.waiting
      this.waiting = []
      await this.round()
      for (const run of waiting) process.nextTick(run)
      await this.clearTrimmed()
    } while (this.waiting.length > 0 || this.trimmed)
    this.running = false
    if (this.closing !== null) answer(this.closeBoth(), this.path, this.closing)
  }

  private async round(): Promise<void> {
    if (!this.changed || this.failed !== null) return
    const state = this.nextState()
    const steps = this.steps
    steps.push({ type: 'put', key: STATE_KEY, value: encodeState(state) })
    this.steps = []
    this.changed = false
    try {
      await this.log.batch(steps)
      await this.file.write(state)
      this.durable = state
    } catch (error) {
      // What is on disk now is unknown, so nothing may follow it: the next start finds out.
      this.failed = ioError(this.path, error)
    }
  }

  private nextState(): StoredState {
    const { firstIndex, lastIndex, lastTerm } = this.extent
    const { generation, sequence } = this.durable
    const { hardState, damage } = this
    return { generation, sequence: sequence + 1, hardState, firstIndex, lastIndex, lastTerm, damage }
  }

  /** One step of the clearing, after a round: never beside one, so that it cannot meet the entries of a batch. */
  private async clearTrimmed(): Promise<void> {
    if (!this.trimmed) return
    try {
      const { firstIndex } = this.durable
      await this.log.clearTrimmed(firstIndex)
      this.trimmed =
        this.closing === null && (firstIndex < this.extent.firstIndex || (await this.log.hasTrimmed(firstIndex)))
    } catch {
      // The entries count as gone; the next start tries again.
      this.trimmed = false
    }
  }

  private async closeBoth(): Promise<void> {
    await this.log.close()
    await this.file.close()
  }
}

function newer(old: HardState | null, change: HardState): HardState {
  assert(change.term >= (old?.term ?? 0), `term ${change.term} follows term ${old?.term}`)
  return change
}

function absent(path: string, index: number): IoError {
  return new IoError('ENOENT', path, `the log does not hold entry ${index}`)
}
