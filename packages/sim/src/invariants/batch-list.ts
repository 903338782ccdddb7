/** What tells a batch from every other one at its place: the CRC covers all that its producer wrote. */
export interface Batch {
  readonly base: number
  /** The offset after it. */
  readonly next: number
  readonly epoch: number
  readonly crc: number
}

/** The batches of a log in order, as columns of numbers: what is compared after every event must not be made of objects. */
export class BatchList {
  readonly bases: number[] = []
  readonly nexts: number[] = []
  readonly epochs: number[] = []
  readonly crcs: number[] = []

  get length(): number {
    return this.bases.length
  }

  /** The offset after the last batch; 0 when there is none. */
  get end(): number {
    return this.nexts.at(-1) ?? 0
  }

  push({ base, next, epoch, crc }: Batch): void {
    this.bases.push(base)
    this.nexts.push(next)
    this.epochs.push(epoch)
    this.crcs.push(crc)
  }

  at(index: number): Batch {
    return {
      base: this.bases[index] as number,
      next: this.nexts[index] as number,
      epoch: this.epochs[index] as number,
      crc: this.crcs[index] as number,
    }
  }

  /** Where the first batch is that ends above `offset`; the length when there is none. */
  above(offset: number): number {
    let low = 0
    let high = this.nexts.length
    if (high > 0 && (this.nexts[high - 1] as number) <= offset) return high
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.nexts[middle] as number) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Where the batch that begins at `base` is, or -1. */
  find(base: number): number {
    const at = this.above(base)
    return this.bases[at] === base ? at : -1
  }

  /** Whether the batch at `index` is the one at `other` of another list. */
  same(index: number, list: BatchList, other: number): boolean {
    return (
      this.bases[index] === list.bases[other] &&
      this.nexts[index] === list.nexts[other] &&
      this.epochs[index] === list.epochs[other] &&
      this.crcs[index] === list.crcs[other]
    )
  }

  /** Keeps the first `count` batches. */
  keep(count: number): void {
    this.bases.length = count
    this.nexts.length = count
    this.epochs.length = count
    this.crcs.length = count
  }
}

export function batchText(list: BatchList, index: number): string {
  if (index < 0 || index >= list.length) return 'nothing'
  const { base, next, epoch, crc } = list.at(index)
  return `[${base},${next}) of epoch ${epoch} with CRC ${crc.toString(16)}`
}
