import type { Uuid } from '@millrace/base'
import type { PartitionCounts } from '../assignors/assignment.ts'
import type { TopicsView } from '../seams.ts'

interface TopicShape {
  readonly id: Uuid
  readonly partitions: number
}

/** The topics that a group subscribes to and that exist, as they were at one time. */
export class TopicSet {
  private readonly shapes: ReadonlyMap<string, TopicShape>

  constructor(names: Iterable<string> = [], view: TopicsView | null = null) {
    const shapes = new Map<string, TopicShape>()
    for (const name of names) {
      const topic = view?.byName(name) ?? null
      if (topic !== null) shapes.set(name, { id: topic.id, partitions: topic.partitions })
    }
    this.shapes = shapes
  }

  idOf(name: string): Uuid | null {
    return this.shapes.get(name)?.id ?? null
  }

  counts(): PartitionCounts {
    return new Map([...this.shapes.values()].map(({ id, partitions }) => [id, partitions]))
  }

  /** Below 2^53, the same for the same topics in whatever order; a group that other topics exist for than when this was written is to be assigned anew. */
  hash(): number {
    let low = 0
    let high = 0
    for (const [name, { id, partitions }] of this.shapes) {
      const one = fnv(fnv(fnv(0x811c9dc5, name), id), String(partitions))
      low = (low + one) >>> 0
      high = (high + Math.imul(one ^ (one >>> 15), 0x2c1b3c6d)) >>> 0
    }
    return (high & 0x1f_ffff) * 0x1_0000_0000 + low
  }

  /** What is different from `before`, in words; of the first few topics. */
  differenceFrom(before: TopicSet): string {
    const told: string[] = []
    for (const [name, { id, partitions }] of this.shapes) {
      const was = before.shapes.get(name)
      if (was === undefined) told.push(`${name} is there with ${partitions} partitions`)
      else if (was.id !== id) told.push(`${name} was made anew`)
      else if (was.partitions !== partitions)
        told.push(`${name} has ${partitions} partitions instead of ${was.partitions}`)
    }
    for (const name of before.shapes.keys()) if (!this.shapes.has(name)) told.push(`${name} is gone`)
    const rest = told.length - TOLD_TOPICS
    return told.slice(0, TOLD_TOPICS).join(', ') + (rest > 0 ? `, and ${rest} more` : '')
  }
}

const TOLD_TOPICS = 3

function fnv(seed: number, text: string): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return Math.imul(hash ^ 0xff, 0x01000193) >>> 0
}
