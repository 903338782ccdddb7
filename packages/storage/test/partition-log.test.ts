import { describe, expect, it } from 'vitest'
import { nextOffset } from '@millrace/records'
import {
  batchAt,
  createLog,
  offsetsOf,
  openDirectory,
  readAll,
  readLog,
  Reports,
  SMALL,
  TOPIC_ID,
} from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

function fill(log: ReturnType<typeof createLog>['log'], world: SimWorld, count: number, epoch = 0): void {
  for (let i = 0; i < count; i++)
    log.append([batchAt({ at: log.endOffset, records: 2, bytes: 200, epoch })], world.clock.wallMs())
}

describe('a log', () => {
  it('gives back what was appended, from memory and from disk, over many segments', () => {
    const world = new SimWorld(1)
    const opened = openDirectory(world, { tailCacheBytes: 0 })
    const { log } = createLog(opened)
    fill(log, world, 100)
    expect(log.endOffset).toBe(200)
    const logs = world.disk.paths().filter((path) => path.endsWith('.log'))
    expect(logs.length).toBeGreaterThan(4)
    expect(offsetsOf(readAll(world, log))).toEqual(Array.from({ length: 100 }, (_, i) => i * 2))
  })

  it('reports durable after a sync, and stops cleanly so that a start reads no segment', () => {
    const world = new SimWorld(2)
    const opened = openDirectory(world)
    const { log, reports } = createLog(opened)
    fill(log, world, 50)
    world.until(() => reports.durableEnd === 100)
    world.ask<void>((done) => opened.directory.close(done))
    const again = new SimWorld(3, world.disk)
    const readsBefore = world.disk.reads
    const reopened = openDirectory(again)
    expect(reopened.found.clean).toBe(true)
    const [found] = reopened.found.logs
    expect(found?.endOffset).toBe(100)
    expect(found?.lastEpoch).toBe(0)
    expect(world.disk.reads - readsBefore).toBeLessThan(8)
    found?.configure(SMALL)
    found?.attach(new Reports())
    found?.append([batchAt({ at: 100 })], again.clock.wallMs())
    expect(offsetsOf(readAll(again, found!)).at(-1)).toBe(100)
    expect(found?.topicId).toBe(TOPIC_ID)
  })

  it('goes on after a clean start though all of it was deleted and a follower forgot its epochs', () => {
    const world = new SimWorld(21)
    const opened = openDirectory(world)
    const { log, reports } = createLog(opened)
    fill(log, world, 5, 1)
    // As after DeleteRecords up to the end: the batches lie below the log start, in a segment that still gets the appends.
    log.advanceLogStart(10)
    log.truncate(10)
    world.until(() => reports.generation === 1)
    world.ask<void>((done) => opened.directory.close(done))
    const again = new SimWorld(22, world.disk)
    const found = openDirectory(again).found.logs[0]!
    found.configure(SMALL)
    found.attach(new Reports())
    found.append([batchAt({ at: 10, epoch: 2 })], again.clock.wallMs())
    expect([found.quarantined, found.logStart, found.endOffset, found.lastEpoch]).toEqual([null, 10, 11, 2])
  })

  it.each(['clean stop', 'power cut'])('that starts within a batch takes that batch, and has it after a %s', (end) => {
    const world = new SimWorld(23)
    const opened = openDirectory(world)
    const { log, reports } = createLog(opened)
    fill(log, world, 3, 1)
    log.restart(21)
    log.append([batchAt({ at: 18, records: 5, epoch: 2 }), batchAt({ at: 23, epoch: 2 })], 0)
    expect([log.logStart, log.endOffset, log.generation]).toEqual([21, 24, 1])
    expect(log.inspection.segments.map(({ baseOffset: base }) => base)).toEqual([18])
    expect(offsetsOf(readAll(world, log))).toEqual([18, 23])
    world.until(() => reports.durableEnd === 24)
    if (end === 'clean stop') world.ask<void>((done) => opened.directory.close(done))
    else {
      world.kill()
      world.disk.crash(world.random)
    }
    const again = new SimWorld(24, world.disk)
    const found = openDirectory(again).found.logs[0]!
    expect([found.quarantined, found.logStart, found.endOffset, found.lastEpoch]).toEqual([null, 21, 24, 2])
    expect(offsetsOf(readAll(again, found))).toEqual([18, 23])
  })

  it('is truncated inside an old segment and goes on there', () => {
    const world = new SimWorld(4)
    const opened = openDirectory(world, { tailCacheBytes: 0 })
    const { log, reports } = createLog(opened)
    fill(log, world, 100)
    const before = readAll(world, log)
    log.truncate(31)
    expect(log.endOffset).toBe(30)
    expect(log.generation).toBe(1)
    log.append([batchAt({ at: 30, epoch: 3 })], 0)
    expect(readAll(world, log).slice(0, 15)).toEqual(before.slice(0, 15))
    expect(log.epochEnd(2)).toEqual({ epoch: 0, endOffset: 30 })
    world.until(() => reports.durableEnd === 31)
    expect(reports.generation).toBe(1)
  })

  it('reads with limits', () => {
    const world = new SimWorld(5)
    const { log } = createLog(openDirectory(world))
    fill(log, world, 10)
    expect(readLog(world, log, 3, 1).nextOffset).toBe(4)
    expect(readLog(world, log, 0, 1 << 20, 5).nextOffset).toBe(6)
    expect(readLog(world, log, 20).bytes).toBe(0)
    expect(nextOffset(readLog(world, log, 19).parts[0]!, 0)).toBe(20)
  })
})
