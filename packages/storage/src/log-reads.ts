import { type Done, IoError } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchBytes,
  crcMatches,
  isGap,
  lastOffset,
  leaderEpoch,
  nextOffset,
  restOfGap,
} from '@millrace/records'
import { headerProblem } from './batch-walk.ts'
import type { SegmentedLog } from './partition-log.ts'
import { OWN_MEMORY } from './read-memory.ts'
import { Rot, type Segment } from './segment.ts'
import type { LogSlice, ReadMemory } from './types.ts'
import { attempted } from './write-behind.ts'

/** The most that one read gives: memory must not follow what a client asks for. */
const MAX_READ_BYTES = 8 * 1024 * 1024
/** The least that is read at once, so that small limits do not make many small reads. */
const MIN_READ_BYTES = 16 * 1024
/** Places remembered for readers that go on where they stopped. */
const PLACES = 8
/** How often a read that truncations overtook begins again. */
const MAX_ATTEMPTS = 8

interface Place {
  readonly offset: number
  readonly segment: Segment
  readonly position: number
}

/** What is read, and for whom. */
export interface LogRead {
  readonly from: number
  readonly maxBytes: number
  readonly below: number
  readonly done: Done<LogSlice>
  readonly memory: ReadMemory
  /** Batches from disk are held against their CRC and their epochs. */
  readonly proven: boolean
}

interface ReadRequest extends LogRead {
  /** What was taken of it: a read that begins again uses it again. */
  into: Uint8Array
  attempts: number
}

/** One positional read of one segment, by one snapshot of its size. */
interface Window {
  readonly segment: Segment
  readonly position: number
  /** Whole batches end here at the latest. */
  readonly end: number
  readonly generation: number
  /** The batch at `position` ends with this offset by the index; -1 where nothing is claimed. */
  readonly claimed: number
}

/** What was found in the bytes of a window. */
type Found =
  | { readonly kind: 'slice'; readonly from: number; readonly to: number; readonly nextOffset: number }
  /** The batch at this position of the file must be read with so many bytes. */
  | { readonly kind: 'more'; readonly position: number; readonly bytes: number }
  /** Nothing of this segment is asked for. */
  | { readonly kind: 'past' }
  | { readonly kind: 'damage'; readonly position: number; readonly detail: string }
  | { readonly kind: 'wrongIndex' }

/** Reads of one log: from memory where the tail cache has it, else by positional reads. */
export class LogReads {
  private readonly log: SegmentedLog
  private places: Place[] = []
  private nextPlace = 0

  constructor(log: SegmentedLog) {
    this.log = log
  }

  forgetPlaces(): void {
    this.places = []
    this.nextPlace = 0
  }

  read(asked: LogRead): LogSlice | null {
    const { log } = this
    const { from, maxBytes, below, done, memory } = asked
    const limit = Math.min(below, log.endOffset)
    const refused = this.refusal(from)
    if (refused !== null) {
      log.services.world.timers.after(0, () => done(refused, NOTHING))
      return null
    }
    if (from >= limit) return { parts: [], bytes: 0, nextOffset: from }
    const atMost = Math.min(maxBytes, MAX_READ_BYTES)
    const cached = log.tail.read(from, atMost, limit, memory)
    if (cached !== null) return cached
    this.start({ ...asked, maxBytes: atMost, below: limit, into: NO_BYTES, attempts: MAX_ATTEMPTS })
    return null
  }

  peek(from: number, maxBytes: number, below: number): LogSlice | null {
    const { log } = this
    if (this.refusal(from) !== null) return null
    return log.tail.peek(from, maxBytes, Math.min(below, log.endOffset))
  }

  private refusal(from: number): IoError | null {
    const { log } = this
    if (log.closed) return new IoError('ECLOSED', log.folder, 'the log is closed')
    if (log.quarantined !== null) return new IoError('EIO', log.folder, `the log is quarantined: ${log.quarantined}`)
    if (from < log.logStart)
      return new IoError('ENOENT', log.folder, `offset ${from} is below the log start ${log.logStart}`)
    return null
  }

  /** Begins, or begins again after the log changed: everything may be different then. */
  private start(request: ReadRequest): void {
    const { log } = this
    const refused = this.refusal(request.from)
    if (refused !== null) return request.done(refused, NOTHING)
    if (request.from >= log.endOffset || request.attempts-- === 0)
      return request.done(null, { parts: [], bytes: 0, nextOffset: request.from })
    const place = this.places.find(({ offset }) => offset === request.from)
    if (place !== undefined && !place.segment.removed) return this.begin(request, place.segment, place.position)
    this.locate(request, segmentAt(log.segments, request.from))
  }

  private locate(request: ReadRequest, segment: Segment): void {
    const { log } = this
    const indexed = segment.index.before(segment.relative(request.from))
    log.services.indexes.used(segment)
    if (indexed !== null) {
      const claimed = indexed.lastOffset < 0 ? -1 : segment.baseOffset + indexed.lastOffset
      return this.begin(request, segment, indexed.position, claimed)
    }
    log.services.indexes.load(segment, log.config.indexIntervalBytes, (error) => this.indexed(request, segment, error))
  }

  private indexed(request: ReadRequest, segment: Segment, error: IoError | null): void {
    if (segment.removed || error === null) return this.start(request)
    if (error instanceof Rot) this.log.quarantine(error.message)
    this.failed(request, segment, error)
  }

  /** A disk that is full keeps from the file what only the tail cache has; the rest is read all the same. */
  // oxlint-disable-next-line max-params -- where a read of a segment begins.
  private begin(request: ReadRequest, segment: Segment, position: number, claimed = -1): void {
    const { log } = this
    const unwritten = segment === log.active ? attempted(() => log.writer.writeOut()) : null
    const end = segment.size - segment.lag
    if (unwritten !== null && (unwritten.code !== 'ENOSPC' || position >= end)) return this.refuse(request, unwritten)
    this.open(request, { segment, position, end, generation: log.generation, claimed })
  }

  private refuse(request: ReadRequest, error: IoError): void {
    this.log.services.world.timers.after(0, () => request.done(error, NOTHING))
  }

  private open(
    request: ReadRequest,
    window: Window,
    bytes = request.maxBytes + this.log.config.indexIntervalBytes,
  ): void {
    const { files } = this.log.services
    const wanted = Math.min(Math.max(bytes, MIN_READ_BYTES), window.end - window.position)
    if (wanted <= 0) return this.nextSegment(request, window.segment)
    files.later(window.segment, (error, file) => {
      if (error !== null) return this.failed(request, window.segment, error)
      if (request.into.length < wanted) request.into = request.memory.take(wanted)
      const into = request.into.subarray(0, wanted)
      file.read(window.position, into, (unread, count) => {
        if (unread !== null) return this.failed(request, window.segment, unread)
        this.arrived(request, window, into.subarray(0, count))
      })
    })
  }

  private arrived(request: ReadRequest, window: Window, bytes: Uint8Array): void {
    const { log } = this
    // What was read may have been cut and written over meanwhile.
    if (window.generation !== log.generation || window.segment.removed) return this.start(request)
    const found = this.proven(findBatches(bytes, window, request), bytes, { request, window })
    switch (found.kind) {
      case 'slice':
        this.remember(found.nextOffset, window.segment, window.position + found.to)
        return request.done(null, sliceOf(bytes, found, request.memory))
      case 'more':
        return this.open(request, { ...window, position: found.position, claimed: -1 }, found.bytes)
      case 'past':
        return this.nextSegment(request, window.segment)
      case 'wrongIndex':
        return log.services.indexes.rebuild(window.segment, log.config.indexIntervalBytes, (error) =>
          this.indexed(request, window.segment, error),
        )
      case 'damage':
        log.quarantine(`${window.segment.logPath}: ${found.detail}, at byte ${found.position}`)
        return this.start(request)
    }
  }

  /** What was found, if the bytes say what was written. */
  private proven(found: Found, bytes: Uint8Array, of: { request: ReadRequest; window: Window }): Found {
    if (found.kind !== 'slice' || !of.request.proven) return found
    for (let at = found.from; at < found.to; at += batchBytes(bytes, at)) {
      const detail = contradiction(bytes, at, this.log)
      if (detail !== null) return { kind: 'damage', position: of.window.position + at, detail }
    }
    return found
  }

  private nextSegment(request: ReadRequest, segment: Segment): void {
    const { segments } = this.log
    const next = segments[segments.indexOf(segment) + 1]
    if (segment.lag > 0)
      return this.refuse(request, new IoError('ENOSPC', segment.logPath, 'what is to be read is not in the file yet'))
    if (next === undefined || next.baseOffset >= request.below)
      return request.done(null, { parts: [], bytes: 0, nextOffset: request.from })
    this.begin(request, next, 0)
  }

  private failed(request: ReadRequest, segment: Segment, error: IoError): void {
    // Its name or its handle went away with a truncation, retention or the bound on open files.
    const gone = error.code === 'ECLOSED' || (error.code === 'ENOENT' && segment.removed)
    if (gone && !this.log.closed) return this.start(request)
    request.done(error, NOTHING)
  }

  private remember(offset: number, segment: Segment, position: number): void {
    this.places[this.nextPlace] = { offset, segment, position }
    this.nextPlace = (this.nextPlace + 1) % PLACES
  }
}

const NO_BYTES = new Uint8Array(0)
const NOTHING: LogSlice = { parts: [], bytes: 0, nextOffset: -1 }

/** The last segment that begins at or below the offset. */
export function segmentAt(segments: readonly Segment[], offset: number): Segment {
  let low = 0
  let high = segments.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((segments[middle] as Segment).baseOffset <= offset) low = middle
    else high = middle - 1
  }
  return segments[low] as Segment
}

function findBatches(bytes: Uint8Array, window: Window, request: ReadRequest): Found {
  const { from, below, maxBytes } = request
  const problemAt = (at: number): string | null => headerProblem(bytes, at, window.end - window.position - at)
  const isWholeHeader = (at: number): boolean => bytes.length - at >= BATCH_HEADER_BYTES
  let at = 0
  for (;;) {
    const position = window.position + at
    if (position === window.end) return { kind: 'past' }
    if (!isWholeHeader(at) && window.end - position >= BATCH_HEADER_BYTES)
      return { kind: 'more', position, bytes: maxBytes }
    const problem = problemAt(at)
    if (at === 0 && window.claimed >= 0 && (problem !== null || lastOffset(bytes, 0) !== window.claimed))
      return { kind: 'wrongIndex' }
    if (problem !== null) return { kind: 'damage', position, detail: problem }
    if (nextOffset(bytes, at) > from) break
    at += batchBytes(bytes, at)
  }
  const dividesGap = baseOffset(bytes, at) < from && isGap(bytes, at)
  if (dividesGap) bytes.set(restOfGap(bytes, at, from), at)
  // Logs are dense, compacted ones too: what was asked for lies in the first batch, or the file before is gone or shorter than it was.
  if (baseOffset(bytes, at) > from)
    return {
      kind: 'damage',
      position: window.position + at,
      detail: `offset ${baseOffset(bytes, at)} where ${from} was due`,
    }
  const size = batchBytes(bytes, at)
  if (baseOffset(bytes, at) >= below) return { kind: 'slice', from: at, to: at, nextOffset: from }
  if (at + size > bytes.length) return { kind: 'more', position: window.position + at, bytes: Math.max(size, maxBytes) }
  let to = at + size
  let next = nextOffset(bytes, at)
  while (window.position + to < window.end && isWholeHeader(to)) {
    const problem = problemAt(to)
    // The damaged batch, or one whose offset, which its CRC does not cover, is another's, is the first of the next read, which tells of it.
    if (problem !== null || baseOffset(bytes, to) !== next || next >= below) break
    const more = batchBytes(bytes, to)
    if (to + more > bytes.length || to + more - at > maxBytes) break
    next = nextOffset(bytes, to)
    to += more
  }
  return { kind: 'slice', from: at, to, nextOffset: next }
}

/** In what a batch contradicts itself or its place; its epoch is outside of what its CRC covers. */
function contradiction(bytes: Uint8Array, at: number, { epochs }: SegmentedLog): string | null {
  if (!crcMatches(bytes, at)) return 'a batch does not match its CRC'
  const wrote = epochs.epochAt(nextOffset(bytes, at) - 1)
  const epoch = leaderEpoch(bytes, at)
  return wrote === -1 || wrote === epoch ? null : `a batch of epoch ${epoch} where epoch ${wrote} wrote`
}

function sliceOf(
  bytes: Uint8Array,
  found: { from: number; to: number; nextOffset: number },
  memory: ReadMemory,
): LogSlice {
  const used = found.to - found.from
  if (used === 0) return { parts: [], bytes: 0, nextOffset: found.nextOffset }
  // A small part of a large buffer of its own is copied, so that the rest is not held for as long as it is being sent.
  const copied = memory === OWN_MEMORY && used * 4 < bytes.length
  const part = copied ? bytes.slice(found.from, found.to) : bytes.subarray(found.from, found.to)
  return { parts: [part], bytes: used, nextOffset: found.nextOffset }
}
