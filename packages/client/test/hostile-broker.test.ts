import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from '../src/index.ts'

const servers: Server[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
})

/** A broker that answers every frame with what `answer` makes of its correlation id; null closes. */
async function broker(answer: (correlationId: number) => Buffer | null): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      const reply = answer(chunk.readInt32BE(8))
      if (reply === null) socket.destroy()
      else socket.write(reply)
    })
  })
  server.on('close', () => sockets.forEach((socket) => socket.destroy()))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as { port: number }).port}`
}

function reply(correlationId: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt32BE(4 + body.length, 0)
  head.writeInt32BE(correlationId, 4)
  return Buffer.concat([head, body])
}

async function failure(address: string): Promise<Error> {
  await using client = createClient({
    bootstrap: [address],
    retryTimeoutMs: 300,
    requestTimeoutMs: 500,
    connectTimeoutMs: 500,
  })
  return await client.admin.describeCluster().then(
    () => new Error('it did not fail'),
    (error: Error) => error,
  )
}

describe('a client of a hostile broker', () => {
  it('refuses an answer to another request', async () => {
    const error = await failure(await broker((id) => reply(id + 1, Buffer.alloc(20))))
    expect(error.name).toBe('ProtocolError')
    expect(error.message).toMatch(/answered request \d+, expected \d+/)
  })

  it('refuses an answer that does not decode', async () => {
    const error = await failure(await broker((id) => reply(id, Buffer.from([0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]))))
    expect(error.name).toBe('ProtocolError')
  })

  it('refuses a frame of 2 GB before it is allocated', async () => {
    const error = await failure(await broker(() => Buffer.from([0x7f, 0xff, 0xff, 0xff])))
    expect(error.message).toContain('is not an answer')
  })

  it('gives up on a broker that never answers', async () => {
    const error = await failure(await broker(() => Buffer.alloc(0)))
    expect(error.name).toBe('TimeoutError')
  })

  it('gives up on a broker that closes every connection', async () => {
    const error = await failure(await broker(() => null))
    expect(error.name).toBe('TimeoutError')
    expect(error.message).toContain('closed by the broker')
  })

  it('tells that nobody listens', async () => {
    const error = await failure('127.0.0.1:1')
    expect(error.message).toContain('could not connect to 127.0.0.1:1')
  })
})

describe('a client', () => {
  it('refuses an address that is none', () => {
    for (const address of ['localhost', 'host:0', 'host:70000', ''])
      expect(() => createClient({ bootstrap: [address] })).toThrow('is not host:port')
  })
})
