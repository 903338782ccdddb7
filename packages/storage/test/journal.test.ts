import { baseOffset, leaderEpoch } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import type { LogDirectoryOptions, PartitionLog } from '../src/index.ts'
import {
  batchAt,
  createLog,
  type Opened,
  offsetsOf,
  openDirectory,
  readAll,
  Reports,
  SMALL,
  TOPIC_ID,
} from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

const BLOCK = 4096
const FIRST = '/data/journal-0'

type Living = Opened & { log: PartitionLog; reports: Reports }

function begin(options: Partial<LogDirectoryOptions> = {}): Living {
  const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0, ...options })
  return { ...opened, ...createLog(opened) }
}

/** Appends `count` batches of one record, each in a group of its own, and waits until all are durable. */
function append({ world, log, reports }: Living, count: number, epoch = 0, bytes = 300): void {
  for (let i = 0; i < count; i++) {
    log.append([batchAt({ at: log.endOffset, bytes, epoch })], world.clock.wallMs())
    world.until(() => reports.durableEnd >= log.endOffset)
  }
}

/** The power goes, and with it all that only the page cache had. */
function powerCut({ world }: Living): SimWorld {
  world.kill()
  world.disk.loseUnsynced()
  return new SimWorld(world.random.below(1000) + 2, world.disk)
}

function reopen(world: SimWorld, options: Partial<LogDirectoryOptions> = {}): Living {
  const opened = openDirectory(world, { tailCacheBytes: 0, ...options })
  const log = opened.found.logs[0] as PartitionLog
  const reports = new Reports()
  log?.configure(SMALL)
  log?.attach(reports)
  return { ...opened, log, reports }
}

const replayed = ({ world }: Living): unknown =>
  world.lines.find(({ event }) => event === 'journal is replayed')?.fields

const journalFiles = ({ world }: Living): string[] => world.disk.paths().filter((path) => path.includes('/journal-'))

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('after a power cut that took all that was not synced', () => {
  it('everything that was reported durable is there, in the segments, and is served', () => {
    const life = begin()
    append(life, 40)
    expect(life.world.disk.file('/data/topic-0/00000000000000000000.log').durable.length).toBeLessThan(12_000)
    const after = reopen(powerCut(life))
    expect([after.log.endOffset, after.log.durableEnd, after.found.torn, after.found.damaged]).toEqual([40, 40, [], []])
    expect(offsetsOf(readAll(after.world, after.log))).toEqual(range(0, 40))
    expect(replayed(after)).toMatchObject({ path: '/data', files: 1, groups: 41 })
    append(after, 1, 1)
    expect(after.log.endOffset).toBe(41)
  })

  it('nothing of the journal is needed twice: what a start replayed is on disk without it', () => {
    const life = begin()
    append(life, 10)
    const first = reopen(powerCut(life))
    const second = reopen(powerCut(first))
    expect([second.log.endOffset, replayed(second)]).toEqual([10, undefined])
  })

  it('the epochs are what the batches say', () => {
    const life = begin()
    append(life, 5, 1)
    append(life, 5, 3)
    life.log.beginEpoch(9)
    const { log } = reopen(powerCut(life))
    expect([log.lastEpoch, log.epochEnd(1), log.epochEnd(2)]).toEqual([
      3,
      { epoch: 1, endOffset: 5 },
      { epoch: 1, endOffset: 5 },
    ])
  })

  it('so is a first batch that begins before the log does', () => {
    for (const lost of [true, false]) {
      const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0 })
      const life = { ...opened, ...createLog(opened, SMALL, 150) }
      life.log.append([batchAt({ at: 140, records: 20 })], 0)
      life.world.until(() => life.reports.durableEnd === 160)
      append(life, 2)
      if (!lost) life.world.kill()
      const after = reopen(lost ? powerCut(life) : new SimWorld(2, life.world.disk))
      expect([after.log.logStart, after.log.endOffset, after.found.damaged]).toEqual([150, 162, []])
      expect(offsetsOf(readAll(after.world, after.log))).toEqual([140, 160, 161])
    }
  })

  it('a truncation that was reported durable stays, and so does what was appended then', () => {
    const life = begin()
    append(life, 20, 1)
    life.log.truncate(12)
    life.world.until(() => life.reports.generation === 1)
    append(life, 3, 2)
    const { log, world } = reopen(powerCut(life))
    const batches = readAll(world, log)
    expect(offsetsOf(batches)).toEqual(range(0, 15))
    expect(batches.map((batch) => leaderEpoch(batch, 0)).filter((epoch) => epoch === 2).length).toBe(3)
  })

  it('a truncation that took what an earlier checkpoint had on disk stays too', () => {
    const life = begin()
    append(life, 20, 1)
    life.log.checkpointHighWatermark(8)
    life.world.run(61_000_000)
    life.log.truncate(8)
    life.world.until(() => life.reports.generation === 1)
    for (const appended of [0, 2]) {
      append(life, appended, 2)
      const { log, found } = reopen(powerCut(life))
      expect([log.endOffset, log.highWatermark, found.damaged]).toEqual([8 + appended, 8, []])
      if (appended > 0) break
      Object.assign(life, reopen(powerCut(life)))
    }
  })

  it('a truncation below the watermark takes back what checkpoints had promised', () => {
    const life = begin()
    append(life, 20, 1)
    life.log.checkpointHighWatermark(15)
    life.world.run(61_000_000)
    life.log.truncate(6)
    life.world.until(() => life.reports.generation === 1)
    const { log, found } = reopen(powerCut(life))
    expect([log.endOffset, log.highWatermark, log.quarantined, found.torn]).toEqual([6, 6, null, []])
  })

  it('a log that was restarted begins where it was told, whatever was there before', () => {
    const life = begin()
    append(life, 20, 1)
    life.log.checkpointHighWatermark(15)
    life.world.run(61_000_000)
    life.log.restart(1000)
    life.world.until(() => life.reports.generation === 1)
    append(life, 2, 4)
    const { log, world, found } = reopen(powerCut(life))
    expect([log.logStart, log.endOffset, log.lastEpoch, found.damaged]).toEqual([1000, 1002, 4, []])
    expect(offsetsOf(readAll(world, log))).toEqual([1000, 1001])
  })

  it('deleted records stay deleted, also of a log that the journal has from its beginning', () => {
    const life = begin()
    append(life, 40)
    life.log.checkpointHighWatermark(40)
    life.log.advanceLogStart(17)
    append(life, 1)
    const { log } = reopen(powerCut(life))
    expect([log.logStart, log.endOffset]).toEqual([17, 41])
  })

  it('a log that was deleted and made anew has nothing of its former self', () => {
    const life = begin()
    append(life, 20, 1)
    life.directory.delete(life.log)
    const { log: anew, reports } = createLog(life)
    const { log, found, world } = reopen(powerCut(life))
    expect([anew.endOffset, reports.durableEnd, log.endOffset, found.damaged]).toEqual([0, -1, 0, []])
    expect(readAll(world, log)).toEqual([])
  })

  it('nor has one that was replaced', () => {
    const life = begin()
    append(life, 20, 1)
    const fresh = life.world.ask<PartitionLog>((done) => life.directory.replace(life.log, 7, done))
    const reports = new Reports()
    fresh.attach(reports)
    append({ ...life, log: fresh, reports }, 1, 2)
    const { log, world } = reopen(powerCut(life))
    expect([log.logStart, log.endOffset, offsetsOf(readAll(world, log))]).toEqual([7, 8, [7]])
  })

  it('what the journal has of a folder that is gone, or of a topic that is unknown, is let be', () => {
    const gone = begin()
    append(gone, 5)
    gone.world.ask<void>((done) => gone.directory.moveAside(gone.log, done))
    expect(reopen(powerCut(gone)).found.logs).toEqual([])
    const unknown = begin()
    append(unknown, 5)
    expect(reopen(powerCut(unknown), { known: () => false }).found.logs).toEqual([])
  })

  it('rot below the recovery point is still rot', () => {
    const life = begin()
    append(life, 20)
    life.log.checkpointHighWatermark(20)
    life.world.run(61_000_000)
    append(life, 5)
    life.world.ask<void>((done) => life.directory.checkpoint(done))
    const world = powerCut(life)
    const second = world.disk.paths().filter((path) => path.endsWith('.log'))[1] as string
    world.disk.put(second, world.disk.file(second).content.subarray(0, 400))
    const { log, found } = reopen(world)
    expect(log.quarantined).toContain('below the promised')
    expect(found.damaged.length).toBe(1)
  })

  it('a journal of another log that does not reach the segments is rot of that log alone', () => {
    const life = begin()
    const other = new Reports()
    const request = { topic: 'topic', topicId: TOPIC_ID, partition: 1, config: SMALL, startOffset: 0, events: other }
    const second = life.world.ask<PartitionLog>((done) => life.directory.create(request, done))
    append(life, 10)
    append({ ...life, log: second, reports: other }, 10)
    for (const log of [life.log, second]) log.checkpointHighWatermark(10)
    life.world.run(61_000_000)
    append(life, 2)
    append({ ...life, log: second, reports: other }, 2)
    const world = powerCut(life)
    for (const path of world.disk.paths().filter((name) => /topic-1.*\.log$/.test(name))) world.disk.drop(path)
    const { found } = reopen(world)
    const [first, broken] = found.logs.toSorted((a, b) => a.partition - b.partition)
    expect([first?.endOffset, first?.quarantined]).toEqual([12, null])
    expect(broken?.quarantined).toContain('every segment is gone')
  })
})

describe('after the mere death of the process', () => {
  it('also what nobody was told to be durable is there, as the page cache has it', () => {
    const life = begin()
    append(life, 10)
    life.log.append([batchAt({ at: 10 })], 0)
    life.world.kill()
    const { log } = reopen(new SimWorld(2, life.world.disk))
    expect(log.endOffset).toBe(11)
  })
})

describe('a journal that was damaged', () => {
  it('in its last write is read up to there: it was never acknowledged', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const life = begin()
      append(life, 10)
      life.log.append([batchAt({ at: 10, bytes: 9000 })], 0)
      life.world.until(() => life.world.disk.underWay.size > 0)
      life.world.kill()
      life.world.disk.crash(new TestRandom(seed))
      const { log, found } = reopen(new SimWorld(2, life.world.disk))
      expect(log.endOffset).toBeGreaterThanOrEqual(10)
      expect(found.damaged).toEqual([])
    }
  })

  it.each([
    ['the header of a group', 0],
    ['an entry of a group', 70],
    ['the batches of a group', 150],
  ])('in %s that others follow takes the directory out of service, naming file and byte', (_, at) => {
    const life = begin()
    append(life, 10)
    const world = powerCut(life)
    world.disk.file(FIRST).content[5 * BLOCK + at]! ^= 1
    expect(() => reopen(world)).toThrow(
      /group 6 of the journal is not whole at byte 20480, although group 11 after it is.*\/data\/journal-0/,
    )
    expect(world.disk.has('/data/topic-0')).toBe(true)
  })

  it('at the start of a file says so, and one whose file is missing', () => {
    const life = begin({ journalFileBytes: 4 * BLOCK })
    life.world.disk.fault = (operation, path) =>
      operation === 'append' && path.includes('checkpoint') ? 'ENOSPC' : undefined
    append(life, 14)
    const files = journalFiles(life).filter((path) => !path.endsWith('life'))
    expect(files.length).toBe(4)
    life.world.disk.fault = () => undefined
    const world = powerCut(life)
    const whole = Buffer.from(world.disk.file('/data/journal-2').content)
    world.disk.file('/data/journal-2').content[0]! ^= 1
    expect(() => reopen(world)).toThrow(/group 9 of the journal is not whole at byte 0.*\/data\/journal-2/)
    world.disk.drop('/data/journal-2')
    expect(() => reopen(new SimWorld(7, world.disk))).toThrow('group 9 of the journal is not whole in any file')
    world.disk.put('/data/journal-2', whole)
    expect(reopen(new SimWorld(8, world.disk)).log.endOffset).toBe(14)
  })

  it.each([
    ['missing', null],
    ['damaged', '0\nnonsense\n'],
  ])('so that the file that says which journal counts is %s is refused', (_, content) => {
    const life = begin()
    append(life, 3)
    const world = powerCut(life)
    world.disk.drop('/data/journal-life')
    if (content !== null) world.disk.put('/data/journal-life', Buffer.from(content))
    expect(() => reopen(world)).toThrow('/data/journal-life')
  })
})

describe('the files of a journal', () => {
  it('are used again and again, and what an earlier use left in them is never taken for new', () => {
    const options = { journalFileBytes: 8 * BLOCK }
    const life = begin(options)
    append(life, 600)
    // Without that it would be 75.
    expect(journalFiles(life).length).toBeLessThan(15)
    const after = reopen(powerCut(life), options)
    expect([after.log.endOffset, after.found.damaged]).toEqual([600, []])
    append(after, 3)
    const again = reopen(powerCut(after), options)
    expect([again.log.endOffset, replayed(again)]).toMatchObject([603, { groups: 3 }])
  })

  it('become more while checkpoints can not be made, and nobody waits for those', () => {
    const life = begin({ journalFileBytes: 4 * BLOCK })
    life.world.disk.fault = (operation, path) =>
      operation === 'append' && path.includes('checkpoint') ? 'ENOSPC' : undefined
    append(life, 60)
    expect(journalFiles(life).length).toBeGreaterThan(15)
    life.world.disk.fault = () => undefined
    life.world.run(5_000_000)
    append(life, 10)
    life.world.run(1_000_000)
    expect(journalFiles(life).length).toBeLessThan(10)
    expect(reopen(powerCut(life)).log.endOffset).toBe(70)
  })

  it('take an append that is larger than a file', () => {
    const life = begin({ journalFileBytes: 4 * BLOCK })
    append(life, 2)
    append(life, 2, 0, 100_000)
    append(life, 2)
    const batches = Array.from({ length: 40 }, (_, i) => batchAt({ at: 6 + i, bytes: 90_000 }))
    life.log.append(batches, 0)
    life.world.until(() => life.reports.durableEnd === 46)
    const { log, world } = reopen(powerCut(life))
    expect(offsetsOf(readAll(world, log))).toEqual(range(0, 46))
  })

  it('need not be read again after a checkpoint, which comes by the minute', () => {
    const life = begin()
    append(life, 30)
    life.world.run(61_000_000)
    append(life, 2)
    const after = reopen(powerCut(life))
    expect([after.log.endOffset, replayed(after)]).toMatchObject([32, { groups: 2 }])
  })

  it('are gone after a clean stop, and what a crash left of them then does not count', () => {
    const life = begin()
    append(life, 30)
    expect(journalFiles(life).length).toBe(2)
    const left = journalFiles(life).map((path) => [path, Buffer.from(life.world.disk.file(path).content)] as const)
    life.world.ask<void>((done) => life.directory.close(done))
    expect(journalFiles(life)).toEqual([])
    for (const [path, content] of left.slice(0, 1)) life.world.disk.put(path, content)
    const { found, log } = reopen(new SimWorld(2, life.world.disk))
    expect([found.clean, log.endOffset]).toEqual([true, 30])
  })
})

describe('a full disk', () => {
  it('lets what was appended wait, and what waits is durable once there is room', () => {
    const life = begin()
    append(life, 3)
    life.world.disk.fault = (operation) => (operation === 'write' ? 'ENOSPC' : undefined)
    life.world.disk.free = 0
    life.log.append([batchAt({ at: 3 })], 0)
    life.world.run(200_000)
    expect([life.directory.full, life.reports.error, life.reports.durableEnd]).toEqual([true, null, 3])
    expect(() => life.log.append([batchAt({ at: 4 })], 0)).toThrow('ENOSPC')
    life.world.disk.fault = () => undefined
    life.world.disk.free = 2 ** 40
    life.world.run(3_000_000)
    expect([life.directory.full, life.reports.durableEnd]).toEqual([false, 4])
    expect(reopen(powerCut(life)).log.endOffset).toBe(4)
  })

  it('makes a stop unclean that can not write what waits', () => {
    const life = begin()
    append(life, 3)
    life.world.disk.fault = (operation) => (operation === 'write' ? 'ENOSPC' : undefined)
    life.log.append([batchAt({ at: 3 })], 0)
    expect(() => life.world.ask<void>((done) => life.directory.close(done))).toThrow('ENOSPC')
    life.world.disk.fault = () => undefined
    const { found, log } = reopen(powerCut(life))
    expect([found.clean, log.endOffset]).toEqual([false, 3])
  })
})

describe('another flush mode', () => {
  it('replays the journal that is there and has none from then on, and the other way round', () => {
    const life = begin()
    append(life, 10)
    const cached = reopen(powerCut(life), { flushMode: 'pagecache' })
    expect([cached.log.endOffset, journalFiles(cached)]).toEqual([10, []])
    cached.log.append([batchAt({ at: 10 })], 0)
    cached.world.kill()
    const durable = reopen(new SimWorld(5, cached.world.disk))
    expect([durable.log.endOffset, journalFiles(durable).length]).toEqual([11, 2])
    append(durable, 1)
    expect(reopen(powerCut(durable)).log.endOffset).toBe(12)
  })
})

describe('groups', () => {
  it('carry what came while one was written, for all logs, in the order of the appends', () => {
    const life = begin({ tailCacheBytes: 1 << 20 })
    const other = new Reports()
    const request = { topic: 'topic', topicId: TOPIC_ID, partition: 1, config: SMALL, startOffset: 0, events: other }
    const second = life.world.ask<PartitionLog>((done) => life.directory.create(request, done))
    const writes = life.world.disk.writes
    life.log.append([batchAt({ at: 0 })], 0)
    life.world.until(() => life.world.disk.underWay.size > 0)
    for (let i = 0; i < 20; i++) {
      life.log.append([batchAt({ at: i + 1 })], 0)
      second.append([batchAt({ at: i })], 0)
    }
    life.world.until(() => life.reports.durableEnd === 21 && other.durableEnd === 20)
    expect(life.world.disk.writes - writes).toBe(2)
    const { found } = reopen(powerCut(life))
    expect(found.logs.map(({ endOffset }) => endOffset).sort((a, b) => a - b)).toEqual([20, 21])
  })

  it('hold what was appended, whatever the tail cache forgets and uses again meanwhile', () => {
    const life = begin({ tailCacheBytes: 20_000 })
    const batches = range(0, 200).map((at) => batchAt({ at, bytes: 500, epoch: 1 }))
    for (const batch of batches) {
      life.log.append([Uint8Array.from(batch)], 0)
      if (baseOffset(batch, 0) % 7 === 0) life.world.run(100)
    }
    life.world.until(() => life.reports.durableEnd === 200)
    const { log, world } = reopen(powerCut(life))
    expect(Buffer.compare(Buffer.concat(readAll(world, log)), Buffer.concat(batches))).toBe(0)
  })
})
