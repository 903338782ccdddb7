import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ByteHandler, ByteStream, Listener } from '@millrace/base'
import { ask, TcpStreams, untilReal } from '../src/index.ts'

const host = { until: untilReal, end: async () => {} }
const localhost = { host: '127.0.0.1', port: 0 }

class Told implements ByteHandler {
  readonly events: string[] = []
  readonly stream: ByteStream
  onData: (chunk: Uint8Array) => void = () => {}

  constructor(stream: ByteStream) {
    this.stream = stream
  }

  opened(): void {
    this.events.push('opened')
  }

  data(chunk: Uint8Array): void {
    this.events.push(`data ${Buffer.from(chunk).toString()}`)
    this.onData(chunk)
  }

  drained(): void {
    this.events.push('drained')
  }

  closed(why: string): void {
    this.events.push(`closed ${why}`)
  }
}

let listener: Listener
let accepted: Told[]

async function listen(streams: TcpStreams): Promise<void> {
  accepted = []
  const accept = (stream: ByteStream): Told => {
    const told = new Told(stream)
    accepted.push(told)
    return told
  }
  listener = await ask<Listener>(host, (done) => streams.listen(localhost, accept, done))
}

beforeEach(() => listen(new TcpStreams()))
afterEach(async () => {
  for (const { stream } of accepted) stream.close()
  await ask<void>(host, (done) => listener.close(done))
})

function client(options: { allowHalfOpen?: boolean } = {}): Socket {
  const socket = connect({ port: listener.address.port, host: '127.0.0.1', ...options })
  socket.on('error', () => {})
  return socket
}

test('a client that ends its half gets what was written to it before, then the end', async () => {
  const socket = client({ allowHalfOpen: true })
  let received = ''
  let ended = false
  socket.on('data', (chunk) => (received += chunk.toString()))
  socket.on('end', () => (ended = true))
  socket.end('request')
  await untilReal(() => accepted[0]?.events.includes('data request') === true, 'the request')
  await untilReal(() => ended, 'the end')
  expect(accepted[0]?.events).toEqual(['opened', 'data request', 'closed the other side closed the connection'])
  expect(received).toBe('')
})

test('an answer that was written in the turn of the request is sent although the client ended its half', async () => {
  const socket = client({ allowHalfOpen: true })
  await untilReal(() => accepted.length === 1, 'the connection')
  const [told] = accepted
  if (told !== undefined) told.onData = () => void told.stream.write([Buffer.alloc(2_000_000)])
  let received = 0
  let ended = false
  socket.on('data', (chunk: Buffer) => (received += chunk.length))
  socket.on('end', () => (ended = true))
  socket.end('request')
  await untilReal(() => ended, 'the end')
  expect(received).toBe(2_000_000)
})

test('a client that resets the connection closes the stream with the reason', async () => {
  const socket = client()
  socket.write('x')
  await untilReal(() => accepted[0]?.events.length === 2, 'the data')
  socket.resetAndDestroy()
  await untilReal(() => accepted[0]?.events.length === 3, 'the end')
  expect(accepted[0]?.events[2]).toMatch(/^closed .*ECONNRESET/)
})

test('a client that never reads is cut off some time after the stream is closed', { timeout: 20_000 }, async () => {
  const socket = client()
  socket.pause()
  await untilReal(() => accepted[0]?.events.length === 1, 'the connection')
  const { stream } = accepted[0] as Told
  stream.write([Buffer.alloc(50_000_000)])
  stream.close()
  await untilReal(() => accepted[0]?.events.length === 2, 'the end')
  const start = performance.now()
  let received = 0
  let closed = false
  socket.on('close', () => (closed = true))
  await new Promise((resolve) => setTimeout(resolve, 4000))
  socket.on('data', (chunk: Buffer) => (received += chunk.length))
  socket.resume()
  await untilReal(() => closed, 'the connection to be cut')
  expect(received).toBeLessThan(50_000_000)
  expect(performance.now() - start).toBeLessThan(15_000)
})

test('more connections than allowed are closed as they come, and taken again once others are gone', async () => {
  await ask<void>(host, (done) => listener.close(done))
  await listen(new TcpStreams({ maxConnections: 3 }))
  const sockets = Array.from({ length: 6 }, () => client())
  let closed = 0
  for (const socket of sockets) socket.on('close', () => closed++)
  await untilReal(() => closed === 3 && accepted.length === 3, 'three refusals')
  for (const { stream } of accepted) stream.close()
  for (const socket of sockets) socket.destroy()
  await untilReal(() => accepted.every(({ events }) => events.length === 2), 'three ends')
  client()
  await untilReal(() => accepted.length === 4, 'one more')
  expect(accepted.length).toBe(4)
})

test(
  'a process without free descriptors sheds connections and serves the ones it has',
  { timeout: 20_000 },
  async () => {
    const program = join(import.meta.dirname, 'programs', 'few-descriptors.ts')
    const child = spawn('sh', ['-c', 'ulimit -n 40; exec "$0" "$1"', process.execPath, program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    await untilReal(() => printed.includes('\n'), 'the port')
    const port = Number(printed)
    const sockets = Array.from({ length: 100 }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      return socket
    })
    let echoed = ''
    sockets[0]?.on('data', (chunk) => (echoed += chunk.toString()))
    sockets[0]?.write('still served')
    await untilReal(() => echoed === 'still served', 'the echo')
    for (const socket of sockets) socket.destroy()

    let again = ''
    const attempt = setInterval(() => {
      const socket = connect(port, '127.0.0.1', () => socket.write('again'))
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        again += chunk.toString()
        socket.destroy()
      })
    }, 50)
    await untilReal(() => again.startsWith('again'), 'a new connection')
    clearInterval(attempt)
    expect(child.exitCode).toBeNull()
    child.kill('SIGKILL')
  },
)
