import type { IoError, World } from '@millrace/base'
import type { DiskSpace } from './disk-space.ts'
import type { IndexCache } from './index-cache.ts'
import type { Journal } from './journal.ts'
import type { OpenFiles } from './open-files.ts'
import type { Reaper } from './reaper.ts'
import type { SyncScheduler } from './sync-scheduler.ts'
import type { TailCache } from './tail-cache.ts'
import type { FlushMode } from './types.ts'
import type { WriteBehind } from './write-behind.ts'

/** What the logs of one directory share. */
export interface LogServices {
  readonly world: World
  readonly flushMode: FlushMode
  readonly files: OpenFiles
  readonly indexes: IndexCache
  readonly tails: TailCache
  readonly scheduler: SyncScheduler
  readonly space: DiskSpace
  /** What makes appends durable in `fsync` mode, once the directory is open; null: syncs of the segments do. */
  readonly journal: Journal | null
  /** What is in the journal and not in the segments' files; null without a journal: then the files are all there is. */
  readonly behind: WriteBehind | null
  readonly reaper: Reaper
  /** Set once the disk failed: nothing is written any more. */
  readonly failed: IoError | null
  /** The disk failed: every log of the directory is told, once. */
  fail(error: IoError): void
  /** Runs once a checkpoint that was begun after this call is on disk, or has failed. */
  afterCheckpoint(run: (error: IoError | null) => void): void
  /** The checkpoint on disk promises more than the log holds now; `done` once it does not any more. */
  lowerCheckpoint(done: (error: IoError | null) => void): void
}
