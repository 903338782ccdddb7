import type { FaultAtlas, Life, Network, Schedule } from '../seams.ts'
import { type Act, type ActKind, hostOf, tellAct } from './act.ts'
import type { Cluster } from './cluster.ts'
import { CALM_DISK, CALM_NETWORK, type Plan } from './plan.ts'

export interface NemesisParts {
  readonly plan: Plan
  readonly schedule: Schedule
  readonly network: Network
  readonly cluster: Cluster
  readonly atlas: FaultAtlas
  readonly tell: (text: string) => void
}

/** Does the acts of a plan when their time comes, and counts those that did something. */
export class Nemesis {
  readonly done = new Map<ActKind, number>()
  private readonly parts: NemesisParts
  private readonly life: Life
  /** Nodes whose disk was made to fail or lie. */
  private readonly touched = new Set<number>()
  private readonly fullUntilUs = new Map<number, number>()
  private readonly slowUntilUs = new Map<number, number>()

  constructor(parts: NemesisParts) {
    this.parts = parts
    this.life = parts.schedule.newLife('nemesis')
  }

  start(): void {
    const { plan, schedule, network, cluster } = this.parts
    network.faults = plan.network
    for (const node of cluster.nodes) node.machine.storage.faults = plan.disk
    for (const act of plan.acts) schedule.post(act.atUs, this.life, () => this.perform(act))
  }

  /** From now on nothing fails any more. What is damaged stays damaged. */
  freeze(): void {
    const { schedule, network, cluster } = this.parts
    schedule.end(this.life)
    network.faults = CALM_NETWORK
    for (const node of cluster.nodes) node.machine.storage.faults = CALM_DISK
  }

  /** Whether an error of this node's disk can have been ours. */
  mayHaveFailed(id: number): boolean {
    const { readErrorPer100k, writeErrorPer100k, syncErrorPer100k, fullPer100k } = this.parts.plan.disk
    return this.touched.has(id) || readErrorPer100k + writeErrorPer100k + syncErrorPer100k + fullPer100k > 0
  }

  private perform(act: Act): void {
    const { schedule, tell } = this.parts
    const did = this.attempt(act)
    schedule.note(did ? act.kind : 'in vain')
    if (!did) return
    if (act.kind === 'wipe' || act.kind === 'damage' || act.kind === 'io-error' || act.kind === 'disk-full')
      this.touched.add(act.node)
    this.done.set(act.kind, (this.done.get(act.kind) ?? 0) + 1)
    tell(tellAct(act))
  }

  private attempt(act: Act): boolean {
    const { cluster, network, schedule, atlas } = this.parts
    switch (act.kind) {
      case 'kill':
        return some(act.nodes, (id) => cluster.kill(id, act.forUs))
      case 'power-cut':
        return some(act.nodes, (id) => cluster.powerCut(id, act.forUs))
      case 'pause':
        return some(act.nodes, (id) => cluster.pause(id, act.forUs))
      case 'stop':
        return cluster.stop(act.node, act.forUs)
      case 'wipe':
        return this.wipe(act.node, act.forUs)
      case 'damage':
        return this.damage(act)
      case 'disk-full':
      case 'slow-disk':
        return this.ail(act)
      case 'cut':
        return this.cut(act)
      case 'clog':
        network.clog(act.from, act.to, schedule.nowUs + act.forUs)
        return true
      case 'break':
        network.breakStreams(act.from, act.to)
        return true
      case 'clock-jump':
        cluster.node(act.node).machine.clock.jump(act.byMs)
        return true
      default:
        if (!atlas.mayFail(act.node) || cluster.node(act.node).life === null) return false
        cluster.node(act.node).machine.storage.failNext(act.operation, act.code)
        return true
    }
  }

  private wipe(id: number, forUs: number): boolean {
    const { cluster, atlas } = this.parts
    if (!atlas.mayDamage(id)) return false
    cluster.kill(id, forUs)
    cluster.wipe(cluster.node(id))
    return true
  }

  private damage(act: Act & { kind: 'damage' }): boolean {
    const { cluster, atlas, tell } = this.parts
    if (!atlas.mayDamage(act.node)) return false
    if (act.forUs > 0) cluster.kill(act.node, act.forUs)
    const what = cluster.node(act.node).machine.storage.damage(act.damage)
    if (what !== null) tell(`${hostOf(act.node)}: ${what}`)
    return what !== null
  }

  private cut(act: Act & { kind: 'cut' }): boolean {
    const { network, schedule } = this.parts
    const links = act.from.flatMap((from) => act.to.map((to) => [from, to] as const))
    if (links.length === 0) return false
    const both = act.bothWays ? [...links, ...links.map(([from, to]) => [to, from] as const)] : links
    for (const [from, to] of both) network.cut(from, to)
    schedule.post(act.forUs, this.life, () => {
      for (const [from, to] of both) network.heal(from, to)
    })
    return true
  }

  /** A disk that is full, or slow, for a while. */
  private ail(act: Act & { kind: 'disk-full' | 'slow-disk' }): boolean {
    const { schedule } = this.parts
    const until = act.kind === 'disk-full' ? this.fullUntilUs : this.slowUntilUs
    until.set(act.node, Math.max(until.get(act.node) ?? 0, schedule.nowUs + act.forUs))
    this.setDisk(act.node)
    schedule.post(act.forUs, this.life, () => this.setDisk(act.node))
    return true
  }

  private setDisk(id: number): void {
    const { cluster, plan, schedule } = this.parts
    const full = schedule.nowUs < (this.fullUntilUs.get(id) ?? 0)
    const slow = schedule.nowUs < (this.slowUntilUs.get(id) ?? 0)
    cluster.node(id).machine.storage.faults = {
      ...plan.disk,
      ...(full ? { fullPer100k: 100_000 } : {}),
      ...(slow ? { slowPer100k: 3_000 } : {}),
    }
  }
}

/** Tries all of them; true when one did something. */
function some(nodes: readonly number[], act: (id: number) => boolean): boolean {
  return nodes.map(act).includes(true)
}
