import { describe, expect, test } from 'vitest'
import { FrameAssembler, FrameRefused } from '../../src/kafka/frames.ts'

function framed(...bodies: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(body.length)
      return [length, body]
    }),
  )
}

function bodyOf(length: number, seed = 1): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed) & 0xff))
}

function all(frames: FrameAssembler): Buffer[] {
  const found: Buffer[] = []
  for (let frame = frames.next(); frame !== null; frame = frames.next()) found.push(Buffer.from(frame))
  return found
}

describe('the frame assembler', () => {
  test('cuts the same frames from every division into chunks', () => {
    const bodies = [bodyOf(8), bodyOf(100, 2), bodyOf(9, 3), bodyOf(1000, 4)]
    const bytes = framed(...bodies)
    for (const size of [1, 2, 3, 5, 7, 11, 64, 500, bytes.length]) {
      const frames = new FrameAssembler(2000)
      const found: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) {
        frames.push(bytes.subarray(at, at + size))
        found.push(...all(frames))
      }
      expect(found).toEqual(bodies)
      expect(frames.heldBytes).toBe(0)
      expect(frames.midFrame).toBe(false)
    }
  })

  test('takes a frame that lies within one chunk without copying it', () => {
    const frames = new FrameAssembler(2000)
    const bytes = framed(bodyOf(100))
    frames.push(bytes)
    expect(frames.next()?.buffer).toBe(bytes.buffer)
  })

  test('takes the largest frame that is allowed and refuses one more byte', () => {
    const frames = new FrameAssembler(1000)
    frames.push(framed(bodyOf(1000)))
    expect(frames.next()?.length).toBe(1000)
    frames.push(framed(bodyOf(1001)))
    expect(() => frames.next()).toThrow(FrameRefused)
  })

  test.each([-1, 0, 7, 2 ** 31 - 1, -(2 ** 31)])('refuses the length %i before it allocates', (length) => {
    const frames = new FrameAssembler(100 * 1024 * 1024)
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(length)
    frames.push(prefix)
    expect(() => frames.next()).toThrow(FrameRefused)
    expect(frames.heldBytes).toBe(0)
  })

  test('holds about what has arrived of a large frame, not what was promised', () => {
    const frames = new FrameAssembler(100 * 1024 * 1024)
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(100 * 1024 * 1024)
    frames.push(prefix)
    expect(frames.next()).toBeNull()
    expect(frames.heldBytes).toBe(0)
    for (let i = 0; i < 1000; i++) {
      frames.push(new Uint8Array(1))
      frames.next()
    }
    expect(frames.heldBytes).toBeLessThanOrEqual(64 * 1024)
    for (let i = 0; i < 20; i++) frames.push(new Uint8Array(64 * 1024))
    frames.next()
    expect(frames.heldBytes).toBeLessThanOrEqual(5 * 20 * 64 * 1024)
  })

  test('copies the bytes of a large frame a bounded number of times', () => {
    const frames = new FrameAssembler(64 * 1024 * 1024)
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(32 * 1024 * 1024)
    frames.push(prefix)
    let capacity = 0
    let copied = 0
    const chunk = new Uint8Array(16 * 1024)
    let frame: Uint8Array | null = null
    for (let sent = 0; sent < 32 * 1024 * 1024; sent += chunk.length) {
      frames.push(chunk)
      frame = frames.next()
      if (frames.heldBytes > capacity) {
        copied += capacity
        capacity = frames.heldBytes
      }
    }
    expect(frame?.length).toBe(32 * 1024 * 1024)
    expect(copied).toBeLessThan(32 * 1024 * 1024)
  })

  test.each([
    ['GET / HTTP/1.1\r\n', /HTTP/],
    ['PRI * HTTP/2.0\r\n', /HTTP/],
    ['\u0016\u0003\u0001\u0002\u0000\u0001', /TLS/],
    ['garbage\r\n', /larger than/],
  ])('tells what %j looks like', (text, hint) => {
    const frames = new FrameAssembler(100 * 1024 * 1024)
    frames.push(Buffer.from(text, 'latin1'))
    expect(() => frames.next()).toThrow(hint)
  })
})
