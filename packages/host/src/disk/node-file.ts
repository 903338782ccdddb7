import type { close, ftruncateSync, read, readSync, writev, writevSync } from 'node:fs'
import { IoError } from '@millrace/base'
import type { Done, File, OpenHow } from '@millrace/base'
import { closedError, ioError } from '../io-error.ts'

/** The system calls of an open file, as `node:fs` has them. */
export interface FileCalls {
  readonly writevSync: typeof writevSync
  readonly writev: typeof writev
  readonly ftruncateSync: typeof ftruncateSync
  readonly read: typeof read
  readonly readSync: typeof readSync
  fdatasync(fd: number, done: (error: NodeJS.ErrnoException | null) => void): void
  readonly close: typeof close
}

/**
 * An open file descriptor. Appends and truncations are system calls on this thread, because the page cache answers them faster than the
 * thread pool could; reads, syncs and durable writes may wait for the device and go through the pool.
 */
export class NodeFile implements File {
  readonly path: string
  private readonly fd: number
  private readonly how: OpenHow
  private readonly calls: FileCalls
  private length: number
  private poison: IoError | null = null
  private inFlight = 0
  private closing: Done<void> | null = null

  // eslint-disable-next-line max-params -- one constructor call, in the module beside this one
  constructor(path: string, fd: number, size: number, how: OpenHow, calls: FileCalls) {
    this.path = path
    this.fd = fd
    this.length = size
    this.how = how
    this.calls = calls
  }

  get size(): number {
    return this.length
  }

  appendNow(parts: readonly Uint8Array[]): void {
    this.checkWritable()
    let total = 0
    for (const part of parts) total += part.length
    if (total === 0) return
    try {
      this.writeAll(parts, total)
    } catch (cause) {
      this.undoAppend()
      throw ioError(this.path, cause)
    }
    this.length += total
  }

  writeAt(at: number, parts: readonly Uint8Array[], done: Done<void>): void {
    const refusal =
      this.closing !== null
        ? closedError(this.path)
        : this.how === 'overwrite'
          ? this.poison
          : notOverwritable(this.path)
    if (refusal !== null) return void setImmediate(() => done(refusal))
    this.inFlight++
    this.writePiece(at, parts, (error) => {
      // Of a disk that was full nothing is lost: the whole write may be asked for again. Any other failure may have dropped pages.
      if (error !== null && error.code !== 'ENOSPC') this.poison ??= error
      this.ended()
      done(error)
    })
  }

  read(at: number, into: Uint8Array, done: Done<number>): void {
    if (this.closing !== null) return void setImmediate(() => done(closedError(this.path), 0))
    this.inFlight++
    this.readPiece(at, into, 0, done)
  }

  readNow(at: number, into: Uint8Array): number {
    if (this.closing !== null) throw closedError(this.path)
    try {
      let filled = 0
      while (filled < into.length) {
        const count = this.calls.readSync(this.fd, into, filled, into.length - filled, at + filled)
        if (count === 0) break
        filled += count
      }
      return filled
    } catch (cause) {
      throw ioError(this.path, cause)
    }
  }

  truncateNow(size: number): void {
    this.checkWritable()
    try {
      this.calls.ftruncateSync(this.fd, size)
    } catch (cause) {
      throw ioError(this.path, cause)
    }
    this.length = size
  }

  sync(done: Done<void>): void {
    const refusal = this.closing !== null ? closedError(this.path) : this.poison
    if (refusal !== null) return void setImmediate(() => done(refusal))
    this.inFlight++
    this.calls.fdatasync(this.fd, (error) => {
      // The kernel marks pages clean after a failed sync, so a later success would prove nothing about them.
      if (error !== null) this.poison ??= ioError(this.path, error)
      this.ended()
      done(this.poison)
    })
  }

  close(done: Done<void>): void {
    if (this.closing !== null) return void setImmediate(() => done(closedError(this.path)))
    this.closing = done
    if (this.inFlight === 0) this.closeNow()
  }

  private checkWritable(): void {
    if (this.closing !== null) throw closedError(this.path)
    if (this.how === 'read') throw new IoError('EACCES', this.path, 'it is open for reading only')
    if (this.how === 'overwrite') throw new IoError('EACCES', this.path, 'it is open for overwriting only')
    if (this.poison !== null) throw this.poison
  }

  /** A short write is gone on with: the kernel answers the next one with the reason if there is one. */
  private writeAll(parts: readonly Uint8Array[], total: number): void {
    let written = this.calls.writevSync(this.fd, parts, this.length)
    while (written < total) {
      const more = this.calls.writevSync(this.fd, remainder(parts, written), this.length + written)
      if (more === 0) throw new IoError('EIO', this.path, 'a write took no bytes')
      written += more
    }
  }

  /** Nothing of a failed append may stay: the next one would follow after bytes that nobody knows of. */
  private undoAppend(): void {
    try {
      this.calls.ftruncateSync(this.fd, this.length)
    } catch (cause) {
      this.poison = ioError(this.path, cause)
    }
  }

  private writePiece(at: number, parts: readonly Uint8Array[], done: (error: IoError | null) => void): void {
    let left = 0
    for (const part of parts) left += part.length
    this.calls.writev(this.fd, parts, at, (error, count) => {
      if (error !== null) return done(ioError(this.path, error))
      this.length = Math.max(this.length, at + count)
      if (count === left) return done(null)
      if (count === 0) return done(new IoError('EIO', this.path, 'a write took no bytes'))
      this.writePiece(at + count, remainder(parts, count), done)
    })
  }

  private readPiece(at: number, into: Uint8Array, filled: number, done: Done<number>): void {
    this.calls.read(this.fd, into, filled, into.length - filled, at + filled, (error, count) => {
      const now = filled + count
      if (error === null && count > 0 && now < into.length && at + now < this.length) {
        return this.readPiece(at, into, now, done)
      }
      this.ended()
      if (error === null) done(null, now)
      else done(ioError(this.path, error), 0)
    })
  }

  private ended(): void {
    this.inFlight--
    if (this.closing !== null && this.inFlight === 0) this.closeNow()
  }

  /** Only when no call uses the descriptor any more: its number may name another file the next moment. */
  private closeNow(): void {
    const done = this.closing as Done<void>
    this.calls.close(this.fd, (error) => done(error === null || error === undefined ? null : ioError(this.path, error)))
  }
}

function notOverwritable(path: string): IoError {
  return new IoError('EACCES', path, 'it is not open for overwriting')
}

function remainder(parts: readonly Uint8Array[], written: number): Uint8Array[] {
  const rest: Uint8Array[] = []
  let skip = written
  for (const part of parts) {
    if (skip < part.length) rest.push(skip === 0 ? part : part.subarray(skip))
    skip = Math.max(0, skip - part.length)
  }
  return rest
}
