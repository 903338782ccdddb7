// One connection of thousands: frames in and out, one request on its way at a time.
import { connect, type Socket } from 'node:net'
import type { Api } from '@millrace/protocol'
import { decodeResponse, encodeRequest } from '@millrace/protocol'

/** Answers need no number of their own where one request is on its way. */
const CORRELATION_ID = 1
const SIZE_BYTES = 4

/** A request's bytes, to be sent as often as one likes. */
export function frameOf<Q, R>(api: Api<Q, R>, version: number, request: Q): Uint8Array {
  return Buffer.concat(encodeRequest(api, version, CORRELATION_ID, 'raw-member', request))
}

export class RawConnection {
  private readonly socket: Socket
  private readonly ended: (error: Error) => void
  private received: Buffer | null = null
  private answered: ((frame: Uint8Array) => void) | null = null

  constructor(port: number, events: { readonly opened: () => void; readonly ended: (error: Error) => void }) {
    this.ended = events.ended
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.once('connect', events.opened)
    this.socket.on('data', (chunk: Buffer) => this.data(chunk))
    this.socket.on('error', () => {})
    this.socket.once('close', () => this.ended(new Error('the connection ended')))
  }

  close(): void {
    this.socket.removeAllListeners('close')
    this.socket.destroy()
  }

  send<Q, R>(api: Api<Q, R>, version: number, frame: Uint8Array, answered: (response: R) => void): void {
    this.answered = (bytes) => answered(decodeResponse(api, version, bytes).value)
    this.socket.write(frame)
  }

  private data(chunk: Buffer): void {
    const bytes = this.received === null ? chunk : Buffer.concat([this.received, chunk])
    const isWhole = bytes.length >= SIZE_BYTES && bytes.length >= SIZE_BYTES + bytes.readInt32BE(0)
    this.received = isWhole ? null : bytes
    if (!isWhole) return
    const { answered } = this
    this.answered = null
    answered?.(bytes.subarray(SIZE_BYTES))
  }
}
