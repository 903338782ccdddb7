import { type Disk, type Done, type File, IoError } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  continueCrc32c,
  crc32c,
  crcMatches,
  lastOffsetDelta,
  MALFORMED,
  nextOffset,
  readUint32,
  wholeBatchBytes,
} from '@millrace/records'

/** Bytes read at once while a segment is walked. */
const CHUNK_BYTES = 1024 * 1024
const SMALL_CHUNK_BYTES = 64 * 1024
/** Batches up to this size, among them all markers of transactions, are visited whole. */
const SMALL_BATCH_BYTES = 512
/** The CRC covers what lies from here on. */
const CRC_FROM = 21

/** Where a walk stopped, and why: at the end it was given, where a batch is not what it should be, or because it was told to. */
export interface WalkEnd {
  readonly position: number
  readonly why: 'end' | 'damage' | 'stopped'
  /** For people; empty unless damage. */
  readonly detail: string
}

/**
 * One batch of a walk: its header is at `at` in `bytes` (what follows only if the batch is small), it begins at `position` of the file. False ends the
 * walk before this batch.
 */
export type VisitBatch = (bytes: Uint8Array, at: number, position: number, size: number) => boolean

export interface WalkRequest {
  readonly path: string
  readonly from: number
  readonly to: number
  /** Whether every batch is held against its CRC. */
  readonly checkCrc: boolean
  readonly visit: VisitBatch
}

/** What is wrong with the batch at `at` by its header alone, or null. `room` is how many bytes there are until the walk's end. */
export function headerProblem(bytes: Uint8Array, at: number, room: number): string | null {
  if (room < BATCH_HEADER_BYTES) return 'the file ends inside a batch'
  const size = wholeBatchBytes(bytes, at)
  if (size === MALFORMED) return 'no batch begins here'
  if (batchBytes(bytes, at) > room) return 'the file ends inside a batch'
  if (lastOffsetDelta(bytes, at) < 0 || !Number.isSafeInteger(nextOffset(bytes, at))) return 'a batch has no end offset'
  return null
}

/** Walks the batches of a file in the background, in bounded memory whatever sizes they claim. */
export function walkBatches(disk: Disk, request: WalkRequest, done: Done<WalkEnd>): void {
  disk.open(request.path, 'read', (error, file) => {
    if (error !== null) return done(error, NOWHERE)
    new BatchWalk(file, request, (failed, end) => file.close(() => done(failed, end))).start()
  })
}

const NOWHERE: WalkEnd = { position: 0, why: 'stopped', detail: '' }

class BatchWalk {
  private readonly file: File
  private readonly request: WalkRequest
  private readonly done: Done<WalkEnd>
  private readonly buffer: Uint8Array
  /** The position of the buffer's first byte, and how many bytes it holds. */
  private position: number
  private filled = 0

  constructor(file: File, request: WalkRequest, done: Done<WalkEnd>) {
    this.file = file
    this.request = request
    this.done = done
    this.position = request.from
    this.buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(request.to - request.from, BATCH_HEADER_BYTES)))
  }

  start(): void {
    this.fill(this.request.from)
  }

  private fill(position: number): void {
    const wanted = Math.min(this.buffer.length, this.request.to - position)
    if (wanted <= 0) return this.end('end', position, '')
    this.position = position
    this.file.read(position, this.buffer.subarray(0, wanted), (error, count) => {
      if (error !== null) return this.done(error, NOWHERE)
      this.filled = count
      if (count < wanted) return this.end('damage', position, 'the file is shorter than it was')
      this.walk()
    })
  }

  private walk(): void {
    const { buffer, request } = this
    let at = 0
    for (;;) {
      const position = this.position + at
      const room = request.to - position
      if (room === 0) return this.end('end', position, '')
      if (this.filled - at < Math.min(BATCH_HEADER_BYTES, room)) return this.fill(position)
      const problem = headerProblem(buffer.subarray(0, this.filled), at, room)
      if (problem !== null) return this.end('damage', position, problem)
      const size = batchBytes(buffer, at)
      const whole = at + size <= this.filled
      if (!whole && at > 0 && (request.checkCrc || size <= SMALL_BATCH_BYTES)) return this.fill(position)
      if (!whole && request.checkCrc) return this.checkLarge(size)
      if (request.checkCrc && !crcMatches(buffer, at))
        return this.end('damage', position, 'a batch does not match its CRC')
      if (!request.visit(buffer, at, position, size)) return this.end('stopped', position, '')
      if (!whole) return this.fill(position + size)
      at += size
    }
  }

  /** A batch larger than the buffer: its CRC is computed piece by piece. */
  private checkLarge(size: number): void {
    const header = this.buffer.slice(0, BATCH_HEADER_BYTES)
    const begin = this.position
    let crc = crc32c(this.buffer, CRC_FROM, this.filled)
    const more = (at: number): void => {
      const wanted = Math.min(this.buffer.length, begin + size - at)
      if (wanted === 0) return finish()
      this.file.read(at, this.buffer.subarray(0, wanted), (error, count) => {
        if (error !== null) return this.done(error, NOWHERE)
        if (count < wanted) return this.end('damage', begin, 'the file is shorter than it was')
        crc = continueCrc32c(crc, this.buffer.subarray(0, wanted))
        more(at + wanted)
      })
    }
    const finish = (): void => {
      if (crc !== readUint32(header, 17)) return this.end('damage', begin, 'a batch does not match its CRC')
      if (!this.request.visit(header, 0, begin, size)) return this.end('stopped', begin, '')
      this.fill(begin + size)
    }
    more(begin + this.filled)
  }

  // oxlint-disable-next-line max-params -- the three fields of a walk's end.
  private end(why: WalkEnd['why'], position: number, detail: string): void {
    this.done(null, { position, why, detail })
  }
}

/** Walks headers at once: for the few batches between an index entry and a position that this turn needs. Throws `IoError`. */
export function walkHeadersNow(file: File, from: number, to: number, visit: VisitBatch): WalkEnd {
  const buffer = new Uint8Array(Math.min(SMALL_CHUNK_BYTES, Math.max(to - from, 0)))
  let position = from
  let begin = from
  let filled = 0
  while (position < to) {
    const needed = Math.min(SMALL_BATCH_BYTES, to - position)
    if (position + needed > begin + filled) {
      begin = position
      filled = file.readNow(begin, buffer.subarray(0, Math.min(buffer.length, to - begin)))
      if (filled < needed) throw new IoError('EIO', file.path, 'the file is shorter than it was')
    }
    const at = position - begin
    const problem = headerProblem(buffer.subarray(0, filled), at, to - position)
    if (problem !== null) return { position, why: 'damage', detail: problem }
    const size = batchBytes(buffer, at)
    if (!visit(buffer, at, position, size)) return { position, why: 'stopped', detail: '' }
    position += size
  }
  return { position, why: 'end', detail: '' }
}
