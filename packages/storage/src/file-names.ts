// Kafka's names. Positions have twenty digits, so that a listing sorted by name is sorted by offset.
const OFFSET_DIGITS = 20
const MAX_NAME_BYTES = 255

export type SegmentFileKind = 'log' | 'index' | 'timeindex'

export const PARTITION_METADATA = 'partition.metadata'
export const LEADER_EPOCHS = 'leader-epoch-checkpoint'
export const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
export const HIGH_WATERMARKS = 'replication-offset-checkpoint'
export const LOG_STARTS = 'log-start-offset-checkpoint'
export const CLEANED_ENDS = 'cleaner-offset-checkpoint'
export const CLEAN_SHUTDOWN = '.kafka_cleanshutdown'
/** In a partition's folder: why its log is not to be trusted. Ours; Kafka has no such file. */
export const QUARANTINED = 'quarantined'
/** In the directory: which journal counts. Ours, as are the files of the journal; Kafka lets them be. */
export const JOURNAL_LIFE = 'journal-life'
const JOURNAL_FILE = /^journal-(0|[1-9]\d{0,8})$/
/** Folders that were put aside: of unknown topics, quarantined, diverged. Nothing in it is ever opened. */
export const STRAY = 'stray'
export const DELETED_FILE = '.deleted'
/** Behind the name of a segment's file that is no part of the log yet. Ours. */
export const PROVISIONAL_FILE = '.new'
/** Behind the name of a segment's file that compaction wrote. */
export const CLEANED_FILE = '.cleaned'
/** `<base offset>.swapping`: a compacted segment is taking the place of others. Ours. */
const SWAP_MARK = /^(\d{20})\.swapping$/
const DELETED_FOLDER = '-delete'

/** `00000000000000000042.log` */
export function segmentFileName(baseOffset: number, kind: SegmentFileKind): string {
  return `${String(baseOffset).padStart(OFFSET_DIGITS, '0')}.${kind}`
}

/** `00000000000000000042.snapshot` */
export function snapshotFileName(endOffset: number): string {
  return `${String(endOffset).padStart(OFFSET_DIGITS, '0')}.snapshot`
}

/** Where the log ended when a snapshot was taken, or null for any other name. */
export function endOffsetOfName(name: string): number | null {
  return offsetOf(/^(\d{20})\.snapshot$/.exec(name)?.[1])
}

/** The base offset of a segment's log file, or null for any other name. */
export function baseOffsetOfName(name: string): number | null {
  return offsetOf(/^(\d{20})\.log$/.exec(name)?.[1])
}

function offsetOf(digits: string | undefined): number | null {
  const offset = digits === undefined ? Number.NaN : Number(digits)
  return Number.isSafeInteger(offset) ? offset : null
}

export function swapMarkName(baseOffset: number): string {
  return `${String(baseOffset).padStart(OFFSET_DIGITS, '0')}.swapping`
}

/** The base offset in the name of a swap's mark, or null for any other name. */
export function baseOffsetOfMark(name: string): number | null {
  const digits = SWAP_MARK.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** `journal-7`: numbered, but in no order; what a file holds says where it belongs. */
export function journalFileName(slot: number): string {
  return `journal-${slot}`
}

/** The number of a journal's file, or null for any other name. */
export function slotOfName(name: string): number | null {
  const digits = JOURNAL_FILE.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** `<topic>-<partition>` */
export function folderName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** What a folder's name says, or null for one that is no partition's. */
export function partitionOfFolder(name: string): { topic: string; partition: number } | null {
  const match = /^([a-zA-Z0-9._-]{1,249})-(0|[1-9]\d{0,9})$/.exec(name)
  const partition = Number(match?.[2])
  if (match === null || !(partition < 2 ** 31)) return null
  return { topic: match[1] as string, partition }
}

/** `<topic>-<partition>.<id>-delete`, cut from the left part where a file system would refuse the length. */
export function deletedFolderName(topic: string, partition: number, id: string): string {
  const suffix = `.${id}${DELETED_FOLDER}`
  return folderName(topic, partition).slice(0, MAX_NAME_BYTES - suffix.length) + suffix
}

export function isDeletedFolder(name: string): boolean {
  return name.endsWith(DELETED_FOLDER)
}

/** The name under which a folder is put aside. */
export function strayFolderName(topic: string, partition: number, id: string): string {
  const suffix = `.${id}-stray`
  return folderName(topic, partition).slice(0, MAX_NAME_BYTES - suffix.length) + suffix
}
