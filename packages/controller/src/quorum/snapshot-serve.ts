import type { Disk, File, Logger, PeerHandler, PeerStream } from '@millrace/base'
import { RpcDecodeError, SnapshotFrame } from '@millrace/rpc'
import type { SnapshotFiles, SnapshotPoint } from './snapshot-files.ts'

const CHUNK_BYTES = 256 * 1024

/** One fetcher's stream: it asks for a file from a position on and gets it in chunks, as fast as it takes them. */
export class SnapshotServe implements PeerHandler {
  readonly #disk: Disk
  readonly #files: SnapshotFiles
  readonly #stream: PeerStream
  readonly #log: Logger
  #sending: { readonly point: SnapshotPoint; readonly file: File; position: number } | null = null
  #waitsForDrain = false
  #reading = false
  #closed = false

  constructor(disk: Disk, files: SnapshotFiles, stream: PeerStream, log: Logger) {
    this.#disk = disk
    this.#files = files
    this.#stream = stream
    this.#log = log
  }

  opened(): void {}

  frame(bytes: Uint8Array): void {
    let frame: SnapshotFrame
    try {
      frame = SnapshotFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      this.#stream.close('a frame does not decode')
      return
    }
    if (frame.kind === 'request' && this.#sending === null) this.#begin(frame, frame.position)
  }

  drained(): void {
    this.#waitsForDrain = false
    this.#pump()
  }

  closed(): void {
    this.#closed = true
    if (!this.#reading) this.#finish()
  }

  #begin(point: SnapshotPoint, position: number): void {
    const { index, term } = point
    if (!this.#files.has(point)) {
      this.#stream.send(SnapshotFrame.encode({ kind: 'gone', index, term }))
      return
    }
    this.#reading = true
    this.#disk.open(this.#files.pathOf(point), 'read', (error, file) => {
      this.#reading = false
      if (error !== null) {
        this.#stream.send(SnapshotFrame.encode({ kind: 'gone', index, term }))
        return
      }
      this.#sending = { point: { index, term }, file, position: Math.min(position, file.size) }
      if (this.#closed) this.#finish()
      else this.#pump()
    })
  }

  #pump(): void {
    const sending = this.#sending
    if (sending === null || this.#reading || this.#waitsForDrain || this.#closed) return
    const { file, position } = sending
    const data = new Uint8Array(Math.min(CHUNK_BYTES, file.size - position))
    this.#reading = true
    file.read(position, data, (error, count) => {
      this.#reading = false
      if (error !== null) {
        this.#log.warn({ snapshot: file.path, error: error.message }, 'a snapshot cannot be read')
        this.#stream.close('the snapshot cannot be read')
      }
      if (this.#closed || error !== null) return this.#finish()
      this.#send(data.subarray(0, count))
    })
  }

  #send(data: Uint8Array): void {
    const sending = this.#sending
    if (sending === null) return
    const { point, file, position } = sending
    sending.position += data.length
    const frame = SnapshotFrame.encode({ kind: 'chunk', ...point, position, totalBytes: file.size, data })
    this.#waitsForDrain = !this.#stream.send(frame)
    if (sending.position >= file.size || data.length === 0) this.#finish()
    else this.#pump()
  }

  #finish(): void {
    const file = this.#sending?.file
    this.#sending = null
    file?.close(() => {})
  }
}
