import { type Done, type File, IoError, type World } from '@millrace/base'
import { BATCH_HEADER_BYTES, batchBytes, codec, crcMatches, recordsSection } from '@millrace/records'
import { headerProblem } from './batch-walk.ts'
import type { BatchVisitor, BatchWork } from './compaction-batch.ts'
import type { CompactionTurns } from './compaction-turns.ts'
import { Rot } from './segment.ts'

const CHUNK_BYTES = 512 * 1024
/** Records that are looked at between two looks at the clock. */
const STRIDE = 128
/** A batch that inflates to more is kept as it is. */
const INFLATE_LIMIT_BYTES = 64 * 1024 * 1024

export interface ReadRequest {
  readonly world: World
  readonly turns: CompactionTurns
  readonly path: string
  readonly size: number
  readonly visitor: BatchVisitor
  /** False: nobody wants to know any more. */
  alive(): boolean
}

/** Takes a visitor through the whole batches of a segment, in turns. Fails with `Rot` where the bytes are no batches, with ECLOSED once not alive. */
export function visitBatches(request: ReadRequest, done: Done<void>): void {
  request.world.disk.open(request.path, 'read', (error, file) => {
    if (error !== null) return done(error)
    new BatchReading(request, file, (failed) => file.close(() => done(failed))).start()
  })
}

/** The answer to whoever is not wanted any more. */
export function abandoned(path: string): IoError {
  return new IoError('ECLOSED', path, 'the compaction was given up')
}

class BatchReading {
  private readonly request: ReadRequest
  private readonly file: File
  private readonly done: Done<void>
  private buffer: Uint8Array
  /** The position in the file of the buffer's first byte, how many bytes it holds, and how far they are dealt with. */
  private position = 0
  private filled = 0
  private at = 0

  constructor(request: ReadRequest, file: File, done: Done<void>) {
    this.request = request
    this.file = file
    this.done = done
    this.buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(request.size, BATCH_HEADER_BYTES)))
  }

  start(): void {
    this.request.turns.next(() => this.run())
  }

  private run(): void {
    const { request } = this
    for (;;) {
      if (!request.alive()) return this.done(abandoned(request.path))
      if (request.visitor.full || this.position + this.at === request.size) return this.done(null)
      if (request.turns.exhausted) return request.turns.next(() => this.run())
      const size = this.wholeBatch()
      if (size <= 0) return this.fill(-size)
      const batch = this.buffer.subarray(this.at, this.at + size)
      const problem = crcMatches(batch, 0) ? null : 'a batch does not match its CRC'
      if (problem !== null) return this.rot(problem)
      this.at += size
      const wanted = this.attempt(() => request.visitor.header(batch))
      if (wanted === null || (wanted && !this.look(batch))) return
    }
  }

  /** The size of the batch that is next in the buffer; of one that is not all there the negative number of bytes to read. */
  private wholeBatch(): number {
    const room = this.request.size - this.position - this.at
    const there = this.filled - this.at
    if (there < Math.min(BATCH_HEADER_BYTES, room)) return -Math.min(CHUNK_BYTES, room)
    const size = headerProblem(this.buffer, this.at, room) === null ? batchBytes(this.buffer, this.at) : 0
    return size <= there ? size : -Math.max(size, Math.min(CHUNK_BYTES, room))
  }

  private fill(bytes: number): void {
    const { request } = this
    if (bytes === 0) return this.rot(headerProblem(this.buffer, this.at, request.size - this.position - this.at) ?? '')
    this.position += this.at
    this.at = 0
    this.filled = 0
    if (bytes > this.buffer.length) this.buffer = new Uint8Array(bytes)
    this.file.read(this.position, this.buffer.subarray(0, bytes), (error, count) => {
      if (error !== null) return this.done(error)
      if (count < bytes) return this.rot('the file is shorter than it was')
      this.filled = count
      request.turns.spent(count)
      request.turns.next(() => this.run())
    })
  }

  /** False when it goes on later, or is over. */
  private look(batch: Uint8Array): boolean {
    const { visitor, world } = this.request
    const packing = codec(batch, 0)
    const section = recordsSection(batch, 0)
    if (packing === null || packing === 'none')
      return this.work(visitor.records(batch, packing === null ? null : section))
    world.compute.inflate(packing, section, INFLATE_LIMIT_BYTES, (error, inflated) =>
      this.resume(visitor.records(batch, error === null ? inflated : null)),
    )
    return false
  }

  private work(work: BatchWork): boolean {
    const { turns } = this.request
    for (;;) {
      const ended = this.attempt(() => work.advance(STRIDE))
      if (ended !== false) return ended === true
      if (!turns.exhausted) continue
      turns.next(() => this.resume(work))
      return false
    }
  }

  /** Visitors write to the disk: null where it refused, which was told then. */
  private attempt(visit: () => boolean): boolean | null {
    try {
      return visit()
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      this.done(error)
      return null
    }
  }

  private resume(work: BatchWork): void {
    if (!this.request.alive()) return this.done(abandoned(this.request.path))
    if (this.work(work)) this.run()
  }

  private rot(problem: string): void {
    this.done(new Rot(this.request.path, `${problem}, at byte ${this.position + this.at}`))
  }
}
