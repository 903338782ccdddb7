import { IoError } from '@millrace/base'
import type { Done, File, OpenHow } from '@millrace/base'
import { closedError } from '../io-error.ts'
import type { MemoryNode, MemorySpace } from './memory-space.ts'

/** An open file of a memory disk. */
export class MemoryFile implements File {
  readonly path: string
  private readonly node: MemoryNode
  private readonly how: OpenHow
  private readonly space: MemorySpace
  private closed = false

  constructor(path: string, node: MemoryNode, how: OpenHow, space: MemorySpace) {
    this.path = path
    this.node = node
    this.how = how
    this.space = space
  }

  get size(): number {
    return this.node.bytes.size
  }

  appendNow(parts: readonly Uint8Array[]): void {
    this.checkWritable()
    let total = 0
    for (const part of parts) total += part.length
    if (total === 0) return
    this.take(total)
    for (const part of parts) this.node.bytes.append(part)
    this.node.modifiedMs = this.space.clock.wallMs()
  }

  writeAt(at: number, parts: readonly Uint8Array[], done: Done<void>): void {
    const error = this.writeNow(at, parts)
    this.space.turns.later(() => done(error))
  }

  private writeNow(at: number, parts: readonly Uint8Array[]): IoError | null {
    if (this.closed) return closedError(this.path)
    if (this.how !== 'overwrite') return new IoError('EACCES', this.path, 'it is not open for overwriting')
    let total = 0
    for (const part of parts) total += part.length
    if (at + total > this.size && !this.node.bytes.released && !this.space.take(at + total - this.size))
      return new IoError('ENOSPC', this.path, 'the disk is full')
    let to = at
    for (const part of parts) {
      this.node.bytes.write(to, part)
      to += part.length
    }
    this.node.modifiedMs = this.space.clock.wallMs()
    return null
  }

  read(at: number, into: Uint8Array, done: Done<number>): void {
    if (this.closed) return this.space.turns.later(() => done(closedError(this.path), 0))
    this.space.turns.later(() => done(null, this.node.bytes.read(at, into)))
  }

  readNow(at: number, into: Uint8Array): number {
    if (this.closed) throw closedError(this.path)
    return this.node.bytes.read(at, into)
  }

  truncateNow(size: number): void {
    this.checkWritable()
    this.take(size - this.size)
    this.node.bytes.truncate(size)
    this.node.modifiedMs = this.space.clock.wallMs()
  }

  sync(done: Done<void>): void {
    const error = this.closed ? closedError(this.path) : null
    this.space.turns.later(() => done(error))
  }

  close(done: Done<void>): void {
    const error = this.closed ? closedError(this.path) : null
    this.closed = true
    this.space.turns.later(() => done(error))
  }

  private checkWritable(): void {
    if (this.closed) throw closedError(this.path)
    if (this.how === 'read') throw new IoError('EACCES', this.path, 'it is open for reading only')
    if (this.how === 'overwrite') throw new IoError('EACCES', this.path, 'it is open for overwriting only')
  }

  private take(bytes: number): void {
    if (this.node.bytes.released || this.space.take(bytes)) return
    throw new IoError('ENOSPC', this.path, 'the disk is full')
  }
}
