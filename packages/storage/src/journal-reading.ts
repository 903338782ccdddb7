import { type Disk, type Done, IoError, readSmallFile, type Uuid } from '@millrace/base'
import { JOURNAL_LIFE, slotOfName } from './file-names.ts'
import { eachLimited } from './flow.ts'
import { LogChanges } from './journal-changes.ts'
import { parseLife } from './journal-files.ts'
import { BLOCK_BYTES, type FoundGroup, groupAt, groupNumberAt } from './journal-format.ts'

/** No file of a journal is larger: it holds one group at least, and a group one batch more than its limit. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024

/** What an unclean stop left of a journal. */
export interface FoundJournal {
  /** What it says of each log, by {@link logKey}. */
  readonly changes: ReadonlyMap<string, LogChanges>
  readonly files: number
  readonly groups: number
  /** Bytes of batches. */
  readonly bytes: number
}

export function logKey(topicId: Uuid, partition: number): string {
  return `${topicId}/${partition}`
}

/** The groups of one file that follow each other from its start, and what lies behind them. */
interface FileRun {
  readonly path: string
  readonly groups: readonly FoundGroup[]
  /** Where the run ends. */
  readonly end: number
  /** The largest number of a group whose header is whole behind the run, and where it is; -1 for none. */
  readonly later: number
  readonly laterAt: number
}

/** The slots of the journal's files that lie in a directory. */
export function listSlots(disk: Disk, path: string, done: Done<readonly number[]>): void {
  disk.list(path, (error, entries) => {
    if (error !== null) return done(error, [])
    const slots = entries.filter(({ kind }) => kind === 'file').map(({ name }) => slotOfName(name))
    done(
      null,
      slots.filter((slot) => slot !== null),
    )
  })
}

/**
 * Reads what counts of a journal after an unclean stop. Ends before the first group that is not whole: the last write may be torn. One
 * that is followed by later groups is none that was being written, so it was whole and acknowledged once: reading fails then, because
 * nobody knows what is missing.
 */
export function readJournal(disk: Disk, path: string, done: Done<FoundJournal | null>): void {
  listSlots(disk, path, (error, slots) => {
    if (error !== null) return done(error, null)
    readSmallFile(disk, `${path}/${JOURNAL_LIFE}`, (unread, bytes) => {
      if (unread !== null) return done(unread, null)
      if (bytes === null && slots.length === 0) return done(null, null)
      const life = bytes === null ? null : parseLife(bytes)
      const problem =
        bytes === null ? 'the journal has files, but this one is missing' : 'it tells no life of a journal'
      if (life === null) return done(rotten(`${path}/${JOURNAL_LIFE}`, problem), null)
      readFiles(
        disk,
        slots.map((slot) => `${path}/journal-${slot}`),
        life,
        done,
      )
    })
  })
}

function rotten(path: string, problem: string): IoError {
  return new IoError(
    'EIO',
    path,
    `${problem}; acknowledged records may be lost, so the directory stays offline until it is replaced`,
  )
}

// oxlint-disable-next-line max-params -- a step of the function above.
function readFiles(disk: Disk, paths: readonly string[], life: Uint8Array, done: Done<FoundJournal | null>): void {
  const runs: FileRun[] = []
  const readOne = (path: string, ended: Done<void>): void =>
    readSmallFile(
      disk,
      path,
      (error, bytes) => {
        if (bytes !== null) runs.push(runOf(path, bytes, life))
        ended(error ?? (bytes === null ? new IoError('ENOENT', path, 'it was listed and is gone') : null))
      },
      MAX_FILE_BYTES,
    )
  // One at a time: each is read whole.
  eachLimited(paths, 1, readOne, (error) => {
    if (error !== null) return done(error, null)
    try {
      done(null, gather(runs))
    } catch (cause) {
      if (!(cause instanceof IoError)) throw cause
      done(cause, null)
    }
  })
}

function runOf(path: string, bytes: Uint8Array, life: Uint8Array): FileRun {
  const groups: FoundGroup[] = []
  let end = 0
  for (;;) {
    const group = groupAt(bytes, end, life)
    const before = groups.at(-1)
    // What was written before the file was used again follows from here on.
    if (group === null || (before !== undefined && group.number !== before.number + 1)) break
    groups.push(group)
    end += group.bytes
  }
  let [later, laterAt] = [-1, -1]
  for (let at = end; at < bytes.length; at += BLOCK_BYTES) {
    const number = groupNumberAt(bytes, at, life) ?? -1
    if (number > later) [later, laterAt] = [number, at]
  }
  return { path, groups, end, later, laterAt }
}

const firstOf = ({ groups }: FileRun): number => groups[0]?.number ?? Number.POSITIVE_INFINITY
const lastOf = ({ groups }: FileRun): number => groups.at(-1)?.number ?? -1

/** Throws `IoError` where a group is missing that later ones follow. */
function gather(runs: readonly FileRun[]): FoundJournal {
  let firstNeeded = 1
  for (const { groups } of runs) for (const group of groups) firstNeeded = Math.max(firstNeeded, group.firstNeeded)
  const needed = runs.filter((run) => lastOf(run) >= firstNeeded).toSorted((a, b) => firstOf(a) - firstOf(b))
  let next = firstNeeded
  let before: FileRun | null = null
  for (const run of needed) {
    if (before === null ? firstOf(run) > next : firstOf(run) !== next) throw missing(runs, before, next, firstOf(run))
    next = lastOf(run) + 1
    before = run
  }
  const later = Math.max(...runs.map((run) => run.later), -1)
  if (later > next) throw missing(runs, before, next, later)
  return changesOf(needed, firstNeeded)
}

/** The group `number` is not whole, and `later` follows. It was where the run before it ends, or first in its file. */
// oxlint-disable-next-line max-params -- what an error tells.
function missing(runs: readonly FileRun[], before: FileRun | null, number: number, later: number): IoError {
  const candidates = before === null ? runs : [before, ...runs]
  const damaged = candidates.find((run) => run.later > number)
  const where = damaged === undefined ? 'in any file' : `at byte ${damaged.end}`
  const path = (damaged ?? before ?? runs[0])?.path ?? ''
  return rotten(path, `group ${number} of the journal is not whole ${where}, although group ${later} after it is`)
}

function changesOf(runs: readonly FileRun[], firstNeeded: number): FoundJournal {
  const changes = new Map<string, LogChanges>()
  let [groups, bytes] = [0, 0]
  for (const { path, groups: found } of runs)
    for (const { number, entries } of found) {
      if (number < firstNeeded) continue
      groups++
      for (const entry of entries) {
        const key = logKey(entry.topicId, entry.partition)
        const log = changes.get(key) ?? new LogChanges()
        changes.set(key, log)
        log.add(entry, path)
        bytes += entry.bytes
      }
    }
  return { changes, files: runs.length, groups, bytes }
}
