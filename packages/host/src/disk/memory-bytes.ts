/** The first page of a file grows by doubling up to a whole page, so that a small file takes little memory. */
const SMALLEST_PAGE = 256
const PAGE = 64 * 1024

/** A growing run of bytes in pages: an append copies only what is appended. */
export class MemoryBytes {
  private pages: Uint8Array[] = []
  private length = 0

  get size(): number {
    return this.length
  }

  append(part: Uint8Array): void {
    let from = 0
    while (from < part.length) {
      const at = this.length % PAGE
      const page = this.pageFor(Math.floor(this.length / PAGE), at + part.length - from)
      const count = Math.min(part.length - from, PAGE - at)
      page.set(part.subarray(from, from + count), at)
      this.length += count
      from += count
    }
  }

  /** Writes over what is there from `at` on; what lies past the end is appended, after zeros where there is a hole. */
  write(at: number, part: Uint8Array): void {
    if (at > this.length) this.truncate(at)
    const inside = Math.min(part.length, this.length - at)
    let from = 0
    while (from < inside) {
      const inPage = (at + from) % PAGE
      const count = Math.min(inside - from, PAGE - inPage)
      const page = this.pages[Math.floor((at + from) / PAGE)] as Uint8Array
      page.set(part.subarray(from, from + count), inPage)
      from += count
    }
    this.append(part.subarray(inside))
  }

  /** Fills `into` from `at`; returns how many bytes were there. */
  read(at: number, into: Uint8Array): number {
    const end = Math.min(this.length, at + into.length)
    let from = at
    while (from < end) {
      const inPage = from % PAGE
      const count = Math.min(end - from, PAGE - inPage)
      const page = this.pages[Math.floor(from / PAGE)] as Uint8Array
      into.set(page.subarray(inPage, inPage + count), from - at)
      from += count
    }
    return Math.max(0, end - at)
  }

  /** Cuts, or grows with zeros. */
  truncate(size: number): void {
    if (size > this.length) return this.append(new Uint8Array(size - this.length))
    this.length = size
    this.pages.length = Math.ceil(size / PAGE)
  }

  /** The bytes that the content counts for no longer, once its name is gone: its space is given back exactly once. */
  release(): number {
    const counted = this.released ? 0 : this.length
    this.released = true
    return counted
  }

  /** Whether the content has no name any more and counts for nothing. */
  released = false

  private pageFor(index: number, needed: number): Uint8Array {
    const page = this.pages[index]
    if (page !== undefined && page.length >= Math.min(needed, PAGE)) return page
    let capacity = index > 0 ? PAGE : (page?.length ?? SMALLEST_PAGE)
    while (capacity < PAGE && capacity < needed) capacity *= 2
    const grown = new Uint8Array(capacity)
    if (page !== undefined) grown.set(page)
    this.pages[index] = grown
    return grown
  }
}
