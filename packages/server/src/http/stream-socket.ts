import { Duplex } from 'node:stream'
import type { ByteHandler, ByteStream } from '@millrace/base'

/** A connection of the world as the socket that Node's HTTP server expects. */
export class StreamSocket extends Duplex {
  /** What the world tells of the connection. */
  readonly handler: ByteHandler
  /** Called whenever bytes came or went. */
  onMoved: () => void = () => {}
  private readonly stream: ByteStream

  constructor(stream: ByteStream) {
    super()
    this.stream = stream
    this.handler = {
      opened: () => {},
      data: (chunk) => this.arrived(chunk),
      drained: () => {},
      closed: () => void this.destroy(),
    }
  }

  private arrived(chunk: Uint8Array): void {
    this.onMoved()
    if (!this.destroyed && !this.push(chunk)) this.stream.pause()
  }

  override _read(): void {
    this.stream.resume()
  }

  /** A part must not change until it is written, and one is on its way at a time. */
  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.stream.write([chunk], () => {
      this.onMoved()
      done()
    })
  }

  override _final(done: () => void): void {
    done()
    this.destroy()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.stream.close()
    done(error)
  }
}
