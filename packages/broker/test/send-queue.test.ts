import type { Done } from '@millrace/base'
import { MemoryLogger } from '@millrace/host'
import { baseOffset, nextOffset, setBaseOffset, splitBatches } from '@millrace/records'
import { LeaderFrame } from '@millrace/rpc'
import type { LogSlice } from '@millrace/storage'
import { describe, expect, it } from 'vitest'
import { OutgoingFrame } from '../src/leader-frame.ts'
import { brokerCounters } from '../src/metrics.ts'
import type { BrokerReplica } from '../src/replica.ts'
import { CATCH_UP_WINDOW_BYTES, SendQueue, WINDOW_BYTES } from '../src/send-queue.ts'
import { SendSession } from '../src/send-session.ts'
import { bigBatch } from './cluster.ts'

/** A leader's log in an array, which answers reads at once or when the test says so. */
class Partition {
  readonly batches: Uint8Array[] = []
  readonly late: (() => void)[] = []
  readonly machine = { highWatermark: 0, logStart: 0, carried: () => {} }
  readonly log = {
    endOffset: 0,
    logStart: 0,
    peek: (from: number, maxBytes: number) => (from < this.cachedFrom ? null : this.slice(from, maxBytes)),
    readProven: (from: number, maxBytes: number, _below: number, done: Done<LogSlice>) =>
      this.read(from, maxBytes, done),
  }
  /** Reads from disk are answered at once. */
  prompt = true
  /** The first offset that is in the tail cache. */
  cachedFrom = 0
  readonly topic = 't'
  readonly partition = 0

  get asReplica(): BrokerReplica {
    return this as unknown as BrokerReplica
  }

  append(count: number, bytes: number): void {
    for (let at = 0; at < count; at++) {
      const batch = bigBatch(bytes)
      setBaseOffset(batch, 0, this.log.endOffset++)
      this.batches.push(batch)
    }
  }

  /** Nothing of what was appended so far is in the tail cache any more. */
  evict(): void {
    this.cachedFrom = this.log.endOffset
  }

  private slice(from: number, maxBytes: number): LogSlice {
    const parts: Uint8Array[] = []
    let bytes = 0
    for (const batch of this.batches.slice(from)) {
      if (bytes > 0 && bytes + batch.length > maxBytes) break
      parts.push(batch)
      bytes += batch.length
    }
    return { parts, bytes, nextOffset: from + parts.length }
  }

  private read(from: number, maxBytes: number, done: Done<LogSlice>): LogSlice | null {
    const slice = this.slice(from, maxBytes)
    if (this.prompt) return slice
    this.late.push(() => done(null, slice))
    return null
  }
}

function sending() {
  const pace = { waitUs: 0 }
  let wakes = 0
  const below: number[] = []
  const timers: (() => void)[] = []
  const counters = brokerCounters()
  const queue = new SendQueue({
    clock: { monotonicUs: () => 0, wallMs: () => 0 },
    timers: {
      after: (_delay, run) => {
        timers.push(run)
        return { cancel: () => {} }
      },
      endOfTurn: (run) => run(),
    },
    log: new MemoryLogger(),
    counters,
    throttle: { waitUs: () => pace.waitUs, sent: () => false },
    wake: () => wakes++,
    belowLog: (session) => below.push(session.session),
  })
  const carrier = { wants: queue.add.bind(queue), ended: () => {} }
  const session = (partition: Partition, number: number, next = 0): SendSession =>
    new SendSession(partition.asReplica, carrier, 2, number, next)
  /** Everything that would be sent now: offsets by session, and the sizes of the frames. */
  const drain = () => {
    const sent = new Map<number, number[]>()
    const frames: number[] = []
    for (;;) {
      const frame = new OutgoingFrame()
      queue.fill(frame)
      if (frame.empty) break
      let bytes = 0
      for (const { session: number, batches, baseOffset: from } of appendsOf(frame)) {
        const offsets = sent.get(number) ?? []
        const whole = batches.flatMap((part) => splitBatches(part))
        expect(from).toBe(baseOffset(whole[0] as Uint8Array, 0))
        for (const batch of whole) offsets.push(baseOffset(batch, 0))
        bytes += whole.reduce((sum, batch) => sum + batch.length, 0)
        sent.set(number, offsets)
      }
      frames.push(bytes)
    }
    return { sent, frames }
  }
  return { queue, session, drain, below, timers, pace, counters, wakes: () => wakes }
}

const appendsOf = (frame: OutgoingFrame) =>
  frame.take().flatMap((parts) => LeaderFrame.decode(Buffer.concat(parts)).append)
const upTo = (end: number, from = 0): number[] => Array.from({ length: end - from }, (_, at) => from + at)

describe('what a follower is sent', () => {
  it('comes from the tail cache, in frames of about 1 MiB', () => {
    const { queue, session, drain, counters } = sending()
    const partition = new Partition()
    const one = session(partition, 1)
    partition.append(30, 100_000)
    queue.add(one)
    const { sent, frames } = drain()
    expect(sent.get(1)).toEqual(upTo(30))
    expect(Math.max(...frames)).toBeLessThanOrEqual(1 << 20)
    expect(frames.length).toBe(3)
    expect(one.next).toBe(30)
    expect(counters.catchUpBytes).toBe(0)
    expect(counters.tailBytes).toBe(frames.reduce((sum, bytes) => sum + bytes, 0))
  })

  it('may be one batch that is larger than a frame should be', () => {
    const { queue, session, drain } = sending()
    const partition = new Partition()
    partition.append(3, 2_000_000)
    queue.add(session(partition, 1))
    const { sent, frames } = drain()
    expect(sent.get(1)).toEqual([0, 1, 2])
    expect(frames.length).toBe(3)
  })

  it('is a little of each partition in its turn, however much of one waits', () => {
    const { queue, session, drain } = sending()
    const [long, short] = [new Partition(), new Partition()]
    long.append(50, 100_000)
    short.append(2, 100_000)
    queue.add(session(long, 1))
    queue.add(session(short, 2))
    const frame = new OutgoingFrame()
    queue.fill(frame)
    expect(new Set(appendsOf(frame).map(({ session: number }) => number))).toEqual(new Set([1, 2]))
    const rest = drain().sent
    expect(rest.get(1)?.at(-1)).toBe(49)
    expect(rest.has(2)).toBe(false)
  })

  it('waits for its time where it is slowed down, and nothing else waits with it', () => {
    const { queue, session, drain, timers, pace } = sending()
    const partitions = [new Partition(), new Partition()]
    const sessions = partitions.map((partition, at) => session(partition, at + 1))
    for (const partition of partitions) partition.append(3, 1000)
    partitions[1]?.evict()
    pace.waitUs = 5_000
    for (const one of sessions) queue.add(one)
    expect(drain().sent.size).toBe(0)
    expect(timers.length).toBe(1)
    const quick = new Partition()
    quick.append(2, 1000)
    pace.waitUs = 0
    queue.add(session(quick, 3))
    expect(drain().sent).toEqual(new Map([[3, [0, 1]]]))
    queue.add(sessions[0] as SendSession)
    expect(drain().sent.size).toBe(0)
    timers[0]?.()
    expect(drain().sent).toEqual(
      new Map([
        [1, [0, 1, 2]],
        [2, [0, 1, 2]],
      ]),
    )
  })

  it('is queued once, however often the log grew', () => {
    const { queue, session, drain } = sending()
    const partition = new Partition()
    const one = session(partition, 1)
    for (let at = 0; at < 3; at++) {
      partition.append(1, 1000)
      queue.add(one)
    }
    const { sent, frames } = drain()
    expect(sent.get(1)).toEqual([0, 1, 2])
    expect(frames.length).toBe(1)
    expect(drain().sent.size).toBe(0)
  })

  it('stops at the window, and goes on from the log once it is acknowledged, without a gap or a repetition', () => {
    const { queue, session, drain, wakes } = sending()
    const partition = new Partition()
    const one = session(partition, 1)
    partition.append(200, 100_000)
    queue.add(one)
    const first = drain()
    const end = one.next
    expect(queue.inFlightBytes).toBeGreaterThanOrEqual(WINDOW_BYTES)
    expect(queue.inFlightBytes).toBeLessThan(WINDOW_BYTES + (1 << 20) + 200_000)
    expect(first.sent.get(1)).toEqual(upTo(end))
    partition.evict()
    const got = [...(first.sent.get(1) ?? [])]
    for (let round = 0; round < 100 && one.next < 200; round++) {
      const before = wakes()
      queue.acked(one, one.next)
      expect(wakes()).toBeGreaterThan(before)
      got.push(...(drain().sent.get(1) ?? []))
    }
    expect(got).toEqual(upTo(200))
    queue.acked(one, 200)
    expect(queue.inFlightBytes).toBe(0)
  })

  it('gives catch-up at most half of the window, each partition in its turn', () => {
    const { queue, session, drain } = sending()
    const partitions = [1, 2, 3].map((number) => {
      const partition = new Partition()
      partition.append(100, 100_000)
      partition.evict()
      const made = session(partition, number)
      queue.add(made)
      return made
    })
    const { sent } = drain()
    expect(queue.inFlightBytes).toBeGreaterThanOrEqual(CATCH_UP_WINDOW_BYTES)
    expect(queue.inFlightBytes).toBeLessThan(CATCH_UP_WINDOW_BYTES + 300_000)
    const counts = partitions.map(({ session: number }) => sent.get(number)?.length ?? 0)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2)
    const fresh = new Partition()
    fresh.append(1, 1000)
    queue.add(session(fresh, 9))
    expect(drain().sent.get(9)).toEqual([0])
  })

  it('moves from catch-up to the tail where they meet', () => {
    const { queue, session, drain, counters } = sending()
    const partition = new Partition()
    partition.append(5, 1000)
    partition.evict()
    const one = session(partition, 1)
    queue.add(one)
    const got = drain().sent.get(1) ?? []
    const caughtUp = counters.catchUpBytes
    partition.append(5, 1000)
    queue.add(one)
    got.push(...(drain().sent.get(1) ?? []))
    expect(got).toEqual(upTo(10))
    expect(counters.catchUpBytes).toBe(caughtUp)
  })

  it('waits for a read from disk while the tail grows, and sends each offset once', () => {
    const { queue, session, drain } = sending()
    const partition = new Partition()
    partition.prompt = false
    partition.append(5, 1000)
    partition.evict()
    const one = session(partition, 1)
    queue.add(one)
    expect(drain().sent.size).toBe(0)
    partition.append(5, 1000)
    queue.add(one)
    expect(drain().sent.size).toBe(0)
    partition.evict()
    const got: number[] = []
    for (let round = 0; round < 4; round++) {
      for (const answer of partition.late.splice(0)) answer()
      got.push(...(drain().sent.get(1) ?? []))
    }
    expect(got).toEqual(upTo(10))
    queue.acked(one, 10)
    expect(queue.inFlightBytes).toBe(0)
  })

  it('is nothing once its session ended, and its window is free again', () => {
    const { queue, session, drain } = sending()
    const partition = new Partition()
    partition.prompt = false
    partition.append(5, 1000)
    partition.evict()
    const one = session(partition, 1)
    queue.add(one)
    drain()
    queue.end(one)
    for (const answer of partition.late.splice(0)) answer()
    expect(drain().sent.size).toBe(0)
    expect(queue.inFlightBytes).toBe(0)
  })

  it('begins anew where the log no longer holds what comes next', () => {
    const { queue, session, drain, below } = sending()
    const partition = new Partition()
    partition.append(5, 1000)
    partition.evict()
    partition.log.logStart = 3
    queue.add(session(partition, 4))
    expect(drain().sent.size).toBe(0)
    expect(below).toEqual([4])
  })

  it('is read again after a while when the read failed', () => {
    const { queue, session, drain, timers } = sending()
    const partition = new Partition()
    partition.append(5, 1000)
    partition.evict()
    const read = partition.log.readProven
    partition.log.readProven = (_from, _max, _below, done) => {
      partition.late.push(() => done({ code: 'EIO' } as never, undefined as never))
      return null
    }
    const one = session(partition, 1)
    queue.add(one)
    drain()
    for (const answer of partition.late.splice(0)) answer()
    partition.log.readProven = read
    expect(drain().sent.size).toBe(0)
    for (const timer of timers.splice(0)) timer()
    expect(drain().sent.get(1)).toEqual(upTo(5))
    expect(nextOffset(partition.batches[4] as Uint8Array, 0)).toBe(5)
  })
})
