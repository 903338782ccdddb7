import { describe, expect, test } from 'vitest'
import { BUFFER_BYTES, BufferPool } from '../../src/kafka/buffer-pool.ts'
import { FetchMemory } from '../../src/kafka/fetch-memory.ts'
import { VirtualTime } from './virtual-world.ts'

const MIB = 1024 * 1024

function pool(mostBuffers: number): { time: VirtualTime; pool: BufferPool; returned: Uint8Array[] } {
  const time = new VirtualTime()
  const returned: Uint8Array[] = []
  return { time, returned, pool: new BufferPool(time, { mostBuffers, returned: (buffer) => returned.push(buffer) }) }
}

describe('the buffer pool', () => {
  test('makes no more than its number, and lends the one again that came back last', () => {
    const { pool: buffers } = pool(2)
    const [one, other] = [buffers.borrow() as Uint8Array, buffers.borrow() as Uint8Array]
    expect(one.length).toBe(BUFFER_BYTES)
    expect(buffers.borrow()).toBeNull()
    expect(buffers.available).toBe(0)
    buffers.giveBack(one)
    buffers.giveBack(other)
    expect(buffers.allocatedBytes).toBe(2 * BUFFER_BYTES)
    expect([buffers.borrow(), buffers.borrow()]).toEqual([other, one])
  })

  test('takes a buffer back once', () => {
    const { pool: buffers, returned } = pool(2)
    const one = buffers.borrow() as Uint8Array
    buffers.giveBack(one)
    buffers.giveBack(one)
    buffers.giveBack(new Uint8Array(BUFFER_BYTES))
    expect(returned).toEqual([one])
    expect(buffers.borrow()).toBe(one)
    expect(buffers.borrow()).not.toBe(one)
  })

  test('leaves a buffer to whoever keeps it for seconds, and makes another in its place', () => {
    const { time, pool: buffers, returned } = pool(2)
    const slow = buffers.borrow() as Uint8Array
    time.advance(1500)
    const quick = buffers.borrow() as Uint8Array
    time.advance(1000)
    buffers.sweep()
    expect(buffers.available).toBe(1)
    const another = buffers.borrow()
    expect([slow, quick]).not.toContain(another)
    buffers.giveBack(slow)
    expect(returned).toEqual([])
    buffers.giveBack(quick)
    expect(returned).toEqual([quick])
    expect(buffers.allocatedBytes).toBe(2 * BUFFER_BYTES)
  })

  test('keeps what was needed within the last seconds, and lets the others go', () => {
    const { time, pool: buffers } = pool(8)
    const use = (count: number): void => {
      const out = Array.from({ length: count }, () => buffers.borrow() as Uint8Array)
      for (const one of out) buffers.giveBack(one)
    }
    use(8)
    for (let second = 0; second < 25; second++) {
      use(3)
      time.advance(1000)
      buffers.sweep()
    }
    expect(buffers.allocatedBytes).toBe(3 * BUFFER_BYTES)
    for (let second = 0; second < 25; second++) {
      time.advance(1000)
      buffers.sweep()
    }
    expect(buffers.allocatedBytes).toBe(0)
  })
})

describe('the memory of a fetch', () => {
  test('packs small reads into one buffer, and gives each what no other has', () => {
    const { pool: buffers, returned } = pool(4)
    const memory = new FetchMemory(buffers)
    const taken = Array.from({ length: 300 }, (_, i) => memory.take(1 + ((i * 37) % 3000)).fill(i & 0xff))
    expect(buffers.available).toBe(3)
    for (const [i, bytes] of taken.entries()) expect(bytes.every((byte) => byte === (i & 0xff))).toBe(true)
    memory.release()
    expect(returned).toHaveLength(1)
    expect(buffers.available).toBe(4)
  })

  test('borrows no more than its share, and what is too large or too much is memory of its own', () => {
    const { pool: buffers } = pool(32)
    const memory = new FetchMemory(buffers)
    expect(memory.room).toBe(8 * MIB)
    expect(memory.take(BUFFER_BYTES + 1)).toHaveLength(BUFFER_BYTES + 1)
    expect(buffers.available).toBe(32)
    for (let i = 0; i < 10; i++) expect(memory.take(MIB)).toHaveLength(MIB)
    expect(buffers.available).toBe(24)
    expect(memory.room).toBe(MIB)
    memory.release()
    expect(buffers.available).toBe(32)
  })

  test('has less room when others have borrowed, and always enough to go on', () => {
    const { pool: buffers } = pool(3)
    const [first, second] = [new FetchMemory(buffers), new FetchMemory(buffers)]
    first.take(MIB)
    expect(second.room).toBe(2 * MIB)
    first.take(MIB)
    first.take(MIB)
    expect(second.room).toBe(MIB)
    expect(second.take(MIB)).toHaveLength(MIB)
    second.release()
    expect(buffers.available).toBe(0)
  })

  test('goes back only after the last read into it has ended, though nobody wants its answer', () => {
    const { pool: buffers, returned } = pool(4)
    const memory = new FetchMemory(buffers)
    memory.readBegan()
    memory.take(MIB)
    memory.readBegan()
    memory.take(MIB)
    memory.release()
    memory.readEnded()
    expect(returned).toEqual([])
    // A read that must begin again takes more.
    memory.take(MIB)
    memory.readEnded()
    expect(returned).toHaveLength(3)
    memory.release()
    expect(returned).toHaveLength(3)
    expect(buffers.available).toBe(4)
  })
})
