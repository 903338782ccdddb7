import type { EpochHistory } from '../types.ts'

/** What a record is to the model: the epoch it was written in, and something to recognise it by. */
export interface ModelRecord {
  readonly epoch: number
  readonly value: string
}

export interface Content {
  readonly logStart: number
  readonly endOffset: number
  /** From `logStart` to `endOffset`; behind it what later contents appended, who share the array as long as nothing is cut. */
  readonly records: ModelRecord[]
  readonly epochs: readonly { readonly epoch: number; readonly start: number }[]
}

/** A log without a record that begins there. */
function emptyAt(offset: number): Content {
  return { logStart: offset, endOffset: offset, records: [], epochs: [] }
}

/**
 * A log that remembers what it would be after a power cut: its content as of the last sync, and each change since then, in order.
 * Content values are never changed, so remembering costs a reference.
 */
export class ModelLog implements EpochHistory {
  generation = 0
  private content: Content
  private synced: Content
  private unsynced: Content[] = []

  constructor(content: Content = emptyAt(0)) {
    this.content = content
    this.synced = content
  }

  get logStart(): number {
    return this.content.logStart
  }

  get endOffset(): number {
    return this.content.endOffset
  }

  get records(): readonly ModelRecord[] {
    return this.slice(this.logStart, this.endOffset)
  }

  get syncedEnd(): number {
    return this.synced.endOffset
  }

  /** The content as a value, to open another log with. */
  get snapshot(): Content {
    return this.content
  }

  get dirty(): boolean {
    return this.unsynced.length > 0
  }

  record(offset: number): ModelRecord | undefined {
    return recordOf(this.content, offset)
  }

  /** What a power cut now would leave for certain. */
  syncedRecord(offset: number): ModelRecord | undefined {
    return recordOf(this.synced, offset)
  }

  slice(from: number, to: number): readonly ModelRecord[] {
    return this.content.records.slice(from - this.content.logStart, to - this.content.logStart)
  }

  epochEnd(epoch: number): { readonly epoch: number; readonly endOffset: number } | null {
    const { epochs } = this.content
    for (let at = epochs.length - 1; at >= 0; at--) {
      const entry = epochs[at] as { epoch: number; start: number }
      if (entry.epoch <= epoch) return { epoch: entry.epoch, endOffset: epochs[at + 1]?.start ?? this.endOffset }
    }
    return null
  }

  append(records: readonly ModelRecord[]): void {
    const { logStart, endOffset } = this.content
    let { records: held, epochs } = this.content
    if (held.length > endOffset - logStart) held = held.slice(0, endOffset - logStart)
    for (const record of records) {
      const last = epochs.at(-1)
      if (last !== undefined && record.epoch < last.epoch)
        throw new Error(`a record of epoch ${record.epoch} after epoch ${last.epoch}`)
      if (last === undefined || record.epoch > last.epoch)
        epochs = [...epochs, { epoch: record.epoch, start: logStart + held.length }]
      held.push(record)
    }
    this.change({ logStart, endOffset: logStart + held.length, records: held, epochs })
  }

  beginEpoch(epoch: number): void {
    this.change({ ...this.content, epochs: [...this.content.epochs, { epoch, start: this.endOffset }] })
  }

  truncate(offset: number): void {
    this.generation += 1
    this.change({
      ...this.content,
      endOffset: Math.max(this.logStart, Math.min(offset, this.endOffset)),
      epochs: this.content.epochs.filter((entry) => entry.start < offset),
    })
  }

  restart(offset: number): void {
    this.generation += 1
    this.change(emptyAt(offset))
  }

  advanceLogStart(offset: number): void {
    if (offset <= this.content.logStart) return
    const first = this.content.epochs.findLast((entry) => entry.start <= offset)
    const later = this.content.epochs.filter((entry) => entry.start > offset)
    this.change({
      logStart: offset,
      endOffset: Math.max(offset, this.endOffset),
      records: this.content.records.slice(offset - this.logStart, this.endOffset - this.logStart),
      epochs: first === undefined ? later : [{ epoch: first.epoch, start: offset }, ...later],
    })
  }

  /** Begins a sync: the returned function ends it and tells what is durable now. */
  beginSync(): () => { readonly endOffset: number; readonly generation: number } {
    const covered = this.content
    const changes = this.unsynced.length
    const { generation } = this
    const before = this.unsynced
    return () => {
      this.synced = covered
      if (this.unsynced === before) this.unsynced = this.unsynced.slice(changes)
      return { endOffset: covered.endOffset, generation }
    }
  }

  /** What a new process finds: everything after a killed process; after a power cut the synced state and `kept` of the later changes. */
  reopened(kept: number = Infinity): ModelLog {
    if (kept >= this.unsynced.length) return new ModelLog(this.content)
    return new ModelLog(kept <= 0 ? this.synced : this.unsynced[kept - 1])
  }

  get unsyncedChanges(): number {
    return this.unsynced.length
  }

  private change(content: Content): void {
    this.content = content
    this.unsynced.push(content)
  }
}

function recordOf({ logStart, endOffset, records }: Content, offset: number): ModelRecord | undefined {
  return offset < endOffset ? records[offset - logStart] : undefined
}
