import type { Random } from '@millrace/base'

/** The unit of the page cache. */
export const PAGE_BYTES = 4096
/** What a disk writes as a whole, at least. */
const SMALLEST_SECTOR = 512

/**
 * A page of a file. Images share pages: one that is in more than one image is never written to again but copied, so that a sync costs
 * no more than what was dirty.
 */
export class Page {
  readonly bytes: Uint8Array
  /** Later content of the same place has a higher one. */
  readonly version: number
  shared = false
  /** A bit for each of its smallest sectors: it holds what was never written there. */
  rotten: number

  constructor(bytes: Uint8Array, version: number, rotten = 0) {
    this.bytes = bytes
    this.version = version
    this.rotten = rotten
  }
}

/** The bits of the sectors that lie in [from, to) of a page as a whole. */
function wholeSectors(from: number, to: number): number {
  const first = Math.ceil(from / SMALLEST_SECTOR)
  const end = Math.floor(to / SMALLEST_SECTOR)
  return end <= first ? 0 : ((1 << end) - 1) & ~((1 << first) - 1)
}

/** The bits of the sectors that [from, to) of a page touches. */
function touchedSectors(from: number, to: number): number {
  return ((1 << Math.ceil(to / SMALLEST_SECTOR)) - 1) & ~((1 << Math.floor(from / SMALLEST_SECTOR)) - 1)
}

/** What a sync covers: the pages that were dirty when it was called, as they were then. */
export interface Capture {
  readonly order: number
  /** The youngest page there was. */
  readonly version: number
  readonly size: number
  readonly indexes: readonly number[]
  readonly pages: readonly Page[]
  /** The smallest size that the file had since. */
  lowest: number
}

/** What a power cut does to what was not synced. */
export interface CutRules {
  readonly sectorBytes: number
  readonly survivesPercent: number
  readonly garbagePercent: number
}

type Image = (Page | undefined)[]

/** What a file is filled with that was made longer: pages share it until they are written to. */
const ZEROS = new Uint8Array(PAGE_BYTES)

/**
 * The content of a file: as programs see it, and as it is on the platter. A page differs between the two when it is dirty, or when its
 * write failed or its sector rotted: then it is clean, reads well until the power cut, and no sync mends it.
 */
export class FileContent {
  /** Names the file in the run's digest, whatever it is called. */
  readonly id: number
  size = 0
  modifiedMs = 0
  /** A content without a name takes no space, though who has it open still reads it. */
  named = true
  private cached: Image = []
  private durable: Image = []
  private durableSize = 0
  /** The smallest size since the last sync: below it every byte that was durable is so still. */
  private lowest = 0
  private readonly dirty = new Set<number>()
  private captures: Capture[] = []
  private captured = 0
  /** The youngest sync that succeeded, and whatever settled the size last. */
  private promoted = 0
  private sized = 0
  private versions = 0

  constructor(id: number) {
    this.id = id
  }

  get dirtyPages(): number {
    return this.dirty.size
  }

  get bytesOnPlatter(): number {
    return this.durableSize
  }

  write(at: number, bytes: Uint8Array): void {
    if (at > this.size) this.resize(at)
    let from = 0
    while (from < bytes.length) {
      const position = at + from
      const inPage = position % PAGE_BYTES
      const count = Math.min(bytes.length - from, PAGE_BYTES - inPage)
      const piece = count === bytes.length ? bytes : bytes.subarray(from, from + count)
      const page = this.writablePage((position - inPage) / PAGE_BYTES)
      page.bytes.set(piece, inPage)
      page.rotten &= ~wholeSectors(inPage, inPage + count)
      from += count
    }
    if (at + bytes.length > this.size) this.size = at + bytes.length
  }

  /** Cuts, or grows with zeros. */
  resize(size: number): void {
    const pages = Math.ceil(size / PAGE_BYTES)
    if (size < this.size) {
      for (let index = pages; index < this.cached.length; index++) this.dirty.delete(index)
      this.cached.length = Math.min(this.cached.length, pages)
      const inPage = size % PAGE_BYTES
      if (inPage > 0 && this.cached[pages - 1] !== undefined) this.clearBehind(pages - 1, inPage)
      this.lowest = Math.min(this.lowest, size)
      for (const capture of this.captures) capture.lowest = Math.min(capture.lowest, size)
    }
    while (this.cached.length < pages) this.dirty.add(this.cached.push(this.zeroPage()) - 1)
    this.size = size
  }

  /** Fills `into` from `at`; returns how many bytes were there. */
  read(at: number, into: Uint8Array): number {
    return readImage(this.cached, Math.min(this.size, at + into.length), at, into)
  }

  /** The bytes that would be left if nothing unsynced survived. */
  readPlatter(at: number, into: Uint8Array): number {
    return readImage(this.durable, Math.min(this.durableSize, at + into.length), at, into)
  }

  capture(): Capture {
    const indexes = [...this.dirty]
    const pages = indexes.map((index) => {
      const page = this.cached[index] as Page
      page.shared = true
      return page
    })
    const { size, versions: version } = this
    const capture = { order: ++this.captured, version, size, indexes, pages, lowest: size }
    this.captures.push(capture)
    return capture
  }

  /** The sync succeeded. */
  promote(capture: Capture): void {
    this.dismiss(capture)
    // A sync that was called later has ended before: it covered all of this one.
    if (capture.order < this.promoted) return
    this.promoted = capture.order
    if (capture.order >= this.sized) {
      this.settleSize(capture)
      this.lowest = capture.lowest
    }
    capture.indexes.forEach((index, at) => this.promotePage(index, capture.pages[at] as Page))
  }

  /** The sync failed: its pages count as clean, though an arbitrary part of them never got to the platter. */
  lose(capture: Capture, random: Random, survivesPercent: number): void {
    this.dismiss(capture)
    const stale = capture.order < this.promoted
    capture.indexes.forEach((index, at) => {
      const page = capture.pages[at] as Page
      if (!stale && random.below(100) < survivesPercent) this.promotePage(index, page)
      else if (this.cached[index] === page) this.dirty.delete(index)
    })
  }

  /** The sync was never heard of again: what it covered is as dirty as before. */
  dismiss(capture: Capture): void {
    this.captures = this.captures.filter((other) => other !== capture)
  }

  /** A write that is durable when it ends: its pages and the size get to the platter. */
  writeThrough(at: number, bytes: Uint8Array): void {
    this.write(at, bytes)
    this.settleSize({ size: this.size, order: ++this.captured, version: this.versions })
    const last = Math.ceil((at + bytes.length) / PAGE_BYTES)
    for (let index = Math.floor(at / PAGE_BYTES); index < last; index++) {
      const page = this.cached[index] as Page
      page.shared = true
      this.promotePage(index, page)
    }
    this.lowest = this.size
  }

  /** The kernel writes back a dirty page of its own accord. */
  writeBackOne(random: Random): void {
    if (this.dirty.size === 0) return
    let skip = random.below(this.dirty.size)
    for (const index of this.dirty) {
      if (skip-- > 0) continue
      const page = this.cached[index] as Page
      page.shared = true
      return this.promotePage(index, page)
    }
  }

  /** What was not synced survives in part: sectors, and the size. */
  powerCut(random: Random, rules: CutRules): void {
    const size = this.sizeAfterCut(random, rules)
    for (const index of [...this.dirty].sort((a, b) => a - b)) this.tearPage(index, random, rules)
    this.captures = []
    this.cutPlatter(size)
    const pages = Math.ceil(size / PAGE_BYTES)
    for (let index = 0; index < pages; index++) {
      const page = this.durable[index]
      if (page === undefined) this.durable[index] = this.zeroPage()
      else page.shared = true
    }
    this.durableSize = this.size = this.lowest = size
    this.cached = [...this.durable]
    this.dirty.clear()
  }

  /**
   * Changes `bytes` bytes at `at`, which one page holds, on the platter behind everybody's back; `seen`: the page is not in the cache, so that
   * reads meet it at once.
   */
  corrupt({ at, bytes }: { at: number; bytes: number }, change: (bytes: Uint8Array) => void, seen: boolean): void {
    const inPage = at % PAGE_BYTES
    const index = (at - inPage) / PAGE_BYTES
    const old = this.durable[index]
    const rotten = (old?.rotten ?? 0) | touchedSectors(inPage, inPage + bytes)
    // A write that is on its way to the platter comes after the rot.
    const page = new Page(old === undefined ? new Uint8Array(PAGE_BYTES) : old.bytes.slice(), old?.version ?? 0, rotten)
    change(page.bytes.subarray(inPage, inPage + bytes))
    page.shared = true
    if (seen && this.cached[index] === old && index * PAGE_BYTES < this.size) this.cached[index] = page
    this.durable[index] = page
  }

  /** Whether the sector at `at` holds, on the platter or in the cache, what was never written there: writes beside it leave it so. */
  isRotten(at: number): boolean {
    const inPage = at % PAGE_BYTES
    const index = (at - inPage) / PAGE_BYTES
    const rotten = (this.durable[index]?.rotten ?? 0) | (this.cached[index]?.rotten ?? 0)
    return (rotten & touchedSectors(inPage, inPage + 1)) !== 0
  }

  private clearBehind(index: number, inPage: number): void {
    const page = this.writablePage(index)
    page.bytes.fill(0, inPage)
    page.rotten &= ~wholeSectors(inPage, PAGE_BYTES)
  }

  private promotePage(index: number, page: Page): void {
    if (page.version < (this.durable[index]?.version ?? 0)) return
    while (this.durable.length < index) this.durable.push(undefined)
    this.durable[index] = page
    if (this.cached[index] === page) this.dirty.delete(index)
  }

  /** Pages behind the size go, but not those that the kernel wrote back since. */
  private settleSize({ size, order, version }: Pick<Capture, 'size' | 'order' | 'version'>): void {
    this.sized = order
    this.durableSize = size
    const pages = Math.ceil(size / PAGE_BYTES)
    for (let index = pages; index < this.durable.length; index++)
      if ((this.durable[index]?.version ?? 0) <= version) this.durable[index] = undefined
    while (this.durable.length > pages && this.durable.at(-1) === undefined) this.durable.pop()
  }

  private cutPlatter(size: number): void {
    this.durable.length = Math.min(this.durable.length, Math.ceil(size / PAGE_BYTES))
    const inPage = size % PAGE_BYTES
    const last = Math.floor(size / PAGE_BYTES)
    const page = inPage === 0 ? undefined : this.durable[last]
    if (page?.bytes.subarray(inPage).some((byte) => byte !== 0) !== true) return
    const rotten = page.rotten & ~wholeSectors(inPage, PAGE_BYTES)
    this.durable[last] = new Page(page.bytes.slice().fill(0, inPage), ++this.versions, rotten)
  }

  private sizeAfterCut(random: Random, rules: CutRules): number {
    if (this.size === this.durableSize && this.lowest === this.size) return this.size
    if (random.below(100) >= rules.survivesPercent) return this.durableSize
    if (random.below(2) === 0) return this.size
    const low = Math.min(this.lowest, this.durableSize)
    return low + random.below(this.size - low + 1)
  }

  /** Every sector of a dirty page is as it was on the platter, as it is, or as a sync in flight wanted it. */
  private tearPage(index: number, random: Random, rules: CutRules): void {
    const old = this.durable[index]
    const bytes = old === undefined ? new Uint8Array(PAGE_BYTES) : old.bytes.slice()
    const versions = [this.cached[index] as Page, ...this.capturedVersions(index)]
    let rotten = old?.rotten ?? 0
    for (let at = 0; at < PAGE_BYTES; at += rules.sectorBytes) {
      if (random.below(100) < rules.survivesPercent) {
        const page = (versions.length === 1 ? versions[0] : versions[random.below(versions.length)]) as Page
        bytes.set(page.bytes.subarray(at, at + rules.sectorBytes), at)
        const sectors = wholeSectors(at, at + rules.sectorBytes)
        rotten = (rotten & ~sectors) | (page.rotten & sectors)
      } else if (random.below(100) < rules.garbagePercent) {
        this.spoilFresh(index * PAGE_BYTES, bytes.subarray(at, at + rules.sectorBytes), at, random)
      }
    }
    while (this.durable.length < index) this.durable.push(undefined)
    this.durable[index] = new Page(bytes, ++this.versions, rotten)
  }

  /** Garbage is what a block held before the file got it: never where the file had synced bytes, which sectors keep as a whole. */
  private spoilFresh(pageAt: number, sector: Uint8Array, inPage: number, random: Random): void {
    const from = Math.max(0, this.durableSize - pageAt - inPage)
    if (from < sector.length) random.fill(sector.subarray(from))
  }

  private capturedVersions(index: number): Page[] {
    const versions: Page[] = []
    for (const { indexes, pages } of this.captures) {
      const at = indexes.indexOf(index)
      if (at >= 0) versions.push(pages[at] as Page)
    }
    return versions
  }

  private writablePage(index: number): Page {
    const page = this.cached[index]
    this.dirty.add(index)
    if (page !== undefined && !page.shared) return page
    const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : page.bytes.slice()
    const own = new Page(bytes, ++this.versions, page?.rotten ?? 0)
    this.cached[index] = own
    return own
  }

  private zeroPage(): Page {
    const page = new Page(ZEROS, ++this.versions)
    page.shared = true
    return page
  }
}

function readImage(image: Image, end: number, at: number, into: Uint8Array): number {
  let position = at
  while (position < end) {
    const inPage = position % PAGE_BYTES
    const count = Math.min(end - position, PAGE_BYTES - inPage)
    const page = image[(position - inPage) / PAGE_BYTES]
    if (page === undefined) into.fill(0, position - at, position - at + count)
    else into.set(page.bytes.subarray(inPage, inPage + count), position - at)
    position += count
  }
  return Math.max(0, end - at)
}
