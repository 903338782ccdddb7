import type { Uuid } from '@millrace/base'
import type { ReplicaInspection } from '@millrace/broker'
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  baseOffset,
  crcMatches,
  leaderEpoch,
  nextOffset,
  storedCrc,
} from '@millrace/records'
import { BatchList } from './batch-list.ts'

/** Fills `into` with what a node's file holds from `at` on, as its programs see it; returns the bytes read, -1 without such a file. */
export type Peek = (node: number, path: string, at: number, into: Uint8Array) => number

/** How the files of nodes are looked at. */
export interface Files {
  readonly peek: Peek
  /** Whether something durable of the node was damaged and it has not recovered: what it holds is no evidence. */
  damaged(node: number): boolean
  /** How often the node's disk was wiped. */
  wipes(node: number): number
}

/** The log of one replica, over all lives of its node, as what was written to it. */
export class ReplicaMirror {
  readonly node: number
  list = new BatchList()
  problem: string | null = null
  directoryId: Uuid
  logStart = 0
  durableEnd = 0
  /** What the last process had on disk from here on it may have cut when it ended itself. */
  private cutAbove = Number.POSITIVE_INFINITY
  /** As it was when the log was opened: what a crash must have left. */
  durableBefore = 0
  /**
   * live: a running broker serves it. down: its node is not there, or has not opened it yet; what was durable counts on. doubt: the broker
   * took it out of service. lost: a power cut took what brokers that do not sync had promised.
   */
  state: 'live' | 'down' | 'doubt' | 'lost' = 'live'
  private readonly files: Files
  /** How often the disk had been wiped when the log was opened. */
  private wipes: number
  /** It was last read while its node was damaged. */
  private tainted = false
  private log: ReplicaInspection['log'] | null = null
  private generation = -1
  /** How far the files were read. */
  private segmentBase = -1
  private position = 0
  private scratch = new Uint8Array(4096)

  constructor(node: number, directoryId: Uuid, files: Files) {
    this.node = node
    this.directoryId = directoryId
    this.files = files
    this.wipes = files.wipes(node)
  }

  /** Its disk was damaged from outside, or wiped since the log was opened: its content is no evidence. */
  get damaged(): boolean {
    return this.tainted || this.wiped || this.files.damaged(this.node)
  }

  /** The disk was wiped, and the log has not been opened since. */
  get wiped(): boolean {
    return this.wipes !== this.files.wipes(this.node)
  }

  /** The node has had another disk before. */
  get everWiped(): boolean {
    return this.files.wipes(this.node) > 0
  }

  /** Whether what it holds counts at all; it may be damaged and not found out yet, which is asked only when something is missing. */
  get counts(): boolean {
    return this.state === 'live' || this.state === 'down'
  }

  /** What following this log means now: it goes on, was cut, was opened, or is read for the first time since its node recovered. */
  next(log: ReplicaInspection['log']): 'on' | 'cut' | 'opened' | 'recovered' {
    if (this.tainted && !this.files.damaged(this.node)) return 'recovered'
    if (log !== this.log) return 'opened'
    // What came and was deleted within one event was never seen: the log goes on behind a gap.
    const [first] = log.inspection.segments
    const unseen = this.list.length > 0 && first !== undefined && first.baseOffset > this.list.end
    return log.generation === this.generation && !unseen ? 'on' : 'cut'
  }

  /**
   * Follows the log to where it is now. What the log held before, when its files were read anew because it was cut, replaced or opened;
   * else null. `problem` tells what is wrong with the files.
   */
  follow(log: ReplicaInspection['log']): BatchList | null {
    const how = this.next(log)
    let before: BatchList | null = null
    if (how !== 'on') {
      if (how === 'opened') {
        this.durableBefore = Math.min(this.durableEnd, this.cutAbove)
        this.cutAbove = Number.POSITIVE_INFINITY
        this.wipes = this.files.wipes(this.node)
      }
      before = this.list
      this.list = new BatchList()
      this.segmentBase = -1
      this.log = log
      this.generation = log.generation
      this.tainted = this.files.damaged(this.node)
      this.problem = this.readOn(log, how !== 'cut')
    } else if (log.endOffset > this.list.end) this.problem = this.readOn(log, false)
    this.logStart = log.logStart
    this.durableEnd = log.durableEnd
    return before
  }

  /** A process that ended itself may have been in the middle of a cut: only what is committed, which it holds up to here, will be missed. */
  mayBeCut(committed: number): void {
    this.cutAbove = committed
  }

  /** The process is gone. A power cut takes what was not durable. */
  ended(powerCut: boolean, fsync: boolean): void {
    this.log = null
    if (!this.counts) return
    this.state = powerCut && !fsync ? 'lost' : 'down'
  }

  /** Reads the batches that lie after what was read, up to the log's end. */
  private readOn(log: ReplicaInspection['log'], check: boolean): string | null {
    const { segments, unwritten } = log.inspection
    let at = this.segmentBase === -1 ? 0 : segments.findLastIndex(({ baseOffset }) => baseOffset <= this.segmentBase)
    if (at < 0) at = 0
    let problem: string | null = null
    for (; at < segments.length; at++) {
      const segment = segments[at] as (typeof segments)[number]
      if (segment.baseOffset !== this.segmentBase) {
        this.segmentBase = segment.baseOffset
        this.position = 0
      }
      const found = this.readSegment(segment.logPath, segment.size, at === segments.length - 1 ? unwritten : [], check)
      problem ??= found
      // What cannot be read is passed over: what is written behind it counts again.
      this.position = segment.size
    }
    const { end } = this.list
    if (problem !== null) return problem
    return this.list.length === 0 || end === log.endOffset
      ? null
      : `the files end at ${end}, the log at ${log.endOffset}`
  }

  /** `unwritten` is the end of the segment, which its file has not got yet. */
  // oxlint-disable-next-line max-params -- one segment, and how to read it.
  private readSegment(path: string, size: number, unwritten: readonly Uint8Array[], check: boolean): string | null {
    const length = size - this.position
    if (length <= 0) return null
    if (this.scratch.length < length) this.scratch = new Uint8Array(length * 2)
    const bytes = this.scratch.subarray(0, length)
    const written = Math.max(0, size - this.position - lengthOf(unwritten))
    const read = written === 0 ? 0 : this.files.peek(this.node, path, this.position, bytes.subarray(0, written))
    if (read < written) return `${path} holds ${read} bytes after ${this.position}, ${written} were written`
    copyEnd(unwritten, bytes.subarray(written))
    let wrong: string | null = null
    let at = 0
    while (at < length) {
      if (length - at < BATCH_HEADER_BYTES) return `${path} ends in half a batch`
      const batch = batchBytes(bytes, at)
      if (batch < BATCH_HEADER_BYTES || at + batch > length)
        return `${path} holds no whole batch at ${this.position + at}`
      if (check && !crcMatches(bytes, at)) wrong ??= `the CRC of the batch at ${this.position + at} of ${path} is wrong`
      const base = baseOffset(bytes, at)
      this.list.push({ base, next: nextOffset(bytes, at), epoch: leaderEpoch(bytes, at), crc: storedCrc(bytes, at) })
      at += batch
    }
    return wrong
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

/** Fills `into` with the last bytes of the parts. */
function copyEnd(parts: readonly Uint8Array[], into: Uint8Array): void {
  let end = into.length
  for (let at = parts.length - 1; at >= 0 && end > 0; at--) {
    const part = parts[at] as Uint8Array
    const taken = Math.min(part.length, end)
    into.set(part.subarray(part.length - taken), end - taken)
    end -= taken
  }
}
