import { ID, ProducerRows } from './producer-rows.ts'

/** Rows that are found by producer id. */
export class ProducerTable extends ProducerRows {
  private readonly rows = new Map<number, number>()

  /** The row of a producer, or -1. It holds until a row is removed. */
  rowOf(producerId: number): number {
    return this.rows.get(producerId) ?? -1
  }

  override addBlank(producerId: number): number {
    const row = super.addBlank(producerId)
    this.rows.set(producerId, row)
    return row
  }

  override addCopy(from: ProducerRows, row: number): number {
    const to = super.addCopy(from, row)
    this.rows.set(from.double(row, ID), to)
    return to
  }

  /** The last row takes the place of the removed one. */
  remove(row: number): void {
    const last = this.size - 1
    this.rows.delete(this.double(row, ID))
    if (row !== last) {
      this.copy(row, this, last)
      this.rows.set(this.double(row, ID), row)
    }
    this.shrink(last)
  }

  clear(): void {
    this.rows.clear()
    this.shrink(0)
  }
}
