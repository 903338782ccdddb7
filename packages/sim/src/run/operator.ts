import type { PartitionImage } from '@millrace/metadata'
import { activeController } from './convergence.ts'
import type { SimNode } from './sim-node.ts'

/** A partition that waits for so long without anybody to lead it waits for ever. */
const PATIENCE_US = 10_000_000

/** What the operator acts on. */
export interface OperatorParts {
  readonly nodes: readonly SimNode[]
  /** No better copy than those that are there will come back. */
  mayForce(partition: PartitionImage): boolean
  /** Has somebody lead it, whatever they hold. */
  elect(topic: string, partition: number): void
}

/**
 * Sees to partitions whose only copies are gone with the disks that they were on: made while most brokers were away and then wiped, before anything
 * was committed; or in page-cache mode, when all processes died and one disk with them, so that nobody knows whether the others hold everything.
 * The cluster waits, rightly. Where a better copy may come back the operator lets it wait.
 */
export class Operator {
  private readonly parts: OperatorParts
  /** Since when partitions wait. */
  private waiting = new Map<string, number>()

  constructor(parts: OperatorParts) {
    this.parts = parts
  }

  look(nowUs: number): void {
    const { nodes, mayForce, elect } = this.parts
    const still = new Map<string, number>()
    for (const topic of activeController(nodes)?.image.topics.values() ?? [])
      for (const one of topic.partitions) {
        if (!orphaned(one) || !mayForce(one)) continue
        const key = `${one.topicId}-${one.partition}`
        const sinceUs = this.waiting.get(key) ?? nowUs
        const due = nowUs - sinceUs >= PATIENCE_US
        if (due) elect(one.topic, one.partition)
        still.set(key, due ? nowUs : sinceUs)
      }
    this.waiting = still
  }
}

/** Nobody leads, and nobody is known who could without loss. */
function orphaned({ leader, isr, elr }: PartitionImage): boolean {
  return leader === -1 && isr.length === 0 && elr.length === 0
}
