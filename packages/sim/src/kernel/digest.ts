import { crc32 } from 'node:zlib'

/** Below this many bytes a loop is faster than a call out of JavaScript. */
const LOOP_BYTES = 48
/** Words that are kept with their hashes; what is told has few names. */
const KNOWN_WORDS = 1024

/** A rolling hash in two lanes of 32 bits: fast, and different for different content; no protection against malice. */
export class Digest {
  private first = 0x2545f491
  private second = 0x9e3779b9
  private readonly words = new Map<string, number>()
  private readonly float = new Float64Array(1)
  private readonly halves = new Uint32Array(this.float.buffer)

  /** 32 bits. */
  word(value: number): void {
    const first = Math.imul(this.first ^ value, 0x9e3779b1)
    this.first = first ^ (first >>> 15)
    const second = this.second
    this.second = Math.imul(((second << 13) | (second >>> 19)) + value, 0x85ebca6b) | 0
  }

  /** Any number, by its bits. */
  number(value: number): void {
    this.float[0] = value
    this.word(this.halves[0] as number)
    this.word(this.halves[1] as number)
  }

  /** A name of what follows. */
  text(text: string): void {
    let hash = this.words.get(text)
    if (hash === undefined) {
      hash = hashOf(text)
      if (this.words.size < KNOWN_WORDS) this.words.set(text, hash)
    }
    this.word(hash)
  }

  /** All of the bytes. */
  bytes(bytes: Uint8Array): void {
    this.word(bytes.length)
    if (bytes.length >= LOOP_BYTES) return this.word(crc32(bytes))
    let hash = 0
    for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193) + 1
    this.word(hash)
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    return hex(this.first) + hex(this.second)
  }
}

/** FNV-1a over the characters of a text. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** Spreads 32 bits: the finaliser of MurmurHash3. */
export function mixed(word: number): number {
  let mix = word ^ (word >>> 16)
  mix = Math.imul(mix, 0x85ebca6b)
  mix ^= mix >>> 13
  mix = Math.imul(mix, 0xc2b2ae35)
  return (mix ^ (mix >>> 16)) >>> 0
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
