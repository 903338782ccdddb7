import type { Clock } from '@millrace/base'
import type { LaterTurns } from '../turns.ts'
import type { MemoryBytes } from './memory-bytes.ts'

/** A file's content and times; open files keep it when its name is gone, as on a real disk. */
export interface MemoryNode {
  readonly bytes: MemoryBytes
  modifiedMs: number
}

/** What open files need to know of the disk that they are on. */
export interface MemorySpace {
  readonly clock: Clock
  readonly turns: LaterTurns
  /** Takes `bytes` (negative: gives back); false when they are not there. */
  take(bytes: number): boolean
}
