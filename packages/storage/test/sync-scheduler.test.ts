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

  constructor(world: SimWorld, us: number) {
    this.world = world
    this.us = us
  }

  beginSync() {
    this.begun.push(this.world.nowUs)
    return {
      run: (done: Done<void>) => void this.world.timers.after(this.us, () => done(this.error)),
      finished: () => void this.finished.push(this.world.nowUs),
    }
  }
}

function scheduler(world: SimWorld, intervalUs: number | null = null) {
  const ends: number[] = []
  const errors: IoError[] = []
  const options = {
    timers: world.timers,
    failed: (error: IoError) => void errors.push(error),
    roundEnded: () => void ends.push(world.nowUs),
    intervalUs,
  }
  return { syncs: new SyncScheduler(options), ends, errors }
}

describe('sync rounds', () => {
  it('begin when somebody asks, two targets at a time, and report all of a round in one turn', () => {
    const world = new SimWorld(1)
    const { syncs, ends } = scheduler(world)
    const targets = [1000, 3000, 2000].map((us) => new FakeTarget(world, us))
    for (const target of targets) syncs.markDirty(target)
    world.run(1_000_000)
    expect(targets.flatMap(({ begun }) => begun)).toEqual([])
    const from = world.nowUs
    let synced = -1
    syncs.sync(() => (synced = world.nowUs))
    world.run(10_000)
    expect(targets.map(({ begun, finished }) => [begun, finished].map(([at]) => at! - from))).toEqual([
      [0, 3000],
      [0, 3000],
      [1000, 3000],
    ])
    expect([ends, synced]).toEqual([[from + 3000], from + 3000])
  })

  it('take what was written while one ran into the next, once', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world)
    const target = new FakeTarget(world, 5000)
    const synced: number[] = []
    const ask = (): void => syncs.sync(() => void synced.push(world.nowUs))
    syncs.markDirty(target)
    ask()
    world.run(1000)
    for (let i = 0; i < 10; i++) {
      syncs.markDirty(target)
      ask()
    }
    world.run(100_000)
    expect([target.begun, target.finished]).toEqual([
      [0, 5000],
      [5000, 10_000],
    ])
    expect(synced).toEqual([5000, ...Array.from({ length: 10 }, () => 10_000)])
  })

  it('take one target at the end of the turn when that is urgent, and leave the others', () => {
    const world = new SimWorld(1)
    const { syncs } = scheduler(world)
    const [urgent, other] = [new FakeTarget(world, 100), new FakeTarget(world, 100)]
    for (const target of [urgent, other]) syncs.markDirty(target)
    syncs.hurry(urgent)
    expect(urgent.begun).toEqual([])
    world.run(10_000)
    expect([urgent.begun, other.begun]).toEqual([[0], []])
    syncs.hurry(null)
    world.run(10_000)
    expect(other.begun.length).toBe(1)
  })

  it('end for good with the first failure, which is told once, and to whoever waits', () => {
    const world = new SimWorld(1)
    const { syncs, ends, errors } = scheduler(world)
    const targets = [1000, 2000, 3000].map((us) => new FakeTarget(world, us))
    targets[1]!.error = new Failure('EIO', '/x', 'failed')
    targets[2]!.error = new Failure('EIO', '/y', 'failed')
    for (const target of targets) syncs.markDirty(target)
    const told: (IoError | null)[] = []
    syncs.drain((error) => void told.push(error))
    world.run(500)
    syncs.sync((error) => void told.push(error))
    world.run(50_000)
    syncs.markDirty(targets[0]!)
    syncs.sync((error) => void told.push(error))
    world.run(50_000)
    expect([ends, errors.map(({ path }) => path), targets[0]!.finished]).toEqual([[], ['/x'], []])
    expect(told).toEqual([errors[0], errors[0], errors[0]])
    expect(targets[0]!.begun.length).toBe(1)
  })

  it('begin by the clock where an interval is set, and go on until nothing is dirty when the directory stops', () => {
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
    syncs.markDirty(target)
    world.run(1000)
    expect([target.begun.length, drained]).toEqual([3, true])
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
    // The group is being written.
    opened.world.until(() => opened.world.disk.underWay.size > 0)
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

  it('in page-cache mode come when a segment gets no more appends, of what is before', () => {
    const opened = openDirectory(new SimWorld(3), { flushMode: 'pagecache' })
    const { log, reports } = createLog(opened)
    for (let i = 0; i < 10; i++) log.append([batchAt({ at: i, bytes: 500 })], 0)
    opened.world.run(1_000_000_000)
    expect([log.endOffset, reports.durableEnd]).toEqual([10, 7])
    const syncs = opened.world.disk.syncs
    opened.world.ask<void>((done) => opened.directory.close(done))
    expect(log.durableEnd).toBe(10)
    expect(opened.world.disk.syncs).toBeGreaterThan(syncs)
  })

  it('in page-cache mode come with the background flush where one is set, and appends wait for nothing', () => {
    const opened = openDirectory(new SimWorld(3), { flushMode: 'pagecache', backgroundFlushMs: 1000 })
    const { log, reports } = createLog(opened)
    log.append([batchAt({ at: 0 })], 0)
    opened.world.run(900_000)
    expect([log.endOffset, reports.calls]).toEqual([1, 0])
    opened.world.run(200_000)
    expect(reports.durableEnd).toBe(1)
  })
})
