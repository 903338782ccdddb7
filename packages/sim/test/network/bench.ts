import type {
  Address,
  ByteHandler,
  ByteStream,
  ByteStreams,
  Listener,
  PeerHandler,
  PeerStream,
  Peers,
} from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { createSchedule } from '../../src/kernel/schedule.ts'
import type { SimSchedule } from '../../src/kernel/schedule.ts'
import { CALM, createNetwork } from '../../src/network/sim-network.ts'
import type { SimNetwork } from '../../src/network/sim-network.ts'
import type { Life, NetworkFaults } from '../../src/seams.ts'

export const SECOND = 1_000_000

/** A run with a network and nothing else. */
export interface Bench {
  readonly run: SimSchedule
  readonly network: SimNetwork
  /** Lets virtual time pass. */
  pass(us: number): void
}

export function bench(seed = 'a', faults: Partial<NetworkFaults> = {}): Bench {
  const run = createSchedule(new SeededRandom(seed), { longTurnPercent: 0 })
  const network = createNetwork({ schedule: run, random: new SeededRandom(`${seed} network`) }, { ...CALM, ...faults })
  const pass = (us: number): void => {
    const until = run.nowUs + us
    while (run.step(until)) continue
    run.pass(until)
  }
  return { run, network, pass }
}

/** What one end of a stream between nodes was told. */
export class PeerNotes implements PeerHandler {
  readonly told: string[] = []
  stream: PeerStream | null = null
  private readonly now: () => number
  lastUs = 0

  constructor(now: () => number) {
    this.now = now
  }

  opened(hello: Uint8Array): void {
    this.tell(`opened ${text(hello)}`)
  }

  frame(bytes: Uint8Array): void {
    this.tell(bytes.length > 100 ? `${bytes.length} bytes` : text(bytes))
  }

  drained(): void {
    this.tell('drained')
  }

  closed(why: string): void {
    this.tell(`closed ${why}`)
  }

  private tell(what: string): void {
    this.lastUs = this.now()
    this.told.push(what)
  }
}

/** What one end of a byte stream was told. */
export class ByteNotes implements ByteHandler {
  readonly told: string[] = []
  readonly chunks: number[] = []
  text = ''
  stream: ByteStream | null = null

  opened(): void {
    this.told.push('opened')
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(chunk.length)
    this.text += text(chunk)
  }

  drained(): void {
    this.told.push('drained')
  }

  closed(why: string): void {
    this.told.push(`closed ${why}`)
  }
}

/** Two nodes, `a` listens and `b` has opened a stream to it. */
export interface PeerPair extends Bench {
  readonly a: Life
  readonly b: Life
  readonly peersOfB: Peers
  readonly near: PeerNotes
  readonly far: PeerNotes
  readonly at: Address
}

export function peerPair(seed = 'a', faults: Partial<NetworkFaults> = {}): PeerPair {
  const made = bench(seed, faults)
  const { run, network, pass } = made
  const [a, b] = [run.newLife('a#1'), run.newLife('b#1')]
  const now = (): number => run.nowUs
  const [near, far] = [new PeerNotes(now), new PeerNotes(now)]
  const at = { host: 'a', port: 9093 }
  const peersOfB = network.peers('b', b)
  network.peers('a', a).listen(at, accepting(far), () => {})
  pass(10)
  near.stream = peersOfB.open(at, 'control', bytes('hello'), near)
  pass(SECOND)
  return { ...made, a, b, peersOfB, near, far, at }
}

export function accepting(far: PeerNotes): Parameters<Peers['listen']>[1] {
  return (_hello, _lane, stream) => {
    far.stream = stream
    return { hello: bytes('welcome'), handler: far }
  }
}

/** A broker `a` that listens and a client `b` that is connected to it. */
export interface BytePair extends Bench {
  readonly a: Life
  readonly b: Life
  readonly streamsOfB: ByteStreams
  readonly near: ByteNotes
  readonly far: ByteNotes
  readonly at: Address
  readonly listener: Listener
}

export function bytePair(seed = 'a', faults: Partial<NetworkFaults> = {}): BytePair {
  const made = bench(seed, faults)
  const { run, network, pass } = made
  const [a, b] = [run.newLife('a#1'), run.newLife('b#1')]
  const [near, far] = [new ByteNotes(), new ByteNotes()]
  const at = { host: 'a', port: 9092 }
  let listener: Listener | null = null
  const accept = (stream: ByteStream): ByteHandler => {
    far.stream = stream
    return far
  }
  network.streams('a', a).listen(at, accept, (_error, made) => (listener = made))
  const streamsOfB = network.streams('b', b)
  pass(10)
  near.stream = streamsOfB.connect(at, near)
  pass(SECOND)
  return { ...made, a, b, streamsOfB, near, far, at, listener: listener as unknown as Listener }
}

export function bytes(content: string): Uint8Array {
  return Buffer.from(content)
}

export function text(content: Uint8Array): string {
  return Buffer.from(content).toString()
}
