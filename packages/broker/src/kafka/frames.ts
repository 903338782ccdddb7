/** Bytes in front of every frame that tell its length. */
const PREFIX_BYTES = 4
/** A request's header has at least an API key, a version and a correlation id. */
const SMALLEST_FRAME = 8
/** What a frame that has not arrived whole is given at first; it grows with what really came, never with what was promised. */
const FIRST_CAPACITY = 64 * 1024

/** A frame whose length no request can have. The connection that sent it is closed. */
export class FrameRefused extends Error {
  override readonly name = 'FrameRefused'
}

/**
 * Cuts a byte stream into frames: an int32 length, then that many bytes. A frame that lies within one chunk is a view of it; one that
 * spans chunks is copied once, into a buffer that grows fourfold as bytes arrive, so that a large promise costs nothing by itself.
 */
export class FrameAssembler {
  private readonly maxFrameBytes: number
  /** What arrived and was not looked at yet, oldest first. */
  private readonly chunks: Uint8Array[] = []
  private firstChunk = 0
  /** Where in the oldest chunk the next byte is. */
  private at = 0
  private prefix = 0
  private prefixBytes = 0
  private partial: Uint8Array | null = null
  private partialBytes = 0
  private waitingBytes = 0

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.chunks.push(chunk)
    this.waitingBytes += chunk.length
  }

  /** Memory held for what was not handed out yet. */
  get heldBytes(): number {
    return this.waitingBytes + (this.partial?.length ?? 0)
  }

  /** Whether a frame has begun and is not whole. */
  get midFrame(): boolean {
    return this.prefixBytes > 0 || this.waitingBytes > 0
  }

  /** Of the frame that has begun: how many of its bytes came, its length prefix included. */
  get arrivedBytes(): number {
    return this.prefixBytes + this.partialBytes + this.waitingBytes
  }

  /** The next whole frame without its length, or null until more bytes come. Throws {@link FrameRefused}. */
  next(): Uint8Array | null {
    if (!this.readPrefix()) return null
    const size = this.prefix | 0
    if (this.partial === null) {
      const whole = this.fromOneChunk(size)
      if (whole !== null) return whole
      if (this.waitingBytes === 0) return null
      this.partial = Buffer.allocUnsafeSlow(Math.min(size, Math.max(FIRST_CAPACITY, this.waitingBytes)))
    }
    return this.gather(size)
  }

  /** Gives up what is held. */
  clear(): void {
    this.chunks.length = 0
    this.firstChunk = 0
    this.at = 0
    this.waitingBytes = 0
    this.partial = null
    this.partialBytes = 0
    this.prefixBytes = 0
  }

  private readPrefix(): boolean {
    if (this.prefixBytes === PREFIX_BYTES) return true
    while (this.prefixBytes < PREFIX_BYTES) {
      const chunk = this.chunks[this.firstChunk]
      if (chunk === undefined) return false
      this.prefix = (this.prefix << 8) | (chunk[this.at] as number)
      this.prefixBytes++
      this.consume(1)
    }
    const size = this.prefix
    if (size >= SMALLEST_FRAME && size <= this.maxFrameBytes) return true
    throw new FrameRefused(refusalOf(size, this.maxFrameBytes))
  }

  private fromOneChunk(size: number): Uint8Array | null {
    const chunk = this.chunks[this.firstChunk]
    if (chunk === undefined || chunk.length - this.at < size) return null
    const frame = chunk.subarray(this.at, this.at + size)
    this.consume(size)
    this.prefixBytes = 0
    this.prefix = 0
    return frame
  }

  private gather(size: number): Uint8Array | null {
    for (;;) {
      const chunk = this.chunks[this.firstChunk]
      if (chunk === undefined) return null
      const take = Math.min(chunk.length - this.at, size - this.partialBytes)
      const into = this.roomFor(take, size)
      into.set(take === chunk.length ? chunk : chunk.subarray(this.at, this.at + take), this.partialBytes)
      this.partialBytes += take
      this.consume(take)
      if (this.partialBytes < size) continue
      const frame = into.length === size ? into : into.subarray(0, size)
      this.partial = null
      this.partialBytes = 0
      this.prefixBytes = 0
      this.prefix = 0
      return frame
    }
  }

  private roomFor(bytes: number, size: number): Uint8Array {
    const present = this.partial as Uint8Array
    const needed = this.partialBytes + bytes
    if (needed <= present.length) return present
    const larger = Buffer.allocUnsafeSlow(Math.min(size, Math.max(needed, present.length * 4)))
    larger.set(present.subarray(0, this.partialBytes))
    this.partial = larger
    return larger
  }

  private consume(bytes: number): void {
    this.at += bytes
    this.waitingBytes -= bytes
    const chunk = this.chunks[this.firstChunk] as Uint8Array
    if (this.at < chunk.length) return
    this.at = 0
    this.firstChunk++
    if (this.firstChunk < this.chunks.length) return
    this.chunks.length = 0
    this.firstChunk = 0
  }
}

/** Why a length was refused, with what a person who sees the log can do about it. */
function refusalOf(size: number, maxFrameBytes: number): string {
  const word = size >>> 0
  if (word >>> 16 === 0x1603)
    return 'the client speaks TLS to a plaintext listener; set security.protocol=PLAINTEXT at the client, or connect to a TLS listener'
  const text = String.fromCharCode(word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff)
  if (/^(GET |HEAD|POST|PUT |DELE|OPTI|CONN|PATC|PRI )$/.test(text))
    return 'the client speaks HTTP to a Kafka listener; this port serves the Kafka protocol only'
  if (size > maxFrameBytes)
    return `a request of ${size} bytes is larger than socket.request.max.bytes (${maxFrameBytes})`
  return `a request cannot be ${size} bytes long; the client does not speak the Kafka protocol`
}
