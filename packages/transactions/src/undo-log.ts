import { ProducerRows } from './producer-rows.ts'

/** How many appends a truncation can take back without reading the log again; each costs a row. */
const MOST = 1024

/** What rows were before the last appends, so that a truncation need not read the log: it is short, and happens while clients wait. */
export class UndoLog {
  /** Nothing below this end can be taken back. */
  floor: number
  private readonly rows = new ProducerRows()
  /** Where the batch ended that changed the row, oldest first. */
  private readonly ends: number[] = []
  /** Earlier ones are forgotten. */
  private first = 0

  constructor(floor: number) {
    this.floor = floor
  }

  get bytes(): number {
    return this.rows.bytes + this.ends.length * 8
  }

  /** Remembers a row that a batch with this end is about to change. */
  push(from: ProducerRows, row: number, end: number): void {
    if (this.ends.length - this.first === MOST) this.forget()
    this.rows.addCopy(from, row)
    this.ends.push(end)
  }

  /** The watermark passed `offset`: what lies below will not be truncated. */
  settled(offset: number): void {
    while (this.first < this.ends.length && (this.ends[this.first] as number) <= offset) this.forget()
  }

  /** Gives back, newest first, every row that a batch with an end beyond `endOffset` changed. */
  undo(endOffset: number, restore: (rows: ProducerRows, row: number) => void): void {
    let size = this.ends.length
    while (size > this.first && (this.ends[size - 1] as number) > endOffset) restore(this.rows, --size)
    this.ends.length = size
    this.rows.shrink(size)
  }

  private forget(): void {
    this.floor = this.ends[this.first++] as number
    if (this.first === this.ends.length) this.drop()
    else if (this.first >= MOST) this.compact()
  }

  private drop(): void {
    this.ends.length = 0
    this.rows.shrink(0)
    this.first = 0
  }

  private compact(): void {
    const kept = this.ends.length - this.first
    for (let row = 0; row < kept; row++) this.rows.copy(row, this.rows, this.first + row)
    this.ends.splice(0, this.first)
    this.rows.shrink(kept)
    this.first = 0
  }
}
