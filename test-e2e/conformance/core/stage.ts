import type { Adapter } from './adapter.ts'
import type { Judge } from './judge.ts'
import type { Answer, Arguments, OperationName, PlainRecord } from './operations.ts'

/** Runs one of Kafka's command line tools; rejects when it fails. */
export type ToolRunner = (name: string, args: readonly string[], input?: string) => Promise<string>

/** Ways in which a client differs from what the scenarios assume; each is the client's nature, not the cluster's. */
export interface Habits {
  /** It commits by itself, soon after it handed records out and when it leaves. */
  readonly commitsByItself?: boolean
  /** It sends no timestamps of the caller's. */
  readonly noTimestamps?: boolean
  /** Its keys decide about partitions: it writes to topics that have one. */
  readonly noPartitionChoice?: boolean
  /** It cannot write these records (see `SHAPES`), or hands them out changed. */
  readonly cannotWrite?: readonly string[]
}

/** What one cell of the table plays on: a client, the judge, and names that nobody else uses. */
export class Stage {
  readonly judge: Judge
  readonly adapter: Adapter
  /** Speaks `group.protocol=consumer`: the client itself, or one beside it where it does not know that. */
  readonly modern: Adapter
  readonly habits: Habits
  readonly tool: ToolRunner | null
  /** A prefix for topics and groups of this cell. */
  readonly name: string

  constructor(parts: Pick<Stage, 'judge' | 'adapter' | 'modern' | 'habits' | 'tool' | 'name'>) {
    this.judge = parts.judge
    this.adapter = parts.adapter
    this.modern = parts.modern
    this.habits = parts.habits
    this.tool = parts.tool
    this.name = parts.name
  }

  /** The group of this cell. */
  get group(): string {
    return `${this.name}-group`
  }

  ask<O extends OperationName>(operation: O, args: Arguments<O>): Promise<Answer<O>> {
    return this.adapter.ask(operation, args)
  }

  /** A topic of this cell that the judge makes. */
  async topic(partitions = 1): Promise<string> {
    await this.judge.createTopic(this.name, partitions)
    return this.name
  }
}

/** `count` records for each of the partitions, each with a key, a value and a header that tell where it belongs. */
export function sampleRecords(partitions: number, count: number, label = 'r'): PlainRecord[] {
  return Array.from({ length: partitions * count }, (_, at) => {
    const partition = at % partitions
    const text = `${label}-${partition}-${Math.floor(at / partitions)}`
    return { partition, key: base64(`k-${text}`), value: base64(`${text}-${'x'.repeat(40)}`), headers: [] }
  })
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
