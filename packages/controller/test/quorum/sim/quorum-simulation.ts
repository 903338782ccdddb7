import { MemoryLogger, SeededRandom } from '@millrace/host'
import type { RaftFrame } from '@millrace/rpc'
import type { Leadership } from '../../../src/quorum/types.ts'
import { Schedule } from './schedule.ts'
import { SimNetwork } from './sim-network.ts'
import { hashOf, SimMachine, SimNode, type SimHooks, type SimState } from './sim-node.ts'

const STEP_US = 20_000

interface Truth {
  readonly term: number
  readonly text: string
  readonly state: SimState
}

/**
 * Whole quorum members in virtual time, on disks that forget and a network that breaks. Checked all along: every index is
 * handed out with the same content everywhere, every snapshot equals the state at its index, a term has one leader, what was
 * committed once stays, and all belong to one cluster.
 */
export class QuorumSimulation {
  readonly seed: number
  readonly size: number
  readonly schedule: Schedule
  readonly network: SimNetwork
  readonly log = new MemoryLogger(400)
  readonly nodes = new Map<number, SimNode>()
  readonly counts = new Map<string, number>()
  readonly #machines = new Map<number, SimMachine>()
  readonly #random: (n: number) => number
  readonly #ids: SeededRandom
  readonly #snapshotMaxBytes: number
  readonly #faults: number
  /** What was committed, by index, and the state after it. */
  readonly #truth = new Map<number, Truth>()
  #lastIndex = 0
  readonly #leaders = new Map<number, number>()
  #clusterIds = new Set<string>()
  /** What each identity acknowledged, as index and term of the entry, whatever became of its disk. */
  readonly #acknowledged = new Map<string, Map<number, number>>()
  #lives = 0
  #proposals = 0
  #waitsForSwap: number | null = null

  constructor(seed: number, size: number) {
    this.seed = seed
    this.size = size
    const source = new SeededRandom(`quorum simulation ${seed}`)
    this.#ids = new SeededRandom(`quorum simulation ids ${seed}`)
    this.#random = (n) => (n > 0 ? source.below(n) : 0)
    this.schedule = new Schedule(this.#random)
    this.network = new SimNetwork(this.schedule, this.#random)
    this.#snapshotMaxBytes = [300, 2000, 100_000][this.#random(3)] as number
    this.#faults = this.#random(4) === 0 ? 0 : 1 + this.#random(30)
  }

  get committed(): number {
    return this.#truth.size
  }

  /** A number that two runs of the same seed share, if the run is a function of the seed. */
  get fingerprint(): string {
    const states = [...this.nodes.values()].map((node) => `${node.id}:${node.index}:${node.state.hash}`)
    return `${this.schedule.events} ${this.schedule.nowUs} ${states.join(' ')}`
  }

  /** Life with faults for so many steps of 20 ms. */
  storm(steps: number): void {
    for (let id = 1; id <= this.size; id++) this.#start(id)
    for (let at = 0; at < steps; at++) {
      this.#run(STEP_US)
      this.#work()
      if (this.#random(100) < this.#faults) this.#fault()
    }
  }

  /** How long, in virtual time, a group without any fault has no leader once its leader is gone. */
  failoverMs(): number {
    for (let id = 1; id <= this.size; id++) this.#start(id)
    while (!this.#whole()) this.#run(STEP_US)
    const former = this.#leader() as SimNode
    const before = this.schedule.nowUs
    this.#crash(former, false)
    while (this.#leader() === null) this.#run(1000)
    return (this.schedule.nowUs - before) / 1000
  }

  /** No more faults: everybody must come to agree and to serve. */
  converge(): void {
    this.network.heal()
    for (let at = 0; at < 3000; at++) {
      // Also those that were asked to stop before and are done only now.
      for (let id = 1; id <= this.size; id++) if (!this.nodes.has(id)) this.#start(id)
      this.#run(STEP_US)
      if (this.#settled()) return this.#proveService()
    }
    throw new Error(`no convergence: ${this.describe()}`)
  }

  describe(): string {
    const nodes = [...this.nodes.values()].map((node) => `\n${node.id}: ${JSON.stringify(node.quorum.status)}`)
    const lines = this.log.lines.slice(-40).map(({ fields, event }) => `\n  ${event} ${JSON.stringify(fields)}`)
    return `seed ${this.seed}, ${this.schedule.events} events${nodes.join('')}${lines.join('')}`
  }

  #run(us: number): void {
    const end = this.schedule.nowUs + us
    while (this.schedule.nextUs <= end) this.schedule.step()
    this.schedule.nowUs = end
    for (const [id, node] of this.nodes) if (node.fatal !== null) this.#ended(id, node)
    if (this.#clusterIds.size > 1) throw new Error(`several clusters: ${[...this.#clusterIds].join(' ')}`)
  }

  /** No fault of this simulation is a reason for a node to give up. */
  #ended(id: number, node: SimNode): void {
    throw new Error(`node ${id} ended itself: ${String(node.fatal?.cause)}`)
  }

  #work(): void {
    for (const node of this.nodes.values()) {
      if (node.machine.clusterId !== null) this.#clusterIds.add(node.machine.clusterId)
      const few = node.leadership.kind === 'leader' ? this.#random(4) : 0
      for (let at = 0; at < few; at++) node.propose(`p${++this.#proposals}`)
    }
  }

  #fault(): void {
    const faults: readonly (readonly [number, string, () => void])[] = [
      [10, 'crash', () => this.#crash(this.#any(), false)],
      [10, 'powerCut', () => this.#crash(this.#any(), true)],
      [25, 'restart', () => this.#restart()],
      [10, 'break', () => this.network.break(this.#anyId(), this.#anyId())],
      [6, 'cut', () => this.#cut()],
      [12, 'heal', () => this.network.heal()],
      [6, 'stall', () => this.#any()?.stall(this.#random(3_000_000))],
      [6, 'wipe', () => this.#lose((id) => void this.#machines.delete(id), 'wiped')],
      [6, 'damage', () => this.#lose((id) => this.#machine(id).stores.damage(), 'damaged')],
      [3, 'forget', () => this.#lose((id) => this.#machine(id).stores.forget(), 'forgot')],
      [12, 'flip', () => this.#flip()],
      [4, 'stop', () => this.#stop()],
    ]
    let at = this.#random(faults.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, name, run] of faults) {
      at -= weight
      if (at >= 0) continue
      this.#count(name)
      run()
      return
    }
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  #anyId(): number {
    return 1 + this.#random(this.size)
  }

  #any(): SimNode | null {
    const up = [...this.nodes.values()]
    return up[this.#random(up.length)] ?? null
  }

  #machine(id: number): SimMachine {
    let machine = this.#machines.get(id)
    if (machine === undefined) this.#machines.set(id, (machine = new SimMachine(this.#random, this.#ids)))
    return machine
  }

  #start(id: number): void {
    const node = new SimNode(id, {
      schedule: this.schedule,
      network: this.network,
      machine: this.#machine(id),
      hooks: this.#hooks,
      log: this.log,
      seed: `${this.seed}/${id}/${++this.#lives}`,
      nodes: this.size,
      snapshotMaxBytes: this.#snapshotMaxBytes,
    })
    this.nodes.set(id, node)
  }

  #crash(node: SimNode | null, power: boolean): void {
    if (node === null) return
    node.kill(power)
    this.nodes.delete(node.id)
  }

  #restart(): void {
    const down = Array.from({ length: this.size }, (_, at) => at + 1).filter((id) => !this.nodes.has(id))
    const id = down[this.#random(down.length)]
    if (id !== undefined) this.#start(id)
  }

  #stop(): void {
    const node = this.#any()
    if (node === null) return
    node.stop(() => {
      if (this.nodes.get(node.id) === node) this.#crash(node, false)
    })
  }

  #cut(): void {
    const [a, b] = [this.#anyId(), this.#anyId()]
    this.network.cuts.add(`${a}>${b}`)
    if (this.#random(3) > 0) this.network.cuts.add(`${b}>${a}`)
    if (this.#random(2) === 0) this.network.break(a, b)
    if (this.#random(4) > 0) return
    for (let other = 1; other <= this.size; other++) {
      this.network.cuts.add(`${a}>${other}`)
      this.network.cuts.add(`${other}>${a}`)
    }
  }

  /** Only one disk at a time may lose something: a majority must hold what was committed, or nobody could give it back. */
  #lose(loss: (id: number) => void, name: string): void {
    if (this.size < 3 || !this.#whole()) return
    const victim = this.#anyId()
    const node = this.nodes.get(victim)
    if (node !== undefined) this.#crash(node, true)
    loss(victim)
    this.#waitsForSwap = victim
    this.#count(name)
  }

  /** Everybody is up, a voter under its present identity, and has applied what is committed. */
  #whole(): boolean {
    const leader = this.#leader()
    if (leader === null || this.nodes.size < this.size) return false
    const { voters, learners } = leader.quorum.status
    const whole =
      learners.length === 0 &&
      voters.length === this.size &&
      [...this.nodes.values()].every((node) => {
        if (node.stopping) return false
        const own = node.quorum.status.voters.find(({ id }) => id === node.id)
        const seen = voters.find(({ id }) => id === node.id)
        return (
          node.index >= this.#lastIndex && own !== undefined && own.directoryId === seen?.directoryId && own.logEnd > 0
        )
      })
    if (whole) this.#waitsForSwap = null
    return whole && this.#waitsForSwap === null
  }

  /** A snapshot of a node that is down; its log still covers the one before. */
  #flip(): void {
    const down = Array.from({ length: this.size }, (_, at) => at + 1).filter((id) => !this.nodes.has(id))
    const id = down[this.#random(down.length)]
    if (id === undefined || this.#waitsForSwap !== null) return
    const { disk } = this.#machine(id)
    const snapshots = [...disk.names.keys()].filter((name) => name.endsWith('.mrsnap')).toSorted()
    // With one snapshot only, or two whose older one is not backed by the log, this is the loss of a disk.
    if (snapshots.length < 2) return
    disk.flip(snapshots.at(-1) as string)
    this.#waitsForSwap = id
    this.#count('flipped')
  }

  #leader(): SimNode | null {
    const leaders = [...this.nodes.values()].filter((node) => node.leadership.kind === 'leader')
    return leaders.toSorted((a, b) => b.leadership.term - a.leadership.term)[0] ?? null
  }

  readonly #hooks: SimHooks = {
    committed: (node, index, term, text) => this.#committed(node, index, term, text),
    restored: (node, index, state) => this.#checkState(node, index, state),
    leadership: (node, state) => this.#lead(node, state),
    sent: (node, directoryId, frame) => this.#sent(node, directoryId, frame),
  }

  /** What a message promises must be durable, and who votes must still have what it acknowledged and others committed. */
  #sent(node: SimNode, directoryId: string, frame: RaftFrame): void {
    if (frame.kind === 'formation' || frame.kind === 'preVote' || frame.kind === 'preVoteReply') return
    const { term, lastIndex } = node.machine.stores.durable
    if (frame.term > term) throw new Error(`node ${node.id} speaks of term ${frame.term}, durable is ${term}`)
    const identity = `${node.id}/${directoryId}`
    const held = Math.max(lastIndex, node.index)
    if (frame.kind === 'appendReply' && frame.success) {
      if (frame.index > held) throw new Error(`node ${node.id} acknowledges ${frame.index}, durable is ${lastIndex}`)
      const acknowledged = this.#acknowledged.get(identity) ?? new Map<number, number>()
      acknowledged.set(frame.index, node.machine.stores.termAt(frame.index))
      this.#acknowledged.set(identity, acknowledged)
    }
    if (frame.kind === 'voteReply' && frame.granted && this.#owes(identity) > held)
      throw new Error(`${identity} votes, and forgot that it acknowledged ${this.#owes(identity)}`)
  }

  /** The last committed entry that this identity acknowledged. */
  #owes(identity: string): number {
    const acknowledged = [...(this.#acknowledged.get(identity) ?? [])]
    const committed = acknowledged.filter(([index, term]) => this.#truth.get(index)?.term === term)
    return Math.max(0, ...committed.map(([index]) => index))
  }

  #committed(node: SimNode, index: number, term: number, text: string): void {
    const known = this.#truth.get(index)
    if (known === undefined) {
      if (index < this.#lastIndex)
        throw new Error(`node ${node.id} was handed ${index}, a data entry that others skipped`)
      const before = this.#stateAt(index - 1)
      this.#truth.set(index, {
        term,
        text,
        state: { count: before.count + 1, hash: hashOf(before.hash, index, text) },
      })
      this.#lastIndex = index
    } else if (known.text !== text || known.term !== term)
      throw new Error(`index ${index} is ${known.text} of ${known.term} and ${text} of ${term} at node ${node.id}`)
    this.#checkState(node, index, node.state)
  }

  #stateAt(index: number): SimState {
    for (let at = index; at > 0; at--) {
      const known = this.#truth.get(at)
      if (known !== undefined) return known.state
    }
    return { count: 0, hash: 0 }
  }

  #checkState(node: SimNode, index: number, state: SimState): void {
    const expected = this.#stateAt(index)
    if (expected.count !== state.count || expected.hash !== state.hash)
      throw new Error(`node ${node.id} has ${state.count} entries at ${index}, expected ${expected.count}`)
  }

  #lead(node: SimNode, state: Leadership): void {
    if (state.kind !== 'leader') return
    const known = this.#leaders.get(state.term) ?? node.id
    if (known !== node.id) throw new Error(`nodes ${known} and ${node.id} lead term ${state.term}`)
    this.#leaders.set(state.term, node.id)
    // Who was elected and held up does not know of a later leader, nor of what that one committed.
    const isLatest = state.term === Math.max(...this.#leaders.keys())
    if (isLatest && node.index < this.#lastIndex)
      throw new Error(`node ${node.id} leads at ${node.index}, committed is ${this.#lastIndex}`)
  }

  #settled(): boolean {
    return this.#whole() && new Set([...this.nodes.values()].map(({ leadership }) => leadership.term)).size === 1
  }

  #proveService(): void {
    const before = this.#lastIndex
    const leader = this.#leader() as SimNode
    if (leader.propose('the end') === null) throw new Error(`the leader refuses: ${this.describe()}`)
    for (let at = 0; at < 500; at++) {
      this.#run(STEP_US)
      const reached = [...this.nodes.values()].every((node) => node.index >= this.#lastIndex)
      if (this.#lastIndex > before && reached) return
    }
    throw new Error(`the last proposal never arrives: ${this.describe()}`)
  }
}
