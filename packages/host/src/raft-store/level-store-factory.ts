import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Done, HardState, Logger, RaftStore, RaftStoreFactory, Timers } from '@millrace/base'
import { answer } from '../answer.ts'
import { LevelLog, LogDamaged, STATE_KEY } from './level-log.ts'
import { LevelStore } from './level-store.ts'
import type { OpenedStore } from './level-store.ts'
import { LogExtent } from './log-extent.ts'
import { QuorumStateFile, readQuorumState, syncFolder } from './quorum-state.ts'
import { encodeState, sameState } from './stored-state.ts'
import type { StoredState } from './stored-state.ts'

/** How many damaged logs are kept for inspection; older ones are removed. */
const DAMAGED_KEPT = 3

/** What the stores of a {@link LevelStoreFactory} need of their world: turns to batch writes by, and a log for damage. */
export interface LevelStoreOptions {
  readonly timers: Timers
  readonly log: Logger
}

/**
 * Raft stores in LevelDB. A store's folder holds the file `quorum-state`, the folder `log-<generation>` of the current generation, and
 * what was damaged: `damaged-<generation>` and `quorum-state.damaged-<generation>`.
 *
 * Opening reads the whole log and holds it against the quorum-state file. On damage the next generation begins empty, by replacing the
 * quorum-state file, and carries the reason until the node writes that it is healed. It keeps the highest term and vote that are known.
 * An error of the machine (permission, full disk, lock of another process) is an error of `open` and touches nothing.
 */
export class LevelStoreFactory implements RaftStoreFactory {
  private readonly options: LevelStoreOptions

  constructor(options: LevelStoreOptions) {
    this.options = options
  }

  open(path: string, done: Done<RaftStore>): void {
    answer(new Opening(path, this.options).run(), path, done)
  }
}

class Opening {
  private readonly path: string
  private readonly quorumPath: string
  private readonly options: LevelStoreOptions

  constructor(path: string, options: LevelStoreOptions) {
    this.path = path
    this.quorumPath = join(path, 'quorum-state')
    this.options = options
  }

  async run(): Promise<RaftStore> {
    await mkdir(this.path, { recursive: true })
    await syncFolder(dirname(this.path))
    const recorded = await readQuorumState(this.quorumPath)
    if (recorded !== 'missing' && recorded !== 'corrupt') return this.openLog(recorded)
    const last = await this.lastState()
    if (recorded === 'missing' && (await this.isUnfinished(last))) return this.begin(blank(1, null, null))
    return this.abandon(`quorum-state is ${recorded}`, last?.hardState ?? null)
  }

  /** Whether nothing was ever written here: an empty folder, or one whose making was interrupted. */
  private async isUnfinished(last: StoredState | null): Promise<boolean> {
    if ((await this.numbered(/^(?:log|damaged)-(\d+)$/)).length === 0) return true
    return last !== null && last.generation === 1 && last.sequence === 0
  }

  /** What the newest log says of itself, for when the quorum-state file says nothing. */
  private async lastState(): Promise<StoredState | null> {
    const generation = (await this.generations()).at(-1)
    if (generation === undefined) return null
    try {
      const log = await LevelLog.open(this.logPath(generation), false)
      try {
        return await log.state()
      } finally {
        await log.close()
      }
    } catch (error) {
      if (error instanceof LogDamaged) return null
      throw error
    }
  }

  private async openLog(recorded: StoredState): Promise<RaftStore> {
    let log: LevelLog | null = null
    let hardState = recorded.hardState
    try {
      log = await LevelLog.open(this.logPath(recorded.generation), false)
      const state = await log.state()
      if ((state.hardState?.term ?? -1) >= (hardState?.term ?? -1)) hardState = state.hardState
      checkAgainst(recorded, state)
      const extent = await log.extent(state)
      const file = await QuorumStateFile.open(this.quorumPath)
      await file.write(state)
      await this.putAside(state.generation)
      return new LevelStore(this.opened(log, file, state, extent))
    } catch (error) {
      await log?.close()
      if (!(error instanceof LogDamaged)) throw error
      return this.abandon(error.message, hardState)
    }
  }

  /** Begins the next generation, empty. Until its quorum-state file is in place the damaged one stays, so a crash finds the damage again. */
  private async abandon(reason: string, hardState: HardState | null): Promise<RaftStore> {
    const generation = (await this.numbered(/^(?:log|damaged|quorum-state\.damaged)-(\d+)$/)).at(-1) ?? 0
    const term = hardState?.term ?? null
    this.options.log.error({ path: this.path, reason, generation, term }, 'the raft store is damaged and begins empty')
    await copyIfThere(this.quorumPath, `${this.quorumPath}.damaged-${generation}`)
    return this.begin(blank(generation + 1, hardState, reason))
  }

  private async begin(state: StoredState): Promise<RaftStore> {
    const path = this.logPath(state.generation)
    await rm(path, { recursive: true, force: true })
    const log = await LevelLog.open(path, true)
    await log.batch([{ type: 'put', key: STATE_KEY, value: encodeState(state) }])
    await syncFolder(path)
    await syncFolder(this.path)
    const file = await QuorumStateFile.create(this.quorumPath, state)
    await this.putAside(state.generation)
    return new LevelStore(this.opened(log, file, state, new LogExtent()))
  }

  /** Renames the logs of other generations, and removes the oldest of those that were put aside before. */
  private async putAside(current: number): Promise<void> {
    for (const old of await this.generations()) {
      if (old !== current) await rename(this.logPath(old), join(this.path, `damaged-${old}`))
    }
    const damaged = await this.numbered(/^(?:damaged|quorum-state\.damaged)-(\d+)$/)
    for (const generation of damaged.slice(0, -DAMAGED_KEPT)) {
      await rm(join(this.path, `damaged-${generation}`), { recursive: true, force: true })
      await rm(`${this.quorumPath}.damaged-${generation}`, { force: true })
    }
  }

  private opened(log: LevelLog, file: QuorumStateFile, state: StoredState, extent: LogExtent): OpenedStore {
    return { path: this.path, log, file, state, extent, timers: this.options.timers }
  }

  /** The generations whose logs are here, ascending. */
  private generations(): Promise<number[]> {
    return this.numbered(/^log-(\d+)$/)
  }

  /** The numbers in the names that match, each once, ascending. */
  private async numbered(pattern: RegExp): Promise<number[]> {
    const numbers = (await readdir(this.path)).flatMap((name) => pattern.exec(name)?.[1] ?? [])
    return [...new Set(numbers.map(Number))].sort((a, b) => a - b)
  }

  private logPath(generation: number): string {
    return join(this.path, `log-${generation}`)
  }
}

/** A crash between the two syncs of a round leaves the log one ahead of the file; every other difference is a loss. */
function checkAgainst(recorded: StoredState, state: StoredState): void {
  const ahead = state.sequence - recorded.sequence
  if (ahead < 0) throw new LogDamaged(`the log has lost its last ${-ahead} writes: it is older than quorum-state`)
  if (ahead > 1) throw new LogDamaged(`quorum-state is ${ahead} writes older than the log`)
  if (state.generation !== recorded.generation)
    throw new LogDamaged('the log is of another generation than quorum-state')
  if (ahead === 0 && !sameState(recorded, state)) throw new LogDamaged('quorum-state and the log disagree')
}

function blank(generation: number, hardState: HardState | null, damage: string | null): StoredState {
  return { generation, sequence: 0, hardState, firstIndex: 1, lastIndex: 0, lastTerm: 0, damage }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
