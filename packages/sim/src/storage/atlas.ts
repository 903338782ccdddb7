import type { FaultAtlas } from '../seams.ts'

/** What an atlas must know of a run. */
export interface AtlasOptions {
  readonly brokers: readonly number[]
  readonly voters: readonly number[]
  /** The smallest `min.insync.replicas` of any topic: what is committed is on so many disks at least. */
  readonly minInsyncReplicas: number
  /** Whether calls may fail with errors at all. */
  readonly failures: boolean
  /** Damages any node, on purpose: then the cluster must halt rather than go on without what was committed. */
  readonly beyondRepair: boolean
}

/**
 * Decides which nodes' disks may lose something that was synced. Of everything committed a good copy stays: a majority of the voters is
 * whole, and of any `min.insync.replicas` brokers at least one. A node that was damaged counts as such until its owner says that it has
 * all of it again.
 */
export function createAtlas(options: AtlasOptions): FaultAtlas {
  return new Atlas(options)
}

class Atlas implements FaultAtlas {
  private readonly options: AtlasOptions
  private readonly suspects = new Set<number>()
  private readonly rotten = new Set<number>()
  private readonly wipes = new Map<number, number>()
  private halt = false

  constructor(options: AtlasOptions) {
    this.options = options
  }

  get damagedNodes(): readonly number[] {
    return [...this.suspects].sort((a, b) => a - b)
  }

  get expectsHalt(): boolean {
    return this.halt
  }

  mayDamage(node: number): boolean {
    return this.options.beyondRepair || this.suspects.has(node) || this.leavesEnough(node)
  }

  mayFail(_node: number): boolean {
    return this.options.failures
  }

  damaged(node: number): void {
    this.suspect(node)
    this.rotten.add(node)
  }

  wiped(node: number): void {
    this.suspect(node)
    this.rotten.delete(node)
    this.wipes.set(node, this.wipesOf(node) + 1)
  }

  recovered(node: number): void {
    this.suspects.delete(node)
    this.rotten.delete(node)
  }

  isRotten(node: number): boolean {
    return this.rotten.has(node)
  }

  wipesOf(node: number): number {
    return this.wipes.get(node) ?? 0
  }

  private suspect(node: number): void {
    if (this.suspects.has(node)) return
    if (!this.leavesEnough(node)) this.halt = true
    this.suspects.add(node)
  }

  private leavesEnough(node: number): boolean {
    const { brokers, voters, minInsyncReplicas } = this.options
    const after = [...this.suspects, node]
    const lostVoters = after.filter((id) => voters.includes(id)).length
    const lostBrokers = after.filter((id) => brokers.includes(id)).length
    return lostVoters * 2 < voters.length && lostBrokers < Math.max(1, minInsyncReplicas)
  }
}
