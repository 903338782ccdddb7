import assert from 'node:assert/strict'
import type { Accepted, Address, Lane, Listener, PeerHandler, Peers, PeerStream, Refusal } from '@millrace/base'
import { ask, contractCases, withCode } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** Two nodes that can reach each other. */
export interface PeersHost extends ContractHost {
  /** The node that listens, and where it can. Port 0 asks for a free one. */
  readonly acceptor: Peers
  readonly at: Address
  readonly opener: Peers
}

/** The rules of {@link Peers}. */
export function peersContract(make: () => Promise<PeersHost>): ContractCase[] {
  return contractCases(async () => tracked(await make()), { ...OPENING, ...SENDING, ...PLACES, ...CLOSING, ...PORTS })
}

const OPENING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'both sides get the hello of the other, and the acceptor the lane': async (host) => {
    for (const lane of ['control', 'replication', 'bulk'] as const) {
      const { near, far } = await pair(host, lane)
      assert.deepEqual(near.events, ['opened welcome'])
      assert.deepEqual(far.events, [])
      assert.equal(far.lane, lane)
      assert.equal(far.hello, 'it is me')
    }
  },
  'a refusal reaches the opener with its reason, and nothing after it': async (host) => {
    const listener = await listen(host, () => ({ refused: 'wrong cluster: “ä” %41' }))
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('hello'), near)
    near.stream.send(bytes('too early'))
    await host.until(() => near.closedWhy !== null, 'the refusal')
    assert.deepEqual(near.events, ['closed refused wrong cluster: “ä” %41'])
  },
  'opening to where nobody listens is broken promptly, in a later turn': async (host) => {
    const listener = await listen(host, () => ({ refused: 'never asked' }))
    await ask<void>(host, (done) => listener.close(done))
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('hello'), near)
    assert.deepEqual(near.events, [], 'nothing inside the call')
    await host.until(() => near.closedWhy !== null, 'the end')
    assert.equal(near.closedWhy, 'broken')
    assert.equal(near.events.length, 1)
  },
  'a node that came back is reached by the next attempt': async (host) => {
    const first = await listen(host, () => ({ refused: 'never asked' }))
    await ask<void>(host, (done) => first.close(done))
    const failed = new Recorder()
    failed.stream = host.opener.open(first.address, 'control', bytes('hello'), failed)
    await host.until(() => failed.closedWhy !== null, 'the end')
    const { near } = await pair(host, 'control', first.address)
    assert.deepEqual(near.events, ['opened welcome'])
  },
  'frames that are sent before the stream is open arrive in order behind the hello': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, (hello, lane, stream) => far.accept(hello, lane, stream))
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('it is me'), near)
    for (const text of ['one', 'two', 'three']) near.stream.send(bytes(text))
    await host.until(() => far.events.length === 3, 'three frames')
    assert.deepEqual(far.events, ['frame one', 'frame two', 'frame three'])
    assert.equal(far.hello, 'it is me')
  },
  'frames that the acceptor sends while it accepts arrive behind its hello': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, (hello, lane, stream) => {
      stream.send(bytes('early'))
      return far.accept(hello, lane, stream)
    })
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('it is me'), near)
    await host.until(() => near.events.length === 2, 'hello and frame')
    assert.deepEqual(near.events, ['opened welcome', 'frame early'])
  },
}

const SENDING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'frames go both ways in order, from one byte to many': async (host) => {
    const { near, far } = await pair(host, 'replication')
    const sizes = [1, 5, 16_379, 16_384, 100_000, 1_000_000, 3, 5_000_000]
    near.keepSums = far.keepSums = true
    for (const size of sizes) {
      near.stream?.send(pattern(size))
      far.stream?.send(pattern(size))
    }
    await host.until(() => near.sums.length === sizes.length && far.sums.length === sizes.length, 'all frames')
    const expected = sizes.map((size) => sum(pattern(size)))
    assert.deepEqual(near.sums, expected)
    assert.deepEqual(far.sums, expected)
  },
  'a frame in pieces arrives whole, in its place, and its memory is the sender’s again at once': async (host) => {
    const { near, far } = await pair(host, 'replication')
    near.keepSums = far.keepSums = true
    const expected: number[] = []
    for (let at = 0; at < 40; at++) {
      const whole = pattern(at % 3 === 0 ? 100_000 + at : 3 + at)
      expected.push(sum(whole))
      for (const { stream } of [near, far]) {
        const lent = whole.slice()
        if (at % 4 === 1) stream?.send(lent)
        else {
          stream?.sendParts([lent.subarray(0, 1), new Uint8Array(0), lent.subarray(1, 3), lent.subarray(3)])
          lent.fill(0xdd)
        }
      }
    }
    await host.until(() => near.sums.length === 40 && far.sums.length === 40, 'all frames')
    assert.deepEqual(near.sums, expected)
    assert.deepEqual(far.sums, expected)
  },
  'frames in pieces that the acceptor sends while it accepts arrive behind its hello': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, (hello, lane, stream) => {
      const lent = bytes('early')
      stream.sendParts([lent.subarray(0, 2), lent.subarray(2)])
      lent.fill(0xdd)
      return far.accept(hello, lane, stream)
    })
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('hello'), near)
    await host.until(() => near.events.length === 2, 'hello and frame')
    assert.deepEqual(near.events, ['opened welcome', 'frame early'])
    near.stream.close('done')
    assert.equal(near.stream.sendParts([bytes('too late')]), false)
  },
  'both sides may be sending more than the links between them hold': async (host) => {
    const { near, far } = await pair(host, 'replication')
    near.keepSums = far.keepSums = true
    for (let at = 0; at < 24; at++) {
      near.stream?.send(pattern(1_000_000))
      far.stream?.send(pattern(1_000_000))
    }
    await host.until(() => near.sums.length === 24 && far.sums.length === 24, 'all frames')
  },
  'a frame belongs to its receiver: writing into it changes nothing elsewhere': async (host) => {
    const { near, far } = await pair(host, 'control')
    far.onFrame = (frame) => frame.fill(0x2a)
    const sent = bytes('mine')
    near.stream?.send(sent)
    near.stream?.send(bytes('next'))
    await host.until(() => far.events.length === 2, 'two frames')
    assert.deepEqual(far.events, ['frame mine', 'frame next'])
    assert.equal(text(sent), 'mine')
  },
  'nothing is delivered inside a send': async (host) => {
    const { near, far } = await pair(host, 'control')
    let inside = false
    let delivered = 0
    far.onFrame = () => {
      assert.equal(inside, false)
      delivered++
    }
    for (let at = 0; at < 20; at++) {
      inside = true
      near.stream?.send(bytes(`frame ${at}`))
      inside = false
    }
    await host.until(() => delivered === 20, 'twenty frames')
  },
  'a sender is told to stop, accounted for what waits, and told to go on': async (host) => {
    const { near, far } = await pair(host, 'bulk')
    far.keepSums = true
    let count = 0
    let goOn = true
    while (goOn && count < 2000) {
      goOn = near.stream?.send(pattern(100_000)) === true
      count++
    }
    assert.ok(count > 1 && count < 2000, `told to stop after ${count} frames`)
    assert.ok((near.stream?.queuedBytes ?? 0) >= 100_000)
    await host.until(() => near.events.includes('drained'), 'drained')
    await host.until(() => far.sums.length === count, 'all frames')
    await host.until(() => near.stream?.queuedBytes === 0, 'an empty queue')
    assert.equal(near.events.filter((event) => event === 'drained').length, 1)
  },
  'a busy lane does not hold up another': async (host) => {
    const bulk = await pair(host, 'bulk')
    const control = await pair(host, 'control')
    bulk.far.keepSums = true
    for (let at = 0; at < 20; at++) bulk.near.stream?.send(pattern(1_000_000))
    control.near.stream?.send(bytes('heartbeat'))
    await host.until(() => control.far.events.length === 1, 'the heartbeat')
    await host.until(() => bulk.far.sums.length === 20, 'the bulk')
  },
}

const PLACES: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'what is no address is broken, in a later turn, and unknown to a probe': async (host) => {
    for (const address of [
      { host: '', port: 9092 },
      { host: 'a\0b', port: 9092 },
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 70_000 },
      { host: '127.0.0.1', port: -1 },
    ]) {
      const near = new Recorder()
      near.stream = host.opener.open(address, 'control', bytes('hello'), near)
      assert.deepEqual(near.events, [])
      await host.until(() => near.closedWhy !== null, 'the end')
      assert.equal(near.closedWhy, 'broken')
      assert.equal(await probe(host, address), 'unknown')
    }
  },
}

const CLOSING: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'the opener closes: local for it, remote for the other, once and last': async (host) => {
    const { near, far } = await pair(host, 'control')
    near.stream?.send(bytes('last words'))
    near.stream?.close('done here')
    assert.equal(near.closedWhy, null, 'not inside the call')
    near.stream?.close('again')
    assert.equal(near.stream?.send(bytes('too late')), false)
    await host.until(() => near.closedWhy !== null && far.closedWhy !== null, 'both ends')
    assert.deepEqual(near.events, ['opened welcome', 'closed local done here'])
    assert.equal(far.events[0], 'frame last words')
    assert.deepEqual([far.closedWhy, far.events.length], ['remote', 2])
  },
  'the acceptor closes: what it sent before arrives, then its reason': async (host) => {
    const { near, far } = await pair(host, 'control')
    far.stream?.send(bytes('last words'))
    far.stream?.close('done here')
    await host.until(() => near.closedWhy !== null && far.closedWhy !== null, 'both ends')
    assert.deepEqual(near.events, ['opened welcome', 'frame last words', 'closed remote done here'])
    assert.deepEqual(far.events, ['closed local done here'])
  },
  'a stream that is closed before it is open never opens': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, (hello, lane, stream) => far.accept(hello, lane, stream))
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('hello'), near)
    near.stream.close('changed my mind')
    await host.until(() => near.closedWhy !== null, 'the end')
    assert.deepEqual(near.events, ['closed local changed my mind'])
  },
  'an acceptor that closes while it accepts ends the stream': async (host) => {
    const far = new Recorder()
    const listener = await listen(host, (hello, lane, stream) => {
      const accepted = far.accept(hello, lane, stream)
      stream.close('on second thought')
      return accepted
    })
    const near = new Recorder()
    near.stream = host.opener.open(listener.address, 'control', bytes('hello'), near)
    await host.until(() => near.closedWhy !== null && far.closedWhy !== null, 'both ends')
    assert.equal(near.closedWhy, 'remote')
    assert.equal(far.closedWhy, 'local')
  },
}

const PORTS: Readonly<Record<string, (host: TrackedHost) => Promise<void>>> = {
  'a probe tells who listens from who does not': async (host) => {
    const listener = await listen(host, () => ({ refused: 'never asked' }))
    assert.equal(await probe(host, listener.address), 'alive')
    await ask<void>(host, (done) => listener.close(done))
    assert.equal(await probe(host, listener.address), 'refused')
  },
  'a taken port is EADDRINUSE, and free again once its listener is closed': async (host) => {
    const listener = await listen(host, () => ({ refused: 'no' }))
    const again = ask<Listener>(host, (done) => host.acceptor.listen(listener.address, () => ({ refused: 'no' }), done))
    await assert.rejects(() => again, withCode('EADDRINUSE'))
    await ask<void>(host, (done) => listener.close(done))
    await listen(host, () => ({ refused: 'no' }), listener.address)
  },
  'streams that are open go on when their listener is closed': async (host) => {
    const { near, far, listener } = await pair(host, 'control')
    await ask<void>(host, (done) => listener.close(done))
    near.stream?.send(bytes('still here'))
    await host.until(() => far.events.length === 1, 'the frame')
    assert.deepEqual(far.events, ['frame still here'])
  },
}

interface TrackedHost extends PeersHost {
  readonly streams: PeerStream[]
  readonly listeners: Listener[]
}

/** Closes what a case left open before its host ends. */
function tracked(host: PeersHost): TrackedHost {
  const streams: PeerStream[] = []
  const listeners: Listener[] = []
  const end = async (): Promise<void> => {
    for (const stream of streams) stream.close('the case is over')
    for (const listener of listeners) await ask<void>(host, (done) => listener.close(done))
    await host.end()
  }
  return { ...host, streams, listeners, end }
}

/** A handler that writes down what it is told. */
class Recorder implements PeerHandler {
  readonly events: string[] = []
  readonly sums: number[] = []
  stream: PeerStream | null = null
  hello = ''
  lane: Lane | null = null
  closedWhy: string | null = null
  /** Long frames are kept as their sums. */
  keepSums = false
  onFrame: (frame: Uint8Array) => void = () => {}

  accept(hello: Uint8Array, lane: Lane, stream: PeerStream): Accepted {
    this.hello = text(hello)
    this.lane = lane
    this.stream = stream
    return { hello: bytes('welcome'), handler: this }
  }

  opened(hello: Uint8Array): void {
    this.note(`opened ${text(hello)}`)
  }

  frame(frame: Uint8Array): void {
    if (this.keepSums) this.sums.push(sum(frame))
    else this.note(`frame ${text(frame)}`)
    this.onFrame(frame)
  }

  drained(): void {
    this.note('drained')
  }

  closed(why: string, detail: string): void {
    this.note(`closed ${why} ${detail}`)
    this.closedWhy = why
  }

  private note(event: string): void {
    if (this.closedWhy !== null) throw new Error(`${event} came after closed`)
    this.events.push(event)
  }
}

async function listen(
  host: TrackedHost,
  accept: (hello: Uint8Array, lane: Lane, stream: PeerStream) => Accepted | Refusal,
  at = host.at,
): Promise<Listener> {
  const listener = await ask<Listener>(host, (done) => host.acceptor.listen(at, accept, done))
  host.listeners.push(listener)
  return listener
}

async function pair(
  host: TrackedHost,
  lane: Lane,
  at = host.at,
): Promise<{ near: Recorder; far: Recorder; listener: Listener }> {
  const far = new Recorder()
  const listener = await listen(host, (hello, lane, stream) => far.accept(hello, lane, stream), at)
  const near = new Recorder()
  near.stream = host.opener.open(listener.address, lane, bytes('it is me'), near)
  host.streams.push(near.stream)
  await host.until(() => near.events.length > 0, 'the stream to open')
  return { near, far, listener }
}

async function probe(host: TrackedHost, to: Address): Promise<string> {
  let seen: string | null = null
  host.opener.probe(to, (answer) => void (seen = answer))
  assert.equal(seen, null, 'not inside the call')
  await host.until(() => seen !== null, 'the probe')
  return seen as unknown as string
}

/** A view of a larger buffer, as slices of received chunks are; its `slice` does not copy. */
function bytes(content: string): Uint8Array {
  return Buffer.from(`<${content}>`).subarray(1, -1)
}

function text(content: Uint8Array): string {
  return Buffer.from(content).toString()
}

function pattern(size: number): Uint8Array {
  const content = new Uint8Array(size)
  for (let at = 0; at < size; at += 997) content[at] = at + size
  return content
}

function sum(content: Uint8Array): number {
  let total = content.length
  for (let at = 0; at < content.length; at += 997) total = (Math.imul(total, 31) + (content[at] as number)) >>> 0
  return total
}
