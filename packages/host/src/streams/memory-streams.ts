import { IoError } from '@millrace/base'
import type { Address, ByteHandler, ByteStream, ByteStreams, Done, Listener } from '@millrace/base'
import { LaterTurns } from '../turns.ts'
import { MemoryStream } from './memory-stream.ts'

type Accept = (stream: ByteStream) => ByteHandler

/** Byte streams between the parts of one process, without sockets. All who share the object reach each other. */
export class MemoryStreams implements ByteStreams {
  private readonly turns = new LaterTurns()
  private readonly listening = new Map<string, Accept>()
  private nextPort = 50_000
  private nextClientPort = 40_000

  listen(at: Address, accept: Accept, done: Done<Listener>): void {
    const address = { host: at.host, port: at.port === 0 ? this.nextPort++ : at.port }
    const place = `${address.host}:${address.port}`
    if (this.listening.has(place)) {
      const error = new IoError('EADDRINUSE', place, 'the address is taken')
      return this.turns.later(() => done(error, undefined as unknown as Listener))
    }
    this.listening.set(place, accept)
    const close = (closed: Done<void>): void => {
      if (this.listening.get(place) === accept) this.listening.delete(place)
      this.turns.later(() => closed(null))
    }
    this.turns.later(() => done(null, { address, close }))
  }

  connect(to: Address, handler: ByteHandler): ByteStream {
    const place = `${to.host}:${to.port}`
    const near = new MemoryStream(place, this.turns)
    near.handler = handler
    this.turns.later(() => {
      const accept = this.listening.get(place)
      if (accept === undefined) near.finish(`nobody listens at ${place}`)
      else if (!near.isClosed()) this.join(near, accept)
    })
    return near
  }

  private join(near: MemoryStream, accept: Accept): void {
    const far = new MemoryStream(`memory:${this.nextClientPort++}`, this.turns)
    far.handler = accept(far)
    near.open(far)
    far.open(near)
  }
}
