import type { DirEntry } from '@millrace/base'
import {
  baseOffsetOfMark,
  baseOffsetOfName,
  CLEANED_FILE,
  DELETED_FILE,
  endOffsetOfName,
  PROVISIONAL_FILE,
  QUARANTINED,
  segmentFileName,
} from './file-names.ts'
import type { SegmentFiles } from './segment.ts'

/** What a partition's folder holds. */
export interface FolderListing {
  /** By base offset. */
  readonly segments: readonly SegmentFiles[]
  /** Where the log ended when each of its snapshots was taken. */
  readonly snapshots: readonly number[]
  /** Names of files that an earlier process had begun to remove, or to write. */
  readonly leftovers: readonly string[]
  /** Names of files that never became part of the log. The same names may be used again. */
  readonly provisional: readonly string[]
  /** The bases of compacted segments that were taking their place. */
  readonly swaps: readonly number[]
  /** An earlier process found the log rotten. */
  readonly quarantined: boolean
}

/** Sorts a listing out; files that are neither segments nor leftovers are let be. */
export function readListing(folder: string, entries: readonly DirEntry[]): FolderListing {
  const sizes = new Map(entries.filter(({ kind }) => kind === 'file').map((entry) => [entry.name, entry]))
  const segments: SegmentFiles[] = []
  for (const { name, size, modifiedMs } of sizes.values()) {
    const baseOffset = baseOffsetOfName(name)
    if (baseOffset === null) continue
    const indexBytes = sizes.get(segmentFileName(baseOffset, 'index'))?.size ?? 0
    const timeIndexBytes = sizes.get(segmentFileName(baseOffset, 'timeindex'))?.size ?? 0
    segments.push({ baseOffset, folder, size, indexBytes, timeIndexBytes, modifiedMs })
  }
  segments.sort((a, b) => a.baseOffset - b.baseOffset)
  const leftovers = [...sizes.keys()].filter((name) => name.endsWith(DELETED_FILE) || name.endsWith('.tmp'))
  const provisional = [...sizes.keys()].filter((name) => name.endsWith(PROVISIONAL_FILE) || name.endsWith(CLEANED_FILE))
  const swaps = [...sizes.keys()].map(baseOffsetOfMark).filter((base) => base !== null)
  const snapshots = [...sizes.keys()].map(endOffsetOfName).filter((offset) => offset !== null)
  return { segments, snapshots, leftovers, provisional, swaps, quarantined: sizes.has(QUARANTINED) }
}
