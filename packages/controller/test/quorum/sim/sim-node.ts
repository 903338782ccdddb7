import {
  randomUuid,
  type Accepted,
  type FatalCode,
  type Lane,
  type PeerStream,
  type Peers,
  type Random,
  type Refusal,
  type Timer,
  type Uuid,
  type World,
} from '@millrace/base'
import { MemoryLogger, SeededRandom } from '@millrace/host'
import { Hello, RaftFrame } from '@millrace/rpc'
import { createQuorum } from '../../../src/quorum/quorum.ts'
import type { Leadership, Quorum, QuorumConfig } from '../../../src/quorum/types.ts'
import type { Schedule } from './schedule.ts'
import { SimDisk, type Later } from './sim-disk.ts'
import type { Host, SimNetwork } from './sim-network.ts'
import { SimStores } from './sim-store.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What outlives an incarnation. */
export class SimMachine {
  readonly disk: SimDisk
  readonly stores: SimStores
  readonly directoryId: Uuid
  clusterId: Uuid | null = null

  constructor(random: (n: number) => number, ids: Random) {
    this.disk = new SimDisk(random)
    this.stores = new SimStores(random)
    this.directoryId = randomUuid(ids)
  }
}

/** What the simulation wants to hear of. */
export interface SimHooks {
  committed(node: SimNode, index: number, term: number, text: string): void
  restored(node: SimNode, index: number, state: SimState): void
  leadership(node: SimNode, state: Leadership): void
  /** A frame leaves on the control lane, as this identity. */
  sent(node: SimNode, directoryId: string, frame: RaftFrame): void
}

/** A state machine in a line: how many texts were applied, and a hash over all of them. */
export interface SimState {
  readonly count: number
  readonly hash: number
}

export interface SimParts {
  readonly schedule: Schedule
  readonly network: SimNetwork
  readonly machine: SimMachine
  readonly hooks: SimHooks
  readonly log: MemoryLogger
  readonly seed: string
  readonly nodes: number
  readonly snapshotMaxBytes: number
}

/** One incarnation of a member in virtual time. Everything that reaches it goes through one queue, so it can stall. */
export class SimNode {
  readonly id: number
  readonly machine: SimMachine
  readonly quorum: Quorum
  readonly #parts: SimParts
  state: SimState = { count: 0, hash: 0 }
  index = 0
  leadership: Leadership = { kind: 'other', term: -1, leader: null }
  fatal: { readonly code: FatalCode; readonly cause: unknown } | null = null
  stopping = false
  #dead = false
  #stalledUntilUs = 0
  #endOfTurn: (() => void)[] = []

  constructor(id: number, parts: SimParts) {
    this.id = id
    this.#parts = parts
    this.machine = parts.machine
    const host: Host = { node: id, later: this.later, accept: null }
    const world = this.#world(host)
    this.quorum = createQuorum(world, this.#config(), {
      clusterId: (clusterId) => (this.machine.clusterId = clusterId),
      committed: (index, term, payload) => this.#commit(index, term, decoder.decode(payload)),
      restore: (snapshot, index) => this.#restore(JSON.parse(decoder.decode(snapshot)) as SimState, index),
      takeSnapshot: () => encoder.encode(JSON.stringify(this.state)),
      leadership: (state) => {
        this.leadership = state
        parts.hooks.leadership(this, state)
      },
    })
    world.peers.listen(
      { host: 'sim', port: id },
      (hello, lane, stream) => this.#accept(Hello.decode(hello), lane, stream),
      () => this.quorum.start(),
    )
  }

  propose(text: string): ReturnType<Quorum['propose']> {
    let answer: ReturnType<Quorum['propose']> = null
    this.#turn(() => (answer = this.quorum.propose(encoder.encode(text))))
    return answer
  }

  stop(done: () => void): void {
    this.stopping = true
    this.#turn(() => this.quorum.stop(done))
  }

  /** The process is gone; a power cut takes with it what was not synced. */
  kill(power: boolean): void {
    this.#dead = true
    this.#parts.network.down(this.id)
    this.machine.stores.crash()
    if (power) this.machine.disk.powerCut()
  }

  /** Nothing runs in this process for a while: everything that is due waits. */
  stall(us: number): void {
    this.#stalledUntilUs = this.#parts.schedule.nowUs + us
  }

  readonly later: Later = (delayUs, run) => {
    this.#parts.schedule.after(delayUs, () => this.#enter(run))
  }

  #enter(run: () => void): void {
    if (this.#dead) return
    const waitUs = this.#stalledUntilUs - this.#parts.schedule.nowUs
    if (waitUs > 0) this.#parts.schedule.after(waitUs, () => this.#enter(run))
    else this.#turn(run)
  }

  #turn(run: () => void): void {
    if (this.#dead) return
    run()
    for (let batch = this.#endOfTurn.shift(); batch !== undefined && !this.#dead; batch = this.#endOfTurn.shift())
      batch()
  }

  #accept(hello: Hello, lane: Lane, stream: PeerStream): Accepted | Refusal {
    const seen: { directoryId: string } = { directoryId: '' }
    const answer = this.quorum.accept(hello, lane, lane === 'control' ? this.#inspected(stream, seen) : stream)
    if ('hello' in answer) seen.directoryId = Hello.decode(answer.hello).incarnationId
    return answer
  }

  #inspected(stream: PeerStream, as: { readonly directoryId: string }): PeerStream {
    return {
      sendParts(parts) {
        return this.send(Buffer.concat(parts))
      },
      get queuedBytes() {
        return stream.queuedBytes
      },
      send: (frame) => {
        this.#parts.hooks.sent(this, as.directoryId, RaftFrame.decode(frame))
        return stream.send(frame)
      },
      close: (reason) => stream.close(reason),
    }
  }

  #peers(host: Host): Peers {
    const peers = this.#parts.network.peers(host)
    return {
      ...peers,
      open: (to, lane, hello, handler) => {
        const stream = peers.open(to, lane, hello, handler)
        if (lane !== 'control') return stream
        return this.#inspected(stream, { directoryId: Hello.decode(hello).incarnationId })
      },
    }
  }

  #commit(index: number, term: number, text: string): void {
    if (index <= this.index) throw new Error(`node ${this.id} was handed ${index} after ${this.index}`)
    this.index = index
    this.state = { count: this.state.count + 1, hash: hashOf(this.state.hash, index, text) }
    this.#parts.hooks.committed(this, index, term, text)
  }

  #restore(state: SimState, index: number): void {
    if (index <= this.index) throw new Error(`node ${this.id} was taken back to ${index} from ${this.index}`)
    this.index = index
    this.state = state
    this.#parts.hooks.restored(this, index, state)
  }

  #config(): QuorumConfig {
    const { nodes, snapshotMaxBytes } = this.#parts
    const ids = Array.from({ length: nodes }, (_, at) => at + 1)
    return {
      nodeId: this.id,
      directoryId: this.machine.directoryId,
      voters: ids.map((id) => ({ id, address: { host: 'sim', port: id } })),
      directory: '/quorum',
      clusterId: this.machine.clusterId,
      electionTimeoutMs: 1000,
      heartbeatMs: 100,
      snapshotMaxBytes,
    }
  }

  #world(host: Host): World {
    const { schedule, machine, log, seed } = this.#parts
    return {
      clock: { monotonicUs: () => schedule.nowUs, wallMs: () => Math.floor(schedule.nowUs / 1000) },
      timers: {
        after: (delayUs, run) => this.#timer(delayUs, run),
        endOfTurn: (run) => void this.#endOfTurn.push(run),
      },
      random: new SeededRandom(seed),
      disk: machine.disk.open(this.later),
      peers: this.#peers(host),
      streams: { listen: () => {}, connect: () => unused() },
      raftStore: machine.stores.factory(this.later),
      compute: { inflate: () => unused() },
      log: log.child({ node: this.id, atMs: 0 }),
      fatal: (code, cause) => {
        this.fatal = { code, cause }
        this.#dead = true
        return undefined as never
      },
    }
  }

  #timer(delayUs: number, run: () => void): Timer {
    let cancelled = false
    this.later(delayUs, () => {
      if (!cancelled) run()
    })
    return { cancel: () => (cancelled = true) }
  }
}

function unused(): never {
  throw new Error('the quorum needs none of this')
}

export function hashOf(before: number, index: number, text: string): number {
  let hash = (before ^ (index * 0x9e3779b1)) >>> 0
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193) >>> 0
  return hash
}
