import type { FaultAtlas, Life, Network, Schedule } from '../seams.ts'
import { refusedStart } from './ends.ts'
import type { NodeEnd, SimNode } from './sim-node.ts'

/** How a process comes back after it ended by itself. */
const SUPERVISOR_US = 1_000_000
/** After so many refused starts in a row the operator looks into it. */
const PATIENCE = 4

export interface ClusterParts {
  readonly schedule: Schedule
  readonly network: Network
  readonly atlas: FaultAtlas
}

/**
 * The machines of a run. It remembers until when a node is to be down or asleep, so that acts that overlap end with the last of them, and starts
 * processes again that ended by themselves.
 */
export class Cluster {
  readonly nodes: readonly SimNode[]
  private readonly schedule: Schedule
  private readonly network: Network
  private readonly atlas: FaultAtlas
  private readonly life: Life
  private readonly downUntilUs = new Map<number, number>()
  private readonly asleepUntilUs = new Map<number, number>()
  private readonly refused = new Map<number, number>()

  constructor(nodes: readonly SimNode[], { schedule, network, atlas }: ClusterParts) {
    this.nodes = nodes
    this.schedule = schedule
    this.network = network
    this.atlas = atlas
    this.life = schedule.newLife('operator')
  }

  node(id: number): SimNode {
    return this.nodes.find((node) => node.id === id) as SimNode
  }

  startAll(): void {
    for (const { id } of this.nodes) this.startIn(id, 0)
  }

  kill(id: number, forUs: number): boolean {
    return this.takeDown(id, forUs, 'killed')
  }

  /** A machine without a process loses what its disk had not synced all the same. */
  powerCut(id: number, forUs: number): boolean {
    const down = this.takeDown(id, forUs, 'power-cut')
    if (!down) {
      const { machine } = this.node(id)
      this.network.power(machine.host, false)
      machine.storage.powerCut()
    }
    return true
  }

  stop(id: number, forUs: number): boolean {
    const node = this.node(id)
    if (node.life === null || node.stopping) return false
    this.wake(node)
    this.downUntilUs.set(id, this.schedule.nowUs + forUs)
    node.stop()
    // What does not stop in time is killed by its supervisor.
    const { life } = node
    this.schedule.post(20_000_000, this.life, () => {
      if (node.life === life && node.stopping) node.end({ how: 'killed' })
    })
    return true
  }

  pause(id: number, forUs: number): boolean {
    const { life } = this.node(id)
    if (life === null) return false
    const until = this.schedule.nowUs + forUs
    if (until <= (this.asleepUntilUs.get(id) ?? 0)) return false
    this.asleepUntilUs.set(id, until)
    if (!life.paused) this.schedule.pause(life)
    this.schedule.post(forUs, this.life, () => {
      if (!life.over && life.paused && this.schedule.nowUs >= (this.asleepUntilUs.get(id) ?? 0))
        this.schedule.resume(life)
    })
    return true
  }

  /** Starts the node after this time, unless something else keeps it down longer. */
  startIn(id: number, delayUs: number): void {
    const until = Math.max(this.downUntilUs.get(id) ?? 0, this.schedule.nowUs + delayUs)
    this.downUntilUs.set(id, until)
    if (!Number.isFinite(until)) return
    this.schedule.post(until - this.schedule.nowUs, this.life, () => {
      if (this.node(id).life === null && this.schedule.nowUs >= (this.downUntilUs.get(id) ?? 0)) this.node(id).spawn()
    })
  }

  /** The supervisor of a node that ended. A folder that is refused again and again is emptied by the operator, if the others have it all. */
  ended(node: SimNode, end: NodeEnd): void {
    this.asleepUntilUs.delete(node.id)
    const refused = refusedStart(end) ? (this.refused.get(node.id) ?? 0) + 1 : 0
    this.refused.set(node.id, refused)
    if (refused >= PATIENCE && this.atlas.mayDamage(node.id)) this.wipe(node)
    this.startIn(node.id, end.how === 'fatal' || end.how === 'refused' ? SUPERVISOR_US : 0)
  }

  /** Every machine runs and nobody sleeps, but for those that are lost for good. */
  heal(lost: readonly number[]): void {
    this.network.healAll()
    this.downUntilUs.clear()
    for (const node of this.nodes) {
      this.wake(node)
      // A broker whose clock is an hour behind refuses what its clients send, rightly.
      node.machine.clock.setRight()
      this.asleepUntilUs.delete(node.id)
      if (!lost.includes(node.id)) {
        if (node.life === null) this.startIn(node.id, 0)
        continue
      }
      this.downUntilUs.set(node.id, Number.POSITIVE_INFINITY)
      if (node.life !== null) node.end({ how: 'killed' })
    }
  }

  /** A node that was lost is found again. */
  bringBack(id: number): void {
    this.downUntilUs.delete(id)
    this.startIn(id, 0)
  }

  /** All that the node has is gone. Its process must have ended. */
  wipe(node: SimNode): void {
    node.machine.storage.wipe()
  }

  private takeDown(id: number, forUs: number, how: 'killed' | 'power-cut'): boolean {
    const node = this.node(id)
    const until = this.schedule.nowUs + forUs
    this.downUntilUs.set(id, Math.max(this.downUntilUs.get(id) ?? 0, until))
    if (node.life === null) {
      this.startIn(id, 0)
      return false
    }
    node.end({ how })
    return true
  }

  private wake(node: SimNode): void {
    if (node.life?.paused === true) this.schedule.resume(node.life)
  }
}
