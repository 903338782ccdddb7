import type { Operation } from '../seams.ts'

/** Where a value was written, by whom. */
export interface Sender {
  readonly operation: Operation
  /** The value's place in its batch. */
  readonly at: number
}

/** A value that was read at an offset, by the first who did. */
export interface Reader {
  readonly value: string
  readonly operation: Operation
}

/** All operations on one partition, in the order of the history, and what polls saw of its log. */
export class PartitionHistory {
  readonly topic: string
  readonly partition: number
  readonly sends: Operation[] = []
  readonly polls: Operation[] = []
  readonly lookups: Operation[] = []
  readonly read = new Map<number, Reader>()
  /** What the fresh clients of the end read: offsets. */
  readonly readInTheEnd = new Set<number>()
  /** Every offset at which a value was read or told to its producer. */
  readonly places = new Map<string, number[]>()
  /** Offsets below this may have been deleted by request or by retention: nothing is demanded of them. */
  deletable = 0
  /** Where the log began for the fresh clients; null when none of them came so far. */
  finalStart: number | null = null

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  placed(value: string, offset: number): void {
    const known = this.places.get(value)
    if (known === undefined) this.places.set(value, [offset])
    else if (!known.includes(offset)) known.push(offset)
  }
}

/** A history by partition, and by value. Built once, in one pass. */
export class HistoryIndex {
  readonly partitions: readonly PartitionHistory[]
  readonly senders = new Map<string, Sender>()
  /** Answers that gave a producer its id. */
  readonly producers: Operation[] = []
  /** Whether fresh clients read everything: then what they did not see is not there. */
  readonly complete: boolean
  private readonly byName = new Map<string, PartitionHistory>()
  /** Topics whose retention was limited, at any time. */
  private readonly retained = new Set<string>()

  constructor(history: readonly Operation[]) {
    for (const operation of history) this.add(operation)
    this.partitions = [...this.byName.values()]
    this.complete = history.some(({ final }) => final === true)
    for (const partition of this.partitions)
      if (this.retained.has(partition.topic)) partition.deletable = Number.POSITIVE_INFINITY
  }

  private add(operation: Operation): void {
    switch (operation.kind) {
      case 'send':
        return this.addSend(operation, this.of(operation))
      case 'poll':
        return addPoll(operation, this.of(operation))
      case 'lookup':
        return addLookup(operation, this.of(operation))
      case 'init-producer':
        if (operation.outcome === 'ok') this.producers.push(operation)
        return
      case 'admin':
        return this.addAdmin(operation)
      default:
    }
  }

  private of({ topic, partition }: Operation): PartitionHistory {
    const name = `${topic}-${partition}`
    let found = this.byName.get(name)
    if (found === undefined) {
      found = new PartitionHistory(topic, partition)
      this.byName.set(name, found)
    }
    return found
  }

  private addSend(operation: Operation, partition: PartitionHistory): void {
    partition.sends.push(operation)
    operation.values.forEach(({ value, offset }, at) => {
      this.senders.set(value, { operation, at })
      if (offset >= 0) partition.placed(value, offset)
    })
  }

  /** What was refused changed nothing; everything else may have. */
  private addAdmin(operation: Operation): void {
    const { asked, outcome, topic, from = -1 } = operation
    if (outcome === 'fail') return
    if (asked === 'retention') this.retained.add(topic)
    if (asked !== 'delete-records') return
    const partition = this.of(operation)
    partition.deletable = Math.max(partition.deletable, from < 0 ? Number.POSITIVE_INFINITY : from)
  }
}

function addPoll(operation: Operation, partition: PartitionHistory): void {
  partition.polls.push(operation)
  for (const { value, offset } of operation.values) {
    if (!partition.read.has(offset)) partition.read.set(offset, { value, operation })
    if (operation.final === true) partition.readInTheEnd.add(offset)
    partition.placed(value, offset)
  }
}

function addLookup(operation: Operation, partition: PartitionHistory): void {
  const { final, asked, answer = -1 } = operation
  partition.lookups.push(operation)
  if (final === true && asked === 'earliest' && answer >= 0)
    partition.finalStart = Math.max(partition.finalStart ?? 0, answer)
}
