import { IoError, type Timers } from '@millrace/base'
import type { LogDirectory, PartitionLog } from '@millrace/storage'
import { isPassing } from './own-directories.ts'

const CHECKPOINT_RETRY_US = 1_000_000

/** Who is told what a failure of the log means. */
export interface ReplicaLogOwner {
  /** The disk has no room: nothing was written. */
  full(error: IoError): void
  /** The disk is not to be trusted again. */
  failed(error: IoError): void
  /** This log alone is in doubt. */
  quarantined(reason: string): void
  /** Appends may go on. */
  released(): void
}

/** A replica's hand on its log: what a failure means, and what must be on disk before what. */
export class ReplicaLog {
  private readonly log: PartitionLog
  private readonly directory: LogDirectory
  private readonly timers: Timers
  private readonly owner: ReplicaLogOwner
  /** What the log's checkpoint is to say, and how many writes of a lower one the next append waits for. */
  private checkpointed: number
  private holds = 0

  constructor(log: PartitionLog, directory: LogDirectory, timers: Timers, owner: ReplicaLogOwner) {
    this.log = log
    this.directory = directory
    this.timers = timers
    this.owner = owner
    this.checkpointed = log.highWatermark
  }

  /** Nothing may be appended before `released`. */
  get held(): boolean {
    return this.holds > 0
  }

  /** False when nothing was written; `atOnce` as for `PartitionLog.append`. A full disk passes; any other failure takes the directory out of service. */
  append(batches: readonly Uint8Array[], nowMs: number, atOnce = false): boolean {
    try {
      this.log.append(batches, nowMs, atOnce)
      return true
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      if (isPassing(error)) this.owner.full(error)
      else this.diskError(error)
      return false
    }
  }

  /** Anything that must not fail half way. False when the disk failed. */
  change(run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      this.diskError(error)
      return false
    }
  }

  /**
   * The checkpoint says as much as is on disk here. It falls only after an unclean election, and must have fallen on disk before what
   * is appended next, or a crash would call that committed.
   */
  checkpointWatermark(offset: number): void {
    if (offset === this.checkpointed) return
    const falls = offset < this.checkpointed
    this.checkpointed = offset
    this.log.checkpointHighWatermark(offset)
    if (!falls) return
    this.holds++
    this.writeCheckpoint()
  }

  private writeCheckpoint(): void {
    this.directory.checkpoint((error) => {
      if (error !== null && isPassing(error)) {
        this.timers.after(CHECKPOINT_RETRY_US, () => this.writeCheckpoint())
        return
      }
      this.holds--
      if (error !== null) this.owner.failed(error)
      else if (this.holds === 0) this.owner.released()
    })
  }

  /** One log in doubt is no failure of its directory. */
  private diskError(error: IoError): void {
    const { quarantined } = this.log
    if (quarantined === null) this.owner.failed(error)
    else this.owner.quarantined(quarantined)
  }
}
