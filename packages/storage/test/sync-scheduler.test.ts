import type { Done, IoError } from '@millrace/base'
import { IoError as Failure } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../src/index.ts'
import { SyncScheduler, type SyncTarget } from '../src/sync-scheduler.ts'
import { batchAt, createLog, openDirectory, Reports, SMALL, TOPIC_ID } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

/** A target whose files take this long to sync. */
class FakeTarget implements SyncTarget {
  readonly begun: number[] = []
  readonly finished: number[] = []
  error: IoError | null = null
  private readonly world: SimWorld
  private readonly us: number
  private readonly files: number

  constructor(world: SimWorld, us: number, files = 1) {
    this.world = world
    this.us = us
    this.files = files
  }

  beginSync() {
    this.begun.push(this.world.nowUs)
    return {
      files: this.files,
      run: (done: Done<void>) => void this.world.timers.after(this.us, () => done(this.error)),
      finished: () => void this.finished.push(this.world.nowUs),
    }
  }
}

function scheduler(world: SimWorld, minimumDelayUs = 0) {
  const ends: number[] = []
  const errors: IoError[] = []
  const options = {
    timers: world.timers,
    clock: world.clock,
    failed: (error: IoError) => void errors.push(error),
    roundEnded: () => void ends.push(world.nowUs),
    minimumDelayUs,
  }
  return { syncs: new SyncScheduler(options), ends, errors }
}

/** Marks the target every half millisecond. */
function writeOften(world: SimWorld, syncs: SyncScheduler, target: SyncTarget, times: number): void {
  for (let i = 0; i < times; i++) {
    syncs.markDirty(target)
    world.run(500)
  }
}

describe('sync rounds', () => {
  it('do not wait for more when the writing pauses', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world)
    const target = new FakeTarget(world, 100, 40)
    syncs.markDirty(target)
    world.run(200)
    writeOften(world, syncs, target, 3)
    // The last write was at 1200; after a quiet millisecond the round begins, long before its syncs' share would allow.
    world.run(50_000)
    expect(target.begun).toEqual([0, 2200])
  })

  it('begin at the end of the turn when nothing was going on, and report all of a round in one turn', () => {
    const world = new SimWorld(1)
    const { syncs, ends } = scheduler(world)
    const targets = [1000, 3000, 2000].map((us) => new FakeTarget(world, us))
    for (const target of targets) syncs.markDirty(target)
    expect(targets[0]!.begun).toEqual([])
    world.run(10_000)
    expect(targets.map(({ begun, finished }) => [begun, finished])).toEqual([
      [[0], [3000]],
      [[0], [3000]],
      [[0], [3000]],
    ])
    expect(ends).toEqual([3000])
  })

  it('take what was written while one ran into the next, once', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world)
    const target = new FakeTarget(world, 5000)
    syncs.markDirty(target)
    world.run(1000)
    for (let i = 0; i < 10; i++) syncs.markDirty(target)
    world.run(100_000)
    expect([target.begun, target.finished]).toEqual([
      [0, 5000],
      [5000, 10_000],
    ])
  })

  it('are spaced out under load by what their syncs cost, never by more than 10 ms, and not at all when idle', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world)
    const few = new FakeTarget(world, 100, 4)
    const many = new FakeTarget(world, 100, 400)
    writeOften(world, syncs, few, 9)
    world.run(50_000)
    // Four files at 250 us each may take a quarter of a processor: a round each 4 ms, while somebody writes.
    expect(few.begun.slice(0, 2)).toEqual([0, 4000])
    const from = world.nowUs
    writeOften(world, syncs, many, 30)
    world.run(50_000)
    expect(many.begun.slice(0, 2).map((begun) => begun - from)).toEqual([0, 10_100])
    world.run(100_000)
    syncs.markDirty(few)
    const now = world.nowUs
    world.run(1)
    expect(few.begun.at(-1)).toBe(now)
  })

  it('take at most 32 targets, first come first served', () => {
    const world = new SimWorld(1)
    const { syncs, ends } = scheduler(world)
    const targets = Array.from({ length: 80 }, () => new FakeTarget(world, 100))
    for (const target of targets) syncs.markDirty(target)
    world.run(100_000)
    expect(ends.length).toBe(3)
    expect(targets.map(({ finished }) => ends.indexOf(finished[0]!))).toEqual(targets.map((_, i) => Math.floor(i / 32)))
  })

  it('end for good with the first failure, which is told once', () => {
    const world = new SimWorld(1)
    const { syncs, ends, errors } = scheduler(world)
    const targets = [1000, 2000, 3000].map((us) => new FakeTarget(world, us))
    targets[1]!.error = new Failure('EIO', '/x', 'failed')
    targets[2]!.error = new Failure('EIO', '/y', 'failed')
    for (const target of targets) syncs.markDirty(target)
    let drained: IoError | null = null
    syncs.drain((error) => (drained = error))
    world.run(50_000)
    syncs.markDirty(targets[0]!)
    world.run(50_000)
    expect([ends, errors.map(({ path }) => path), targets[0]!.finished]).toEqual([[], ['/x'], []])
    expect(drained).toBe(errors[0])
    expect(targets[0]!.begun.length).toBe(1)
  })

  it('of a page-cache directory wait, except when it stops', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world, 60_000_000)
    const target = new FakeTarget(world, 100)
    syncs.markDirty(target)
    world.run(59_000_000)
    expect(target.begun).toEqual([])
    world.run(2_000_000)
    expect(target.begun).toEqual([60_000_000])
    syncs.markDirty(target)
    let drained = false
    syncs.drain(() => (drained = true))
    world.run(1000)
    expect([target.begun.length, drained]).toEqual([2, true])
  })
})

describe('durable reports', () => {
  function twoLogs() {
    const world = new SimWorld(7)
    const order: string[] = []
    const opened = openDirectory(world, { roundEnded: () => void order.push('round ended') })
    const logs = [0, 1].map((partition) => {
      const reports = new Reports()
      reports.durable = (end) => void order.push(`${partition} durable ${end}`)
      const request = { topic: 'topic', topicId: TOPIC_ID, partition, config: SMALL, startOffset: 0, events: reports }
      return world.ask<PartitionLog>((done) => opened.directory.create(request, done))
    })
    return { world, order, logs }
  }

  it('of all logs of a round come together, before the round is said to have ended', () => {
    const { world, order, logs } = twoLogs()
    logs[0]!.append([batchAt({ at: 0 })], 0)
    logs[1]!.append([batchAt({ at: 0 }), batchAt({ at: 1 })], 0)
    logs[0]!.append([batchAt({ at: 1 })], 0)
    world.run(100_000)
    expect(order).toEqual(['0 durable 2', '1 durable 2', 'round ended'])
  })

  it('of a sync that began before a truncation say nothing about the log after it', () => {
    const opened = openDirectory(new SimWorld(3))
    const { log, reports } = createLog(opened)
    for (let i = 0; i < 10; i++) log.append([batchAt({ at: i })], 0)
    // The round has begun, and its sync is under way.
    opened.world.until(() => opened.world.disk.syncs > 3)
    log.truncate(5)
    log.append([batchAt({ at: 5, epoch: 1 })], 0)
    expect(log.durableEnd).toBe(0)
    opened.world.until(() => reports.calls > 0)
    expect([reports.durableEnd, reports.generation, log.durableEnd]).toEqual([6, 1, 6])
  })

  it('come after a truncation even when nothing is appended', () => {
    const opened = openDirectory(new SimWorld(3))
    const { log, reports } = createLog(opened)
    for (let i = 0; i < 10; i++) log.append([batchAt({ at: i })], 0)
    opened.world.run(100_000)
    log.truncate(10)
    opened.world.run(100_000)
    expect([reports.durableEnd, reports.generation]).toEqual([10, 1])
    log.truncate(4)
    expect(log.durableEnd).toBe(4)
    opened.world.run(100_000)
    expect([reports.durableEnd, reports.generation]).toEqual([4, 2])
  })

  it('in page-cache mode come with the background flush, and appends wait for nothing', () => {
    const opened = openDirectory(new SimWorld(3), { flushMode: 'pagecache', backgroundFlushMs: 1000 })
    const { log, reports } = createLog(opened)
    log.append([batchAt({ at: 0 })], 0)
    opened.world.run(900_000)
    expect([log.endOffset, reports.calls]).toEqual([1, 0])
    opened.world.run(200_000)
    expect(reports.durableEnd).toBe(1)
  })
})
