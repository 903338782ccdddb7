import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SteadyLog } from '@millrace/base'
import type { Address, Listener, PeerHandler, PeerStream } from '@millrace/base'
import { ask, GrpcPeers, MAX_FRAME_BYTES, MemoryLogger, SystemClock, untilReal } from '../src/index.ts'

const host = { until: untilReal, end: async () => {} }
const localhost = { host: '127.0.0.1', port: 0 }
const METHOD = '/millrace.Peer/Control'

/** Echoes frames, refuses hellos that do not say "hi", and counts. */
class Echo implements PeerHandler {
  closedWhy = ''
  private readonly stream: PeerStream

  constructor(stream: PeerStream) {
    this.stream = stream
  }

  opened(): void {}

  frame(bytes: Uint8Array): void {
    this.stream.send(bytes)
  }

  drained(): void {}

  closed(why: string): void {
    this.closedWhy = why
  }
}

/** What an opener is told. */
class Told implements PeerHandler {
  readonly events: string[] = []

  opened(): void {
    this.events.push('opened')
  }

  frame(bytes: Uint8Array): void {
    this.events.push(`frame ${Buffer.from(bytes).toString()}`)
  }

  drained(): void {}

  closed(why: string, detail: string): void {
    this.events.push(`closed ${why} ${detail}`)
  }

  get end(): string {
    return this.events.find((event) => event.startsWith('closed')) ?? ''
  }
}

let listener: Listener
let accepted: Echo[]
let extra: { destroy(): void }[]
let log: MemoryLogger

beforeEach(async () => {
  accepted = []
  extra = []
  log = new MemoryLogger()
  const accept = (hello: Uint8Array, _lane: string, stream: PeerStream) => {
    if (Buffer.from(hello).toString() !== 'hi') return { refused: 'say hi' }
    const handler = new Echo(stream)
    accepted.push(handler)
    return { hello: Buffer.from('hi'), handler }
  }
  const peers = new GrpcPeers(new SteadyLog(log, new SystemClock()))
  listener = await ask<Listener>(host, (done) => peers.listen(localhost, accept, done))
})
afterEach(async () => {
  for (const one of extra) one.destroy()
  await ask<void>(host, (done) => listener.close(done))
})

const ECHO = ['opened', 'frame still there?']

/** What a peer that behaves is told. */
async function echoes(): Promise<readonly string[]> {
  const told = new Told()
  const stream = new GrpcPeers().open(listener.address, 'control', Buffer.from('hi'), told)
  stream.send(Buffer.from('still there?'))
  await untilReal(() => told.events.length === 2 || told.end !== '', 'the echo')
  stream.close('seen')
  return told.events
}

function raw(): Socket {
  const socket = connect(listener.address.port, '127.0.0.1')
  socket.on('error', () => {})
  extra.push(socket)
  return socket
}

async function closedByThem(socket: Socket): Promise<void> {
  let closed = false
  socket.on('close', () => (closed = true))
  socket.resume()
  await untilReal(() => closed, 'the connection to be closed')
}

describe('a node that listens for peers', () => {
  test.each([
    ['HTTP/1', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['TLS', Buffer.from('16030100f1010000ed0303', 'hex')],
    ['a Kafka request', Buffer.from('0000001200120003000000010004746573740000', 'hex')],
    ['noise', Buffer.alloc(4096, 0xfe)],
    [
      'a preface and then noise',
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(999, 0xff)]),
    ],
  ])('closes a connection that speaks %s', async (_what, bytes) => {
    const socket = raw()
    socket.write(bytes)
    await closedByThem(socket)
    expect(await echoes()).toEqual(ECHO)
  })

  test('gives a client no answer, and tells its operator once in a while who came and where clients belong', async () => {
    const clients = [raw(), raw()]
    let answered = 0
    for (const client of clients) {
      client.on('data', (chunk) => (answered += chunk.length))
      client.write(Buffer.from('0000001200120003000000010004746573740000', 'hex'))
    }
    await Promise.all(clients.map(closedByThem))
    expect(answered).toBe(0)
    expect(log.lines).toMatchObject([{ level: 'warn', event: expect.stringContaining('--bootstrap-server') }])
    const { remote, port } = log.lines[0]?.fields ?? {}
    expect(remote).toMatch(/^(::ffff:)?127\.0\.0\.1:[0-9]+$/)
    expect(port).toBe(listener.address.port)
  })

  test('is not told of nodes', async () => {
    expect(await echoes()).toEqual(ECHO)
    expect(log.lines).toEqual([])
  })

  test('lives on after connections that say nothing and break off', async () => {
    for (let at = 0; at < 50; at++) raw()
    await new Promise((resolve) => setTimeout(resolve, 30))
    for (const socket of extra) socket.destroy()
    expect(await echoes()).toEqual(ECHO)
  })

  test('lives on after a storm of streams that are reset at once', async () => {
    const session = connectHttp2(`http://127.0.0.1:${listener.address.port}`)
    extra.push(session)
    session.on('error', () => {})
    for (let at = 0; at < 2000 && !session.destroyed; at++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': METHOD,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      stream.on('error', () => {})
      stream.close(8)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await echoes()).toEqual(ECHO)
    expect(accepted.length).toBe(1)
  })

  test('answers an unknown method, and a stream that is no gRPC, with an error', async () => {
    const session = connectHttp2(`http://127.0.0.1:${listener.address.port}`)
    extra.push(session)
    const answers: string[] = []
    for (const headers of [
      { ':path': '/millrace.Peer/Unknown', 'content-type': 'application/grpc' },
      { ':path': METHOD, 'content-type': 'text/html' },
    ]) {
      const stream = session.request({ ':method': 'POST', te: 'trailers', ...headers })
      stream.on('response', (got) => answers.push(`${got[':status']} ${String(got['grpc-status'])}`))
      stream.on('error', () => {})
      stream.end()
      stream.resume()
    }
    await untilReal(() => answers.length === 2, 'both answers')
    expect(answers).toEqual(['200 12', '415 undefined'])
    expect(await echoes()).toEqual(ECHO)
  })

  test('refuses a message that is larger than a frame may be', async () => {
    const answer = await rawCall((call) => {
      call.write(Buffer.from('hi'))
      call.write(Buffer.alloc(MAX_FRAME_BYTES + 1))
    })
    expect(answer).toMatchObject({ code: status.RESOURCE_EXHAUSTED })
    await untilReal(() => accepted[0]?.closedWhy !== '', 'the acceptor to be told')
    expect(accepted[0]?.closedWhy).toBe('broken')
    expect(await echoes()).toEqual(ECHO)
  })

  test('refuses a message that claims to be compressed, and one that claims four gigabytes', async () => {
    const codes: unknown[] = []
    for (const [header, encoding] of [
      ['0100000002', 'gzip'],
      ['00ffffffff', 'identity'],
    ]) {
      const session = connectHttp2(`http://127.0.0.1:${listener.address.port}`)
      extra.push(session)
      session.on('error', () => {})
      const stream = session.request({
        ':method': 'POST',
        ':path': METHOD,
        'content-type': 'application/grpc',
        'grpc-encoding': encoding,
        te: 'trailers',
      })
      stream.on('error', () => {})
      stream.on('response', (headers) => codes.push(headers['grpc-status']))
      stream.resume()
      stream.write(Buffer.from(`${header}7878`, 'hex'))
    }
    await untilReal(() => codes.length === 2, 'both refusals')
    expect(new Set(codes)).toEqual(new Set([String(status.INTERNAL), String(status.RESOURCE_EXHAUSTED)]))
    expect(await echoes()).toEqual(ECHO)
  })

  test('is told at once that a stream is broken when the process of its opener is killed', async () => {
    const program = join(import.meta.dirname, 'programs', 'peer-process.ts')
    const child = fork(program, ['open', String(listener.address.port)])
    await new Promise((resolve) => child.once('message', resolve))
    const killed = performance.now()
    child.kill('SIGKILL')
    await untilReal(() => accepted[0]?.closedWhy !== '', 'the acceptor to be told')
    expect(accepted[0]?.closedWhy).toBe('broken')
    expect(performance.now() - killed).toBeLessThan(3000)
  })

  test('refuses a bad hello with a status that carries the reason', async () => {
    const answer = await rawCall((call) => call.write(Buffer.from('who am I')))
    expect(answer).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'say hi' })
  })

  test('ends a stream whose opener leaves before its hello', async () => {
    const answer = await rawCall((call) => call.end())
    expect(answer.code).toBe(status.OK)
    expect(accepted).toEqual([])
    expect(await echoes()).toEqual(ECHO)
  })

  function rawCall(
    run: (call: { write(bytes: Buffer): unknown; end(): void }) => void,
  ): Promise<{ code: number; details: string }> {
    const limits = { 'grpc.max_send_message_length': -1 }
    const client = new Client(`127.0.0.1:${listener.address.port}`, credentials.createInsecure(), limits)
    const same = (bytes: Buffer): Buffer => bytes
    const call = client.makeBidiStreamRequest(METHOD, same, same, new Metadata())
    call.on('error', () => {})
    call.on('data', () => {})
    run(call)
    return new Promise((resolve) => {
      call.on('status', (end) => {
        client.close()
        resolve(end)
      })
    })
  }
})

describe('a node that opens streams', () => {
  async function server(onConnection: (socket: Socket) => void): Promise<Address> {
    const listening = createServer((socket) => {
      socket.on('error', () => {})
      extra.push(socket)
      onConnection(socket)
    })
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    extra.push({ destroy: () => listening.close() })
    return { host: '127.0.0.1', port: (listening.address() as AddressInfo).port }
  }

  test('is told within milliseconds when nobody listens', async () => {
    const address = await server(() => {})
    for (const one of extra) one.destroy()
    await new Promise((resolve) => setTimeout(resolve, 10))
    for (let time = 0; time < 3; time++) {
      const told = new Told()
      const start = performance.now()
      new GrpcPeers().open(address, 'control', Buffer.from('hi'), told)
      await untilReal(() => told.events.length > 0, 'the end')
      expect(told.end).toMatch(/^closed broken .*ECONNREFUSED/)
      expect(performance.now() - start).toBeLessThan(3000)
    }
  })

  test.each([
    ['closes the connection', (socket: Socket) => socket.destroy()],
    ['answers with HTTP/1', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['answers with noise', (socket: Socket) => socket.write(Buffer.alloc(5000, 0xff))],
  ])('is told that the stream is broken when the other side %s', async (_what, behave) => {
    const address = await server(behave)
    const told = new Told()
    new GrpcPeers().open(address, 'control', Buffer.from('hi'), told)
    await untilReal(() => told.events.length > 0, 'the end')
    expect(told.events.length).toBe(1)
    expect(told.end).toMatch(/^closed broken/)
  })

  test('gives up on a side that accepts and stays silent', { timeout: 15_000 }, async () => {
    const address = await server(() => {})
    const told = new Told()
    new GrpcPeers().open(address, 'control', Buffer.from('hi'), told)
    await untilReal(() => told.events.length > 0, 'the end')
    expect(told.end).toBe('closed broken no answer within 5000 ms')
  })

  test('can close while the other side is silent', async () => {
    const address = await server(() => {})
    const told = new Told()
    const stream = new GrpcPeers().open(address, 'control', Buffer.from('hi'), told)
    await new Promise((resolve) => setTimeout(resolve, 20))
    stream.close('enough')
    await untilReal(() => told.events.length > 0, 'the end')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(told.events).toEqual(['closed local enough'])
  })

  test('is told at once when the process of the other side is killed, and finds it when it is back', async () => {
    const program = join(import.meta.dirname, 'programs', 'peer-process.ts')
    const start = async (port: number): Promise<{ child: ChildProcess; address: Address }> => {
      const child = fork(program, [String(port)])
      const address = await new Promise<Address>((resolve) =>
        child.once('message', (message) => resolve(message as Address)),
      )
      return { child, address }
    }
    const first = await start(0)
    const told = [new Told(), new Told(), new Told()]
    const lanes = ['control', 'replication', 'bulk'] as const
    lanes.forEach((lane, at) => new GrpcPeers().open(first.address, lane, Buffer.from('hi'), told[at] as Told))
    await untilReal(() => told.every(({ events }) => events.length === 1), 'three streams')
    const killed = performance.now()
    first.child.kill('SIGKILL')
    await untilReal(() => told.every(({ end }) => end !== ''), 'three ends')
    expect(performance.now() - killed).toBeLessThan(3000)
    for (const { end } of told) expect(end).toMatch(/^closed broken/)

    const second = await start(first.address.port)
    const again = new Told()
    const stream = new GrpcPeers().open(second.address, 'control', Buffer.from('hi'), again)
    await untilReal(() => again.events.length === 1, 'the stream')
    expect(again.events).toEqual(['opened'])
    stream.close('seen')
    second.child.kill('SIGKILL')
  })
})
