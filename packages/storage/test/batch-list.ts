import assert from 'node:assert/strict'
import { baseOffset, crc32c, nextOffset, storedCrc } from '@millrace/records'
import type { BatchObserver } from '../src/index.ts'

interface Entry {
  readonly base: number
  readonly end: number
  readonly crc: number
}

/** An observer that knows every batch of its log, so that one too many, one too few or one of another past shows. */
export class BatchList implements BatchObserver {
  entries: Entry[] = []
  /** How often it was told of a batch again, and how often it began from a snapshot. */
  replayed = 0
  loaded = 0
  /** Whether the next truncation can be taken back. */
  canUndo: () => boolean

  constructor(canUndo: () => boolean = () => true) {
    this.canUndo = canUndo
  }

  get offsets(): number[] {
    return this.entries.map(({ base }) => base)
  }

  load(snapshot: Uint8Array | null, endOffset: number): boolean {
    this.entries = []
    if (snapshot === null) return true
    const text = new TextDecoder().decode(snapshot)
    const [crc, content] = text.split('|')
    if (content === undefined || crc !== String(crc32c(new TextEncoder().encode(content)))) return false
    this.entries = JSON.parse(content) as Entry[]
    this.loaded++
    assert.ok((this.entries.at(-1)?.end ?? 0) <= endOffset, 'a snapshot knows no more than its name says')
    return true
  }

  replay(bytes: Uint8Array, at: number): void {
    this.replayed++
    this.add(bytes, at)
  }

  appended(bytes: Uint8Array, at: number): void {
    this.add(bytes, at)
  }

  truncated(endOffset: number): boolean {
    if (!this.canUndo()) return false
    this.entries = this.entries.filter(({ end }) => end <= endOffset)
    return true
  }

  snapshot(): Uint8Array {
    const content = JSON.stringify(this.entries)
    return new TextEncoder().encode(`${crc32c(new TextEncoder().encode(content))}|${content}`)
  }

  private add(bytes: Uint8Array, at: number): void {
    const base = baseOffset(bytes, at)
    assert.ok(base >= (this.entries.at(-1)?.end ?? 0), `batch ${base} after ${this.entries.at(-1)?.end}`)
    this.entries.push({ base, end: nextOffset(bytes, at), crc: storedCrc(bytes, at) })
  }
}

/** What the list must be for a log that holds these batches. */
export function listOf(batches: readonly Uint8Array[]): Entry[] {
  return batches.map((batch) => ({ base: baseOffset(batch, 0), end: nextOffset(batch, 0), crc: storedCrc(batch, 0) }))
}
