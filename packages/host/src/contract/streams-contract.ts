import assert from 'node:assert/strict'
import type { Address, ByteHandler, ByteStream, ByteStreams, Listener } from '@millrace/base'
import { ask, contractCases, withCode } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** Two sides that can reach each other. */
export interface StreamsHost extends ContractHost {
  /** Who listens, and where it can. Port 0 asks for a free one. */
  readonly acceptor: ByteStreams
  readonly at: Address
  readonly connector: ByteStreams
}

/** The rules of {@link ByteStreams}. */
export function streamsContract(make: () => Promise<StreamsHost>): ContractCase[] {
  return contractCases(async () => tracked(await make()), { ...CONNECTING, ...MOVING, ...ENDING })
}

const CONNECTING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'both sides are opened before anything else': async (host) => {
    const { near, far } = await pair(host)
    near.stream?.write([bytes('hello')])
    await host.until(() => far.text === 'hello', 'the bytes')
    assert.deepEqual(near.events, ['opened'])
    assert.deepEqual(far.events, ['opened'])
    assert.match(far.stream?.remote ?? '', /^\S+:\d+$/)
    assert.match(near.stream?.remote ?? '', /^\S+:\d+$/)
  },
  'connecting to where nobody listens is closed with a reason, in a later turn': async (host) => {
    const listener = await listen(host, new Recorder())
    await ask<void>(host, (done) => listener.close(done))
    const near = new Recorder()
    near.stream = host.connector.connect(listener.address, near)
    assert.deepEqual(near.events, [])
    await host.until(() => near.closedWhy !== null, 'the end')
    assert.equal(near.events.length, 1)
    assert.notEqual(near.closedWhy, '')
  },
  'connecting to what is no address is closed with a reason': async (host) => {
    for (const address of [
      { host: '', port: 9092 },
      { host: '127.0.0.1', port: 70_000 },
    ]) {
      const near = new Recorder()
      near.stream = host.connector.connect(address, near)
      assert.deepEqual(near.events, [])
      await host.until(() => near.closedWhy !== null, 'the end')
      assert.equal(near.events.length, 1)
    }
  },
  'bytes that are written before the stream is open arrive': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, far)
    const near = new Recorder()
    near.stream = host.connector.connect(listener.address, near)
    near.stream.write([bytes('ear'), bytes('ly')])
    await host.until(() => far.text === 'early', 'the bytes')
  },
  'a taken port is EADDRINUSE, and free again once its listener is closed': async (host) => {
    const listener = await listen(host, new Recorder())
    await assert.rejects(() => listen(host, new Recorder(), listener.address), withCode('EADDRINUSE'))
    await ask<void>(host, (done) => listener.close(done))
    await listen(host, new Recorder(), listener.address)
  },
  'streams that are open go on when their listener is closed': async (host) => {
    const { near, far, listener } = await pair(host)
    await ask<void>(host, (done) => listener.close(done))
    near.stream?.write([bytes('still here')])
    await host.until(() => far.text === 'still here', 'the bytes')
  },
}

const MOVING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'parts arrive in order, both ways': async (host) => {
    const { near, far } = await pair(host)
    near.stream?.write([bytes('one'), bytes(''), bytes('two')])
    near.stream?.write([])
    near.stream?.write([bytes('three')])
    far.stream?.write([bytes('back')])
    await host.until(() => far.text === 'onetwothree' && near.text === 'back', 'the bytes')
  },
  'large content arrives whole': async (host) => {
    const { near, far } = await pair(host)
    far.keepSum = true
    const parts = Array.from({ length: 50 }, (_, at) => new Uint8Array(100_000).fill(at))
    near.stream?.write(parts)
    await host.until(() => far.received === 5_000_000, 'all bytes')
    assert.equal(far.sum, 100_000 * ((49 * 50) / 2))
  },
  'a chunk belongs to its receiver': async (host) => {
    const { near, far } = await pair(host)
    const sent = bytes('mine')
    far.onData = (chunk) => chunk.fill(0)
    near.stream?.write([sent])
    await host.until(() => far.received === 4, 'the bytes')
    near.stream?.write([bytes('next')])
    await host.until(() => far.received === 8, 'the bytes')
    assert.equal(far.text, 'minenext')
    assert.equal(Buffer.from(sent).toString(), 'mine')
  },
  "a write that is written is told once, in a later turn, and its parts are its writer's again": async (host) => {
    const { near, far } = await pair(host)
    far.keepSum = true
    const written: number[] = []
    for (let write = 0; write < 20; write++) {
      const parts = Array.from({ length: 3 }, () => new Uint8Array(100_000).fill(write))
      near.stream?.write(parts, () => {
        written.push(write)
        for (const part of parts) part.fill(0xdd)
      })
    }
    near.stream?.write([], () => written.push(20))
    assert.deepEqual(written, [])
    await host.until(() => far.received === 6_000_000 && written.length === 21, 'all bytes, and who wrote them told')
    assert.equal(far.sum, 300_000 * 190)
    assert.deepEqual(
      written.toSorted((a, b) => a - b),
      [...written.keys()],
    )
  },
  'a paused side gets nothing, its writer is told to stop, and to go on when it resumes': async (host) => {
    const { near, far } = await pair(host)
    far.keepSum = true
    far.stream?.pause()
    near.stream?.write([bytes('first')])
    let count = 0
    while (count < 500 && near.stream?.write([new Uint8Array(100_000)]) === true) count++
    assert.ok(count < 500, 'the writer is told to stop')
    let turns = 0
    await host.until(() => ++turns > 60, 'turns in which nothing comes')
    assert.equal(far.received, 0)
    assert.deepEqual(near.events, ['opened'])
    far.stream?.resume()
    await host.until(() => near.events.includes('drained'), 'drained')
    await host.until(() => far.received === 5 + (count + 1) * 100_000, 'all bytes')
    assert.deepEqual(near.events, ['opened', 'drained'])
  },
}

const ENDING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'a close sends what was written before, and both sides are told once, last': async (host) => {
    const { near, far } = await pair(host)
    far.keepSum = true
    near.stream?.write([new Uint8Array(3_000_000).fill(1)])
    near.stream?.close()
    assert.equal(near.closedWhy, null, 'not inside the call')
    near.stream?.close()
    assert.equal(near.stream?.write([bytes('too late')]), false)
    await host.until(() => near.closedWhy !== null && far.closedWhy !== null, 'both ends')
    assert.equal(far.sum, 3_000_000)
    assert.equal(near.events.filter((event) => event.startsWith('closed')).length, 1)
    assert.equal(far.events.filter((event) => event.startsWith('closed')).length, 1)
  },
  'whoever wrote what never leaves is told all the same, once': async (host) => {
    const { near, far } = await pair(host)
    const told: string[] = []
    far.stream?.pause()
    for (let write = 0; write < 100; write++) near.stream?.write([new Uint8Array(100_000)], () => told.push('before'))
    near.stream?.close()
    near.stream?.write([bytes('late')], () => told.push('after'))
    assert.deepEqual(told, [])
    far.stream?.close()
    await host.until(() => near.closedWhy !== null && far.closedWhy !== null && told.length === 101, 'the end')
    let turns = 0
    await host.until(() => ++turns > 20, 'turns in which nobody is told again')
    assert.equal(told.filter((when) => when === 'before').length, 100)
    assert.equal(told.length, 101)
  },
  'whoever wrote to where nobody listens is told': async (host) => {
    const listener = await listen(host, new Recorder())
    await ask<void>(host, (done) => listener.close(done))
    let told = 0
    for (const address of [listener.address, { host: '', port: 1 }]) {
      const near = new Recorder()
      near.stream = host.connector.connect(address, near)
      near.stream.write([bytes('hello')], () => told++)
    }
    assert.equal(told, 0)
    await host.until(() => told === 2, 'both to be told')
  },
  'what was written to a side that is still sending arrives although the writer closed': async (host) => {
    const { near, far } = await pair(host)
    near.stream?.write([new Uint8Array(500_000)])
    far.stream?.write([bytes('answer')])
    far.stream?.close()
    await host.until(() => near.closedWhy !== null, 'the end')
    assert.equal(near.text, 'answer')
  },
  'a side that closes within a callback gets no more data': async (host) => {
    const { near, far } = await pair(host)
    far.onData = () => far.stream?.close()
    // One byte: more may come in several chunks.
    near.stream?.write([bytes('1')])
    await host.until(() => far.closedWhy !== null && near.closedWhy !== null, 'both ends')
    assert.equal(far.text, '1')
  },
  'a stream that is closed before it is open never opens': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, far)
    const near = new Recorder()
    near.stream = host.connector.connect(listener.address, near)
    near.stream.close()
    await host.until(() => near.closedWhy !== null, 'the end')
    assert.equal(near.events.length, 1)
  },
}

interface TrackedHost extends StreamsHost {
  readonly streams: ByteStream[]
  readonly listeners: Listener[]
}

/** Closes what a case left open before its host ends. */
function tracked(host: StreamsHost): TrackedHost {
  const streams: ByteStream[] = []
  const listeners: Listener[] = []
  const end = async (): Promise<void> => {
    for (const stream of streams) stream.close()
    for (const listener of listeners) await ask<void>(host, (done) => listener.close(done))
    await host.end()
  }
  return { ...host, streams, listeners, end }
}

/** A handler that writes down what it is told. */
class Recorder implements ByteHandler {
  readonly events: string[] = []
  stream: ByteStream | null = null
  text = ''
  received = 0
  sum = 0
  keepSum = false
  closedWhy: string | null = null
  onData: (chunk: Uint8Array) => void = () => {}

  opened(): void {
    this.note('opened')
  }

  data(chunk: Uint8Array): void {
    if (this.closedWhy !== null || this.events.length === 0) throw new Error('data outside of opened and closed')
    this.received += chunk.length
    if (this.keepSum) for (const byte of chunk) this.sum += byte
    else this.text += Buffer.from(chunk).toString()
    this.onData(chunk)
  }

  drained(): void {
    this.note('drained')
  }

  closed(why: string): void {
    this.note(`closed ${why}`)
    this.closedWhy = why
  }

  private note(event: string): void {
    if (this.closedWhy !== null) throw new Error(`${event} came after closed`)
    this.events.push(event)
  }
}

async function listen(host: TrackedHost, far: Recorder, at = host.at): Promise<Listener> {
  const accept = (stream: ByteStream): Recorder => {
    far.stream = stream
    host.streams.push(stream)
    return far
  }
  const listener = await ask<Listener>(host, (done) => host.acceptor.listen(at, accept, done))
  host.listeners.push(listener)
  return listener
}

async function pair(host: TrackedHost): Promise<{ near: Recorder; far: Recorder; listener: Listener }> {
  const far = new Recorder()
  const listener = await listen(host, far)
  const near = new Recorder()
  near.stream = host.connector.connect(listener.address, near)
  host.streams.push(near.stream)
  await host.until(() => near.events.length > 0 && far.events.length > 0, 'the stream to open')
  return { near, far, listener }
}

/** A view of a larger buffer, as slices of received chunks are; its `slice` does not copy. */
function bytes(content: string): Uint8Array {
  return Buffer.from(`<${content}>`).subarray(1, -1)
}
