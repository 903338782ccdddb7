import type { IoErrorCode } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import type { LogDirectoryOptions, PartitionLog } from '../src/index.ts'
import { DEFAULT_LOG_CONFIG } from '../src/index.ts'
import { batchAt, createLog, type Opened, offsetsOf, openDirectory, readAll, readLog, Reports } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

const FILE = '/data/topic-0/00000000000000000000.log'
/** Long enough for a group of the journal, too short for anything that waits. */
const A_MOMENT_US = 100_000

function fresh(options: Partial<LogDirectoryOptions> = {}): Opened & ReturnType<typeof createLog> {
  const opened = openDirectory(new SimWorld(1), { writeBehindBytes: 2000, ...options })
  return { ...opened, ...createLog(opened, DEFAULT_LOG_CONFIG) }
}

function append(log: PartitionLog, count = 1, atOnce = false): void {
  for (let i = 0; i < count; i++) log.append([batchAt({ at: log.endOffset, bytes: 300 })], 0, atOnce)
}

function written({ world }: Opened, path = FILE): number {
  return world.disk.file(path).size
}

/** The next process on the same disk, and its log. */
function restarted({ world }: Opened, lose: (world: SimWorld) => void): { world: SimWorld; log: PartitionLog } {
  world.kill()
  lose(world)
  const next = new SimWorld(2, world.disk)
  const { found } = openDirectory(next)
  expect(found.damaged).toEqual([])
  const log = found.logs.find(({ topic }) => topic === 'topic') as PartitionLog
  log.configure(DEFAULT_LOG_CONFIG)
  log.attach(new Reports())
  return { world: next, log }
}

function refuse(world: SimWorld, code: IoErrorCode, where = /./): void {
  world.disk.fault = (operation, path) =>
    operation === 'append' && path.endsWith('.log') && where.test(path) ? code : undefined
}

describe('appends in fsync mode', () => {
  it('are durable and can be read before their segment is written', () => {
    const opened = fresh()
    append(opened.log, 3)
    opened.world.run(A_MOMENT_US)
    expect(opened.log.durableEnd).toBe(3)
    expect(offsetsOf(readAll(opened.world, opened.log))).toEqual([0, 1, 2])
    expect(opened.log.inspection.unwritten.map(({ length }) => length)).toEqual([opened.log.sizeBytes])
    expect(written(opened)).toBe(0)
  })

  it('are written together once they are many', () => {
    const opened = fresh()
    append(opened.log, 10)
    expect(written(opened)).toBeGreaterThan(1000)
    expect(written(opened)).toBeLessThan(opened.log.sizeBytes)
    expect(offsetsOf(readAll(opened.world, opened.log))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('are written after a second, however few they are', () => {
    const opened = fresh()
    append(opened.log)
    opened.world.run(1_100_000)
    expect(written(opened)).toBe(opened.log.sizeBytes)
    expect(opened.log.inspection.unwritten).toEqual([])
  })

  it('are written with all before them where they must outlive the process at once', () => {
    const opened = fresh()
    append(opened.log, 2)
    append(opened.log, 1, true)
    expect(written(opened)).toBe(opened.log.sizeBytes)
    const { log } = restarted(opened, () => undefined)
    expect(log.endOffset).toBe(3)
  })

  it('are written at once in page-cache mode, where nothing else has them', () => {
    const opened = fresh({ flushMode: 'pagecache' })
    append(opened.log)
    expect(written(opened)).toBe(opened.log.sizeBytes)
  })

  it('are written before a read that the tail cache can not answer', () => {
    const opened = fresh({ tailCacheBytes: 8000, writeBehindBytes: 6000 })
    append(opened.log, 3)
    const other = createOther(opened)
    append(other, 40)
    expect(offsetsOf(readAll(opened.world, opened.log))).toEqual([0, 1, 2])
    expect(readLog(opened.world, opened.log, 1, 1).nextOffset).toBe(2)
  })

  it('are found in the journal by a process that follows one that was killed', () => {
    const opened = fresh()
    append(opened.log, 3)
    opened.world.run(A_MOMENT_US)
    const next = restarted(opened, (world) => world.disk.killProcess(new TestRandom(1)))
    expect(offsetsOf(readAll(next.world, next.log))).toEqual([0, 1, 2])
  })

  it('do not make the tail cache grow where a quiet log stands among busy ones', () => {
    const opened = fresh({ tailCacheBytes: 64_000, writeBehindBytes: 100_000 })
    const other = createOther(opened)
    const { tails } = opened.directory as unknown as { tails: { allocatedBytes: number } }
    for (let i = 0; i < 100; i++) {
      append(opened.log)
      for (let many = 0; many < 20; many++) append(other, 1, true)
      opened.world.run(2000)
      expect(tails.allocatedBytes).toBeLessThan(100_000)
    }
    expect(offsetsOf(readAll(opened.world, opened.log))).toHaveLength(100)
  })
})

describe('a segment that cannot be written', () => {
  it('for want of space is written later, and the journal keeps what it lacks', () => {
    const opened = fresh({ reserveBytes: 0, journalFileBytes: 8192 })
    const other = createOther(opened)
    append(opened.log, 3)
    refuse(opened.world, 'ENOSPC', /topic-0/)
    // Enough to write every file of the journal over again.
    for (let i = 0; i < 100; i++) {
      append(other)
      opened.world.run(1_000_000)
      // What was refused is looked at as a full disk, which is over by now.
      opened.world.disk.free = 2 ** 40
    }
    expect(opened.reports.error).toBeNull()
    expect(written(opened)).toBe(0)
    opened.world.disk.fault = () => undefined
    const next = restarted(opened, (world) => world.disk.loseUnsynced())
    expect(offsetsOf(readAll(next.world, next.log))).toEqual([0, 1, 2])
  })

  it('for want of space is read as far as it is there; what only memory had and has forgotten fails', () => {
    const opened = fresh({ reserveBytes: 0, tailCacheBytes: 8000, writeBehindBytes: 6000 })
    append(opened.log, 3, true)
    append(opened.log, 3)
    refuse(opened.world, 'ENOSPC', /topic-0/)
    append(createOther(opened), 40)
    expect(written(opened)).toBeLessThan(opened.log.sizeBytes)
    expect(readLog(opened.world, opened.log, 1).nextOffset).toBe(3)
    expect(() => readLog(opened.world, opened.log, 4)).toThrow('ENOSPC')
    opened.world.disk.fault = () => undefined
    expect(offsetsOf(readAll(opened.world, opened.log))).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('gets all of it once there is space, and appends go on', () => {
    const opened = fresh({ reserveBytes: 0 })
    append(opened.log, 3)
    refuse(opened.world, 'ENOSPC')
    opened.world.run(5_000_000)
    expect(() => append(opened.log, 10)).toThrow('ENOSPC')
    opened.world.disk.fault = () => undefined
    opened.world.run(5_000_000)
    expect(written(opened)).toBe(opened.log.sizeBytes)
    const { endOffset } = opened.log
    append(opened.log)
    expect(readAll(opened.world, opened.log)).toHaveLength(endOffset + 1)
  })

  it('for want of space can be cut all the same where what it lacks is cut', () => {
    const opened = fresh({ reserveBytes: 0 })
    append(opened.log, 2, true)
    append(opened.log, 2)
    refuse(opened.world, 'ENOSPC')
    expect(() => opened.log.truncate(3)).toThrow('ENOSPC')
    opened.log.truncate(2)
    expect([opened.log.endOffset, opened.log.sizeBytes]).toEqual([2, written(opened)])
    opened.world.disk.fault = () => undefined
    append(opened.log)
    expect(offsetsOf(readAll(opened.world, opened.log))).toEqual([0, 1, 2])
  })

  it('takes its directory out of service where the disk failed', () => {
    const opened = fresh()
    append(opened.log)
    refuse(opened.world, 'EIO')
    opened.world.run(2_000_000)
    expect(opened.reports.error?.code).toBe('EIO')
    expect(() => append(opened.log)).toThrow('failed')
  })

  it('makes a stop an unclean one, after which the journal has what it lacks', () => {
    const opened = fresh({ reserveBytes: 0 })
    append(opened.log, 2)
    refuse(opened.world, 'ENOSPC')
    expect(() => opened.world.ask<void>((done) => opened.directory.close(done))).toThrow('ENOSPC')
    opened.world.disk.fault = () => undefined
    const next = restarted(opened, () => undefined)
    expect(next.log.endOffset).toBe(2)
  })
})

function createOther({ world, directory }: Opened): PartitionLog {
  const events = new Reports()
  const request = { topic: 'other', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0, startOffset: 0, events }
  return world.ask<PartitionLog>((done) => directory.create({ ...request, config: DEFAULT_LOG_CONFIG }, done))
}
