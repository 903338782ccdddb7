import type { IoErrorCode } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import type { LogSlice, PartitionLog } from '../src/index.ts'
import { batchAt, createLog, offsetsOf, openDirectory, readAll, Reports, SMALL, TOPIC_ID } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

function fresh(seed = 1): ReturnType<typeof openDirectory> & ReturnType<typeof createLog> {
  const opened = openDirectory(new SimWorld(seed), { tailCacheBytes: 0 })
  return { ...opened, ...createLog(opened) }
}

/** Fails one kind of call on matching paths until told otherwise. */
function failing(world: SimWorld, operation: string, code: IoErrorCode, path = /./): () => void {
  world.disk.fault = (called, where) => (called === operation && path.test(where) ? code : undefined)
  return () => {
    world.disk.fault = () => undefined
  }
}

const filler = (log: PartitionLog, count: number): void => {
  for (let i = 0; i < count; i++) log.append([batchAt({ at: log.endOffset, records: 2, bytes: 300 })], 0)
}

describe('an append that the disk refuses', () => {
  it.each<[string, IoErrorCode]>([
    ['for want of space', 'ENOSPC'],
    ['with an error', 'EIO'],
  ])('%s throws and leaves the log as it was', (_, code) => {
    const { world, log } = fresh()
    filler(log, 3)
    const heal = failing(world, 'append', code, /log$/)
    expect(() => log.append([batchAt({ at: 6 })], 0)).toThrow(code)
    expect([log.endOffset, log.sizeBytes]).toEqual([6, world.disk.file('/data/topic-0/00000000000000000000.log').size])
    heal()
    world.disk.free = 2 ** 40
    world.run(3_000_000)
    log.append([batchAt({ at: 6 })], 0)
    expect(offsetsOf(readAll(world, log))).toEqual([0, 2, 4, 6])
  })

  it('while it rolls, in any of its steps, leaves the log as it was', () => {
    for (let step = 1; step <= 7; step++) {
      const { world, log } = fresh(step)
      filler(log, 8)
      const size = log.sizeBytes
      const offsets = offsetsOf(readAll(world, log))
      const files = world.disk.paths().filter((path) => path.endsWith('.log'))
      const batches = Array.from({ length: 30 }, (_, i) =>
        batchAt({ at: log.endOffset + i * 2, records: 2, bytes: 300, epoch: 1 }),
      )
      let calls = 0
      world.disk.fault = (operation, path) =>
        (operation === 'open' || operation === 'append') && path.endsWith('.log') && ++calls === step
          ? 'EIO'
          : undefined
      expect(() => log.append(batches, 0)).toThrow('EIO')
      expect([log.endOffset, log.sizeBytes, log.lastEpoch]).toEqual([16, size, 0])
      world.disk.fault = () => undefined
      expect(offsetsOf(readAll(world, log))).toEqual(offsets)
      expect(world.disk.paths().filter((path) => path.endsWith('.log'))).toEqual(files)
      log.append(batches, 0)
      expect(offsetsOf(readAll(world, log))).toEqual([...offsets, ...offsetsOf(batches)])
      world.run(1_000_000)
      expect(log.durableEnd).toBe(76)
    }
  })

  it('takes the directory out of service when not even the half of it can be taken back', () => {
    const { world, log, reports } = fresh()
    filler(log, 8)
    let calls = 0
    world.disk.fault = (operation, path) => {
      if (operation === 'truncate' && path.endsWith('0000.log')) return 'EIO'
      return operation === 'append' && path.endsWith('.log') && ++calls === 2 ? 'EIO' : undefined
    }
    const batches = Array.from({ length: 30 }, (_, i) => batchAt({ at: 16 + i * 2, records: 2, bytes: 300 }))
    expect(() => log.append(batches, 0)).toThrow('EIO')
    expect(reports.error?.code).toBe('EIO')
    world.disk.fault = () => undefined
    expect(() => log.append([batchAt({ at: 16 })], 0)).toThrow('failed')
  })
})

describe('a disk that fills up', () => {
  it('refuses appends below the reserve, and resumes by itself once there is clearly more', () => {
    const { world, directory, log } = fresh()
    world.disk.free = (1 << 20) - 1
    world.run(6_000_000)
    expect(directory.full).toBe(true)
    expect(() => log.append([batchAt({ at: 0 })], 0)).toThrow('ENOSPC')
    world.disk.free = (1 << 20) + 1
    world.run(3_000_000)
    expect(directory.full).toBe(true)
    world.disk.free = 2 << 20
    world.run(3_000_000)
    expect([directory.full, directory.usableBytes]).toEqual([false, 2 << 20])
    log.append([batchAt({ at: 0 })], 0)
    expect(log.endOffset).toBe(1)
  })

  it('is noticed between two looks when that much was written', () => {
    const { world, directory, log } = fresh()
    world.run(10_000)
    world.disk.free = (1 << 20) + 500
    world.run(6_000_000)
    filler(log, 3)
    world.disk.free = 100
    world.run(2000)
    expect(directory.full).toBe(true)
  })

  it('still takes checkpoints and truncations', () => {
    const { world, directory, log } = fresh()
    filler(log, 10)
    world.disk.free = 0
    world.run(6_000_000)
    expect(directory.full).toBe(true)
    log.truncate(10)
    world.ask<void>((done) => directory.checkpoint(done))
    expect(log.endOffset).toBe(10)
  })
})

describe('a write of the journal, or a sync, that fails', () => {
  it('takes the directory out of service for good: every log is told, nothing is promised or tried again', () => {
    const { world, directory, log, reports } = fresh()
    const other = new Reports()
    const second = world.ask<PartitionLog>((done) =>
      directory.create(
        { topic: 'topic', topicId: TOPIC_ID, partition: 1, config: SMALL, startOffset: 0, events: other },
        done,
      ),
    )
    const heal = failing(world, 'write', 'EIO')
    log.append([batchAt({ at: 0 })], 0)
    world.run(100_000)
    expect([reports.error?.code, other.error?.code]).toEqual(['EIO', 'EIO'])
    expect(reports.durableEnd).toBe(-1)
    heal()
    const calls = [world.disk.syncs, world.disk.writes]
    expect(() => second.append([batchAt({ at: 0 })], 0)).toThrow('failed')
    expect(() => log.append([batchAt({ at: 1 })], 0)).toThrow('failed')
    expect(() => world.ask<void>((done) => directory.checkpoint(done))).toThrow('EIO')
    expect(() => world.ask<void>((done) => directory.close(done))).toThrow('EIO')
    world.run(100_000)
    expect([world.disk.syncs, world.disk.writes]).toEqual(calls)
    expect(world.disk.has('/data/.kafka_cleanshutdown')).toBe(false)
  })

  it.each([
    ['sync', /topic-0.*log$/],
    ['syncDir', /topic-0$/],
  ])('of a segment that was rolled, or of its folder, does the same (%s)', (operation, path) => {
    const { world, log, reports } = fresh()
    failing(world, operation, 'EIO', path)
    filler(log, 30)
    world.run(1_000_000)
    expect(reports.error?.code).toBe('EIO')
  })

  it('of a segment does the same when a checkpoint is due', () => {
    const { world, log, reports } = fresh()
    failing(world, 'sync', 'EIO', /topic-0.*log$/)
    filler(log, 1)
    world.run(59_000_000)
    expect([reports.error, reports.durableEnd]).toEqual([null, 2])
    world.run(2_000_000)
    expect(reports.error?.code).toBe('EIO')
  })

  it('of a checkpoint does the same, but a full disk passes', () => {
    const { world, directory, reports } = fresh()
    let heal = failing(world, 'append', 'ENOSPC', /checkpoint/)
    expect(() => world.ask<void>((done) => directory.checkpoint(done))).toThrow('ENOSPC')
    expect(reports.error).toBeNull()
    heal()
    heal = failing(world, 'sync', 'EIO', /checkpoint/)
    expect(() => world.ask<void>((done) => directory.checkpoint(done))).toThrow('EIO')
    heal()
    expect(reports.error?.code).toBe('EIO')
  })
})

describe('a read that fails', () => {
  it('fails by itself, and the log goes on', () => {
    const { world, log, reports } = fresh()
    filler(log, 5)
    const heal = failing(world, 'read', 'EIO')
    expect(() => world.ask<LogSlice>((done) => log.read(0, 100, 100, done))).toThrow('EIO')
    heal()
    expect(reports.error).toBeNull()
    expect(readAll(world, log).length).toBe(5)
  })

  it('for want of handles passes', () => {
    const { world, log } = fresh()
    filler(log, 40)
    const heal = failing(world, 'open', 'EMFILE')
    expect(() => world.ask<LogSlice>((done) => log.read(0, 100, 100, done))).toThrow('EMFILE')
    heal()
    expect(readAll(world, log).length).toBe(40)
  })

  it('because it meets rot quarantines the log, and tells', () => {
    const { world, log, reports } = fresh()
    filler(log, 5)
    world.disk.file('/data/topic-0/00000000000000000000.log').content.fill(0xff, 8, 12)
    expect(() => world.ask<LogSlice>((done) => log.read(0, 100, 100, done))).toThrow('quarantined')
    expect(log.quarantined).toContain('at byte 0')
    expect(reports.rot).toBe(log.quarantined)
    expect(() => log.append([batchAt({ at: 10 })], 0)).toThrow('quarantined')
  })

  it.each([
    ['a flipped bit of a record', 100, 'does not match its CRC'],
    ['another epoch', 12, 'where epoch 0 wrote'],
  ])('for somebody who stores it fails on %s, and quarantines the log', (_, at, problem) => {
    const { world, log } = fresh()
    filler(log, 5)
    const { content } = world.disk.file('/data/topic-0/00000000000000000000.log')
    const second = batchAt({ at: 0, records: 2, bytes: 300 }).length
    content[second + at]! ^= 0x04
    const proven = (from: number): LogSlice => world.ask<LogSlice>((done) => log.readProven(from, 1 << 20, 100, done))
    expect(() => proven(0)).toThrow('quarantined')
    expect(log.quarantined).toContain(problem)
  })

  it.each([
    ['a later', 14],
    ['an earlier', 2],
  ])('because a batch bears %s offset gives what is before it, and then quarantines the log', (_, offset) => {
    const { world, log } = fresh()
    filler(log, 8)
    const { content } = world.disk.file('/data/topic-0/00000000000000000000.log')
    content[3 * batchAt({ at: 0, records: 2, bytes: 300 }).length + 7] = offset
    const read = (from: number): LogSlice => world.ask<LogSlice>((done) => log.read(from, 1 << 20, 100, done))
    expect(read(0).nextOffset).toBe(6)
    expect(() => read(6)).toThrow('quarantined')
    expect(log.quarantined).toContain('where 6 was due')
  })

  it('because its index leads it to rot, which an index that is made anew meets again, quarantines the log', () => {
    const { world, directory, log } = fresh()
    filler(log, 40)
    world.ask<void>((done) => directory.close(done))
    const { content } = world.disk.file('/data/topic-0/00000000000000000000.log')
    content.fill(0, 300, 1100)
    const { world: later, found } = openDirectory(new SimWorld(2, world.disk), { tailCacheBytes: 0 })
    const opened = found.logs[0] as PartitionLog
    expect(() => later.ask<LogSlice>((done) => opened.read(4, 100, 100, done))).toThrow('EIO')
    expect(opened.quarantined).toContain('00000000000000000000.log')
  })

  it.each([
    ['lost, the second', 1],
    ['lost, the third', 2],
  ])('because a file in the middle of the log is %s one, quarantines the log and skips nothing', (_, lost) => {
    const { world, directory, log } = fresh()
    filler(log, 60)
    world.ask<void>((done) => directory.close(done))
    const segments = world.disk.paths().filter((path) => /^\/data\/topic-0\/\d+\.log$/.test(path))
    expect(segments.length).toBeGreaterThan(3)
    const gone = segments.toSorted()[lost] as string
    world.disk.drop(gone)
    const { world: later, found } = openDirectory(new SimWorld(2, world.disk), { tailCacheBytes: 0 })
    const opened = found.logs[0] as PartitionLog
    const hole = Number(/(\d+)\.log$/.exec(gone)?.[1])
    const first = later.ask<LogSlice>((done) => opened.read(0, 1 << 20, 1_000, done))
    expect(first.nextOffset).toBeLessThanOrEqual(hole)
    expect(() => later.ask<LogSlice>((done) => opened.read(hole, 1 << 20, 1_000, done))).toThrow('quarantined')
    expect(opened.quarantined).toMatch(new RegExp(`offset \\d+ where ${hole} was due, at byte 0`))
  })

  it.each<[string, (content: Uint8Array) => Uint8Array]>([
    ['a byte less', (content) => content.subarray(0, content.length - 1)],
    ['a batch less', (content) => content.subarray(0, (content.length / 5) * 4)],
    ['a batch of another length', flip],
  ])('or an append that finds %s than the clean stop left, quarantines the log alone', (_, damage) => {
    const { world, directory, log } = fresh()
    const request = {
      topic: 'topic',
      topicId: TOPIC_ID,
      partition: 1,
      config: SMALL,
      startOffset: 0,
      events: new Reports(),
    }
    const other = world.ask<PartitionLog>((done) => directory.create(request, done))
    for (const each of [log, other]) filler(each, 5)
    world.ask<void>((done) => directory.close(done))
    const path = '/data/topic-0/00000000000000000000.log'
    world.disk.put(path, damage(Uint8Array.from(world.disk.file(path).content)))
    const { found } = openDirectory(new SimWorld(2, world.disk))
    const [bad, good] = found.logs.toSorted((a, b) => a.partition - b.partition)
    const reports = new Reports()
    bad!.attach(reports)
    expect(() => bad!.append([batchAt({ at: 10 })], 0)).toThrow('EIO')
    expect([bad!.quarantined !== null, reports.rot !== null, reports.error]).toEqual([true, true, null])
    good!.append([batchAt({ at: 10 })], 0)
    expect(good!.endOffset).toBe(11)
  })

  it('below the log start or of a closed log says so', () => {
    const { world, directory, log } = fresh()
    filler(log, 30)
    log.advanceLogStart(20)
    expect(() => world.ask<LogSlice>((done) => log.read(19, 100, 100, done))).toThrow('ENOENT')
    expect(log.read(20, 100, 20, () => undefined)).toEqual({ parts: [], bytes: 0, nextOffset: 20 })
    world.ask<void>((done) => directory.close(done))
    expect(() => world.ask<LogSlice>((done) => log.read(20, 100, 100, done))).toThrow('ECLOSED')
  })
})

describe('a batch that does not continue the log', () => {
  it('is a broken invariant', () => {
    const { log } = fresh()
    log.append([batchAt({ at: 0, records: 3, epoch: 2 })], 0)
    expect(() => log.append([batchAt({ at: 2, epoch: 2 })], 0)).toThrow(
      'a batch at 2 is appended to a log that ends at 3',
    )
    expect(() => log.append([batchAt({ at: 3, epoch: 1 })], 0)).toThrow('a batch of epoch 1 follows one of 2')
    expect(() => log.append([batchAt({ at: 3, epoch: 2 }), batchAt({ at: 3, epoch: 2 })], 0)).toThrow('ends at 4')
    expect(log.endOffset).toBe(3)
  })
})

/** The last batch claims another length. */
function flip(content: Uint8Array): Uint8Array {
  const flipped = Uint8Array.from(content)
  const last = (content.length / 5) * 4
  flipped[last + 11] = (flipped.at(last + 11) ?? 0) ^ 8
  return flipped
}
