import {
  parentOf,
  randomUuid,
  type Entry,
  type IoError,
  type MillraceError,
  type RaftWrite,
  type Uuid,
  type World,
} from '@millrace/base'
import type { RaftStart } from '@millrace/raft'
import { RaftVoters } from '@millrace/rpc'
import {
  FIRST_STORE,
  readIdentity,
  writeIdentity,
  type Formation,
  type Identity,
  type IdentityAnswer,
} from './identity.ts'
import { MemberLog, type LogContents } from './member-log.ts'
import { removeQuietly, type SnapshotFiles } from './snapshot-files.ts'
import type { Snapshot } from './snapshot-format.ts'
import { planStart, type StartPlan } from './start-plan.ts'
import type { QuorumConfig } from './types.ts'

/** Newest entries kept in memory, in payload bytes. */
export const MAX_TAIL_BYTES = 8 * 1024 * 1024

type Outcome<T> = (error: IoError | MillraceError | null, value: T) => void

/** Everything durable of one member: identity, log and snapshots, read once at the start. */
export class MemberStore {
  readonly #world: World
  readonly #config: QuorumConfig
  readonly #files: SnapshotFiles
  #log: MemberLog | null = null
  #storePath = ''
  #contents: LogContents | null = null
  snapshot: Snapshot | null = null

  constructor(world: World, config: QuorumConfig, files: SnapshotFiles) {
    this.#world = world
    this.#config = config
    this.#files = files
  }

  get log(): MemberLog {
    return this.#log as MemberLog
  }

  /** Reads it all. The answer is who this node is; null: nobody yet, it waits. */
  open(done: Outcome<Identity | null>): void {
    const { disk } = this.#world
    const { directory } = this.#config
    const steps = chain(done)
    const loadLog = (identity: IdentityAnswer): void =>
      this.#openLog(
        identity.kind === 'read' ? identity.identity.store : FIRST_STORE,
        steps(() => this.#carryOut(this.#plan(identity), done)),
      )
    const loadSnapshot = (identity: IdentityAnswer): void =>
      this.#files.load(
        steps((snapshot) => {
          this.snapshot = snapshot
          loadLog(identity)
        }),
      )
    const read = steps(() => readIdentity(disk, directory, steps(loadSnapshot)))
    // A power cut takes what has its name only in memory, with all that was synced in it: a voter would forget that it voted. The names in the
    // folder may be those of a process that was killed before it had synced them.
    const named = steps(() => disk.syncDir(directory, read))
    disk.mkdir(
      directory,
      steps(() => disk.syncDir(parentOf(directory), named)),
    )
  }

  /** The first write of a member, then its identity: only after both may it say anything. */
  begin(change: Omit<RaftWrite, 'token'>, identity: Identity, done: Outcome<void>): void {
    const steps = chain(done)
    const healed = this.#contents?.state.damage === null ? {} : { healed: true }
    this.log.write(
      { ...change, ...healed },
      steps(() =>
        this.#save(
          identity,
          steps(() => this.#load(done)),
        ),
      ),
    )
  }

  close(done: Outcome<void>): void {
    if (this.#log === null) this.#world.timers.endOfTurn(() => done(null))
    else this.#log.close(done)
  }

  /** For the machine. */
  raftStart(): RaftStart {
    const { state, terms, voterEntries } = this.#contents as LogContents
    const index = this.snapshot?.index ?? 0
    return {
      hardState: state.hardState,
      firstIndex: state.firstIndex,
      lastIndex: state.lastIndex,
      terms,
      snapshotIndex: index,
      snapshotTerm: this.snapshot?.term ?? 0,
      voters: this.snapshot?.voters ?? [],
      voterEntries: voterEntries.filter((entry) => entry.index > index),
      // An identity never forgets, see `planStart`: whoever runs under it may vote.
      mayVote: true,
    }
  }

  #plan(identity: IdentityAnswer): StartPlan {
    const { nodeId, directoryId, clusterId, voters } = this.#config
    const { state, voterEntries } = this.#contents as LogContents
    const formation = formationOf(voterEntries[0])
    const alone = voters.length === 1
    return planStart({
      nodeId,
      directoryId,
      clusterId,
      alone,
      identity,
      store: state,
      formation,
      snapshot: this.snapshot,
    })
  }

  #carryOut(plan: StartPlan, done: Outcome<Identity | null>): void {
    const steps = chain(done)
    if (plan.kind === 'refuse') return done(plan.error, null)
    if (plan.kind === 'wait') return done(null, null)
    if (plan.kind === 'renew') return this.#renew(plan, done)
    const { identity } = plan
    const ready = steps(() => this.#alignWithSnapshot(identity, done))
    if (plan.write) this.#save(identity, ready)
    else ready(null, undefined)
  }

  /** As another voter, with what is left: a snapshot is, since only committed state is in it. */
  #renew(
    { clusterId, formation, reason }: { clusterId: Uuid; formation: Formation | null; reason: string },
    done: Outcome<Identity | null>,
  ): void {
    const steps = chain(done)
    const directoryId = randomUuid(this.#world.random)
    const identity = { directoryId, clusterId, formation, store: `${FIRST_STORE}-${directoryId}` }
    this.#world.log.error(
      { reason, directoryId: identity.directoryId },
      'the quorum store lost data: this node joins anew as another voter',
    )
    const forgetful = this.#storePath
    const restartAt = (this.snapshot?.index ?? 0) + 1
    const change = { hardState: { term: 0, votedFor: null }, restartAt }
    const begin = steps(() =>
      this.log.write(
        change,
        steps(() => {
          removeQuietly(this.#world.disk, forgetful)
          this.#load(steps(() => done(null, identity)))
        }),
      ),
    )
    const save = steps(() =>
      this.#save(
        identity,
        steps(() => this.#openLog(identity.store, begin)),
      ),
    )
    this.log.close(save)
  }

  #openLog(store: string, done: Outcome<void>): void {
    this.#storePath = `${this.#config.directory}/${store}`
    MemberLog.open(
      this.#world.raftStore,
      this.#storePath,
      MAX_TAIL_BYTES,
      chain(done)((log) => {
        this.#log = log
        this.#load(done)
      }),
    )
  }

  /** A crash between a fetched snapshot and the restart of the log leaves a log that does not reach it: the snapshot counts. */
  #alignWithSnapshot(identity: Identity, done: Outcome<Identity | null>): void {
    const steps = chain(done)
    const { snapshot } = this
    if (snapshot === null || reaches(this.#contents as LogContents, snapshot)) return done(null, identity)
    this.log.write(
      { restartAt: snapshot.index + 1 },
      steps(() => this.#load(steps(() => done(null, identity)))),
    )
  }

  #save(identity: Identity, done: Outcome<void>): void {
    writeIdentity(this.#world.disk, this.#config.directory, identity, done)
  }

  #load(done: Outcome<void>): void {
    this.log.load(
      chain(done)((contents) => {
        this.#contents = contents
        done(null, undefined)
      }),
    )
  }
}

/** Passes an error on and a value to the next step. */
function chain<F>(done: Outcome<F>): <T>(next: (value: T) => void) => Outcome<T> {
  return (next) => (error, value) => (error === null ? next(value) : done(error, undefined as F))
}

/** Whether the log goes on from the snapshot, or begins before it and agrees with it. */
function reaches({ state, terms }: LogContents, snapshot: Snapshot): boolean {
  if (state.lastIndex < snapshot.index) return false
  if (state.firstIndex === snapshot.index + 1) return true
  return terms.findLast(({ index }) => index <= snapshot.index)?.term === snapshot.term
}

function formationOf(entry: Entry | undefined): Formation | null {
  if (entry === undefined || entry.index !== 1) return null
  const { clusterId, voters } = RaftVoters.decode(entry.payload)
  return { clusterId, voters }
}
