import type { PartitionImage } from '@millrace/metadata'
import { activeController } from './convergence.ts'
import type { SimNode } from './sim-node.ts'

/** A partition that waits for so long without anybody to lead it waits for ever. */
const PATIENCE_US = 10_000_000

/** What the operator acts on. */
export interface OperatorParts {
  readonly nodes: readonly SimNode[]
  /** Nothing was ever committed in it. */
  isBlank(topicId: string, partition: number): boolean
  /** Has somebody lead it, whatever they hold. */
  elect(topic: string, partition: number): void
}

/**
 * Sees to partitions whose only copies are gone with the disks that they were on before anything was committed: made while most brokers were away, for
 * one. The cluster cannot know that nothing was lost and waits, rightly. Where anything was committed the operator lets it wait.
 */
export class Operator {
  private readonly parts: OperatorParts
  /** Since when partitions wait. */
  private waiting = new Map<string, number>()

  constructor(parts: OperatorParts) {
    this.parts = parts
  }

  look(nowUs: number): void {
    const { nodes, isBlank, elect } = this.parts
    const still = new Map<string, number>()
    for (const topic of activeController(nodes)?.image.topics.values() ?? [])
      for (const one of topic.partitions) {
        if (!orphaned(one) || !isBlank(one.topicId, one.partition)) continue
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
