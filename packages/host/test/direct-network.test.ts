import { beforeEach, expect, test } from 'vitest'
import type { Listener, PeerHandler, PeerStream } from '@millrace/base'
import { ask, DirectNetwork, untilReal } from '../src/index.ts'

const host = { until: untilReal, end: async () => {} }

class Told implements PeerHandler {
  readonly events: string[] = []
  stream: PeerStream | null = null

  opened(hello: Uint8Array): void {
    this.events.push(`opened ${Buffer.from(hello).toString()}`)
  }

  frame(bytes: Uint8Array): void {
    this.events.push(`frame ${Buffer.from(bytes).toString()}`)
  }

  drained(): void {}

  closed(why: string): void {
    this.events.push(`closed ${why}`)
  }
}

let network: DirectNetwork
let listener: Listener
let far: Told

beforeEach(async () => {
  network = new DirectNetwork()
  far = new Told()
  const accept = (_hello: Uint8Array, _lane: string, stream: PeerStream) => {
    far.stream = stream
    return { hello: Buffer.from('b'), handler: far }
  }
  listener = await ask<Listener>(host, (done) => network.peers('b').listen({ host: 'b', port: 1 }, accept, done))
})

function open(from = 'a'): Told {
  const near = new Told()
  near.stream = network.peers(from).open(listener.address, 'control', Buffer.from(from), near)
  return near
}

async function opened(): Promise<Told> {
  const near = open()
  await untilReal(() => near.events.length === 1, 'the stream')
  return near
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function probe(from: string): Promise<string> {
  return new Promise((resolve) => network.peers(from).probe(listener.address, resolve))
}

test('a cut that breaks ends the streams of both nodes, and no new one opens until it is healed', async () => {
  const near = await opened()
  network.cut('b', 'a', 'broken')
  const during = open()
  await turns()
  expect(near.events).toEqual(['opened b', 'closed broken'])
  expect(far.events).toEqual(['closed broken'])
  expect(during.events).toEqual(['closed broken'])
  expect(await probe('a')).toBe('unknown')
  expect(await probe('c')).toBe('alive')
  network.heal('a', 'b')
  expect((await opened()).events).toEqual(['opened b'])
})

test('a silent cut holds everything back, in both directions, and healing delivers it in order', async () => {
  const near = await opened()
  network.cut('a', 'b', 'silent')
  near.stream?.send(Buffer.from('one'))
  near.stream?.send(Buffer.from('two'))
  far.stream?.send(Buffer.from('back'))
  const during = open()
  await turns()
  expect([near.events, far.events, during.events]).toEqual([['opened b'], [], []])
  network.heal('a', 'b')
  await turns()
  expect(near.events).toEqual(['opened b', 'frame back'])
  expect(far.events).toEqual(['frame one', 'frame two'])
  expect(during.events).toEqual(['opened b'])
})

test('a close over a silent link is told to the closer, and to the other once the link is healed', async () => {
  const near = await opened()
  network.cut('a', 'b', 'silent')
  near.stream?.close('enough')
  await turns()
  expect(near.events).toEqual(['opened b', 'closed local'])
  expect(far.events).toEqual([])
  network.heal('a', 'b')
  await turns()
  expect(far.events).toEqual(['closed remote'])
})

test('breaking a link loses what is under way and lets new streams open', async () => {
  const near = await opened()
  near.stream?.send(Buffer.from('lost'))
  network.break('a', 'b')
  await turns()
  expect(near.events).toEqual(['opened b', 'closed broken'])
  expect(far.events).toEqual(['closed broken'])
  expect((await opened()).events).toEqual(['opened b'])
})

test('a killed node is told nothing, its peers see broken streams, and its address refuses', async () => {
  const near = await opened()
  far.stream?.send(Buffer.from('lost'))
  far.stream?.close('never told')
  network.kill('b')
  await turns()
  expect(near.events).toEqual(['opened b', 'closed broken'])
  expect(far.events).toEqual([])
  expect(await probe('a')).toBe('refused')
  const later = open()
  await turns()
  expect(later.events).toEqual(['closed broken'])
})

test('a killed opener hears nothing more, and its acceptor sees a broken stream', async () => {
  const near = await opened()
  far.stream?.send(Buffer.from('lost'))
  network.kill('a')
  await turns()
  expect(near.events).toEqual(['opened b'])
  expect(far.events).toEqual(['closed broken'])
})

test('a cut concerns the two nodes only', async () => {
  network.cut('a', 'b', 'broken')
  const other = open('c')
  await turns()
  expect(other.events).toEqual(['opened b'])
})
