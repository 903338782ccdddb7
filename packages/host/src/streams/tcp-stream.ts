import type { Socket } from 'node:net'
import type { ByteHandler, ByteStream } from '@millrace/base'

/** How much may wait in a socket before its writer is told to stop. */
const HIGH_WATER_BYTES = 1024 * 1024
/** How long a closed stream may take to send what was written before, and to hear the other side's end. */
const LINGER_MS = 2000

/** One connection. Chunks that arrive are memory of their own; parts that are written must not change until they are sent. */
export class TcpStream implements ByteStream {
  readonly remote: string
  private readonly socket: Socket
  private handler: ByteHandler | null = null
  private isOpen = false
  private over = false
  private full = false
  private paused = false
  private error = 'the connection is gone'

  constructor(socket: Socket, remote?: string) {
    this.socket = socket
    this.remote = remote ?? `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
  }

  /** Hands the events to the handler from now on; data only once the stream is opened. */
  start(handler: ByteHandler): void {
    this.handler = handler
    this.socket.on('drain', () => this.sent())
    this.socket.on('error', (error) => void (this.error = error.message))
    this.socket.on('close', () => {
      if (this.over) return
      this.over = true
      handler.closed(this.error)
    })
  }

  /** The connection stands: tells the handler, then lets data in. */
  opened(): void {
    const { socket, handler } = this
    if (this.over || handler === null) return
    this.isOpen = true
    handler.opened()
    socket.on('data', (chunk) => {
      if (!this.over) handler.data(chunk)
    })
    socket.on('end', () => this.finish('the other side closed the connection'))
    if (this.paused) socket.pause()
    else socket.resume()
  }

  write(parts: readonly Uint8Array[], written?: () => void): boolean {
    if (this.over || parts.length === 0) {
      if (written !== undefined) setImmediate(written)
      return !this.over && !this.full
    }
    const { socket } = this
    const last = parts.length - 1
    if (last > 0) socket.cork()
    for (let at = 0; at < last; at++) socket.write(parts[at] as Uint8Array)
    // Node calls back in a later turn, and for a socket that was destroyed, too.
    socket.write(parts[last] as Uint8Array, written)
    if (last > 0) socket.uncork()
    if (socket.writableLength > HIGH_WATER_BYTES) this.full = true
    return !this.full
  }

  pause(): void {
    this.paused = true
    if (this.isOpen && !this.over) this.socket.pause()
  }

  resume(): void {
    this.paused = false
    if (this.isOpen && !this.over) this.socket.resume()
  }

  close(): void {
    this.finish('closed here')
  }

  /**
   * Sends what was written and ends our half. What still arrives is read and dropped until the other side ends its half too: a socket
   * that is closed with unread data resets the connection, and the other side might lose what was sent last.
   */
  private finish(reason: string): void {
    if (this.over) return
    this.over = true
    const { socket } = this
    setImmediate(() => this.handler?.closed(reason))
    if (socket.connecting) return void socket.destroy()
    const linger = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(linger))
    const bothEnded = (): void => void socket.end(() => socket.destroy())
    if (!this.isOpen || socket.readableEnded) return bothEnded()
    socket.once('end', bothEnded)
    socket.end()
    socket.resume()
  }

  private sent(): void {
    if (!this.full || this.over) return
    this.full = false
    this.handler?.drained()
  }
}
