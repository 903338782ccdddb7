import type { Operation } from '../seams.ts'

/** One thing worth telling. */
export interface StoryLine {
  readonly atUs: number
  /** A node, a client, or the nemesis. */
  readonly who: string
  readonly text: string
}

/** What happened in a run, the newest of it: faults, lives, log lines of nodes. Frames and writes are not told. */
export class Story {
  private readonly lines: StoryLine[] = []
  private readonly limit: number
  private readonly now: () => number

  constructor(now: () => number, limit = 4_000) {
    this.now = now
    this.limit = limit
  }

  tell(who: string, text: string): void {
    if (this.lines.length >= this.limit) this.lines.splice(0, this.limit / 2)
    this.lines.push({ atUs: this.now(), who, text })
  }

  /** The last lines, with what clients did among them, in the order of time. */
  last(count: number, history: readonly Operation[]): readonly StoryLine[] {
    // Clients do much more than nodes tell: they get a third of the lines.
    const operations = history
      .slice(-Math.ceil(count / 3))
      .filter(({ endedUs }) => Number.isFinite(endedUs))
      .map((operation) => ({ atUs: operation.endedUs, who: operation.client, text: tellOperation(operation) }))
    const all = [...this.lines, ...operations]
    // Equal times keep their order: what a node wrote before what its client saw of it.
    return all.sort((a, b) => a.atUs - b.atUs).slice(-count)
  }
}

/** A line as people read it: seconds, who, what. */
export function printLine({ atUs, who, text }: StoryLine): string {
  return `${(atUs / 1e6).toFixed(6).padStart(11)}  ${who.padEnd(9)} ${text}`
}

function tellOperation(operation: Operation): string {
  const { kind, outcome, topic, partition, values, error } = operation
  const where = topic === '' ? '' : ` ${topic}-${partition}`
  const first = values[0]?.offset ?? -1
  const last = values.at(-1)?.offset ?? -1
  const offsets = values.length === 0 ? '' : first < 0 ? ` ${values.length} values` : ` offsets ${first} to ${last}`
  const acks = operation.acks === undefined ? '' : ` acks=${operation.acks === -1 ? 'all' : operation.acks}`
  const from = operation.from === undefined ? '' : ` from ${operation.from}`
  return `${kind}${where}${acks}${from}${offsets}: ${outcome}${error === undefined ? '' : ` (error ${error})`}`
}
