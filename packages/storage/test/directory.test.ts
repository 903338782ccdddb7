import type { Uuid } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import type { CreateLog, PartitionLog } from '../src/index.ts'
import { batchAt, createLog, openDirectory, readAll, Reports, SMALL, TOPIC_ID } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

/** A log that is deleted has no name and no files any more. */
const AT_ONCE = { ...SMALL, fileDeleteDelayMs: 0 }

const request = (partition: number, more: Partial<CreateLog> = {}): CreateLog => ({
  topic: 'topic',
  topicId: TOPIC_ID,
  partition,
  config: SMALL,
  startOffset: 0,
  events: new Reports(),
  ...more,
})

function withLogs(count: number, seed = 1) {
  const opened = openDirectory(new SimWorld(seed))
  const logs = Array.from({ length: count }, (_, i) =>
    opened.world.ask<PartitionLog>((done) => opened.directory.create(request(i), done)),
  )
  return { ...opened, logs }
}

describe('a log directory', () => {
  it('makes logs that are there after a power cut, as soon as the creation has answered', () => {
    const { world, logs } = withLogs(3)
    expect(
      logs.map(({ logStart, endOffset, durableEnd, lastEpoch }) => [logStart, endOffset, durableEnd, lastEpoch]),
    ).toEqual(Array.from({ length: 3 }, () => [0, 0, 0, -1]))
    world.kill()
    world.disk.crash(new TestRandom(5))
    const { found } = openDirectory(new SimWorld(2, world.disk))
    expect(
      found.logs.map(({ partition, topicId }) => [partition, topicId]).sort(([a], [b]) => Number(a) - Number(b)),
    ).toEqual([
      [0, TOPIC_ID],
      [1, TOPIC_ID],
      [2, TOPIC_ID],
    ])
    expect(found.damaged).toEqual([])
  })

  it('makes many logs at once, and refuses one that is there', () => {
    const { world, directory } = withLogs(0)
    const made: (number | string)[] = []
    for (let i = 0; i < 100; i++)
      directory.create(request(i % 90), (error, log) => void made.push(error === null ? log.partition : error.code))
    world.until(() => made.length === 100)
    expect(made.filter((one) => one === 'EEXIST').length).toBe(10)
    expect(new Set(made.filter((one) => typeof one === 'number')).size).toBe(90)
  })

  it('whose creation fails leaves no log behind, and can be asked again', () => {
    const { world, directory } = withLogs(0)
    for (const operation of ['mkdir', 'open', 'append', 'sync', 'rename', 'syncDir']) {
      world.disk.fault = (called, path) => (called === operation && path.startsWith('/data') ? 'ENOSPC' : undefined)
      expect(() => world.ask<PartitionLog>((done) => directory.create(request(0), done))).toThrow('ENOSPC')
    }
    world.disk.fault = () => undefined
    const log = world.ask<PartitionLog>((done) => directory.create(request(0), done))
    log.append([batchAt({ at: 0 })], 0)
    expect(readAll(world, log).length).toBe(1)
  })

  it('makes a log that starts where it is told', () => {
    const { world, directory } = withLogs(0)
    const log = world.ask<PartitionLog>((done) => directory.create(request(0, { startOffset: 5000 }), done))
    expect([log.logStart, log.endOffset, log.highWatermark]).toEqual([5000, 5000, 5000])
    log.append([batchAt({ at: 5000, epoch: 3 })], 0)
    world.ask<void>((done) => directory.close(done))
    const [found] = openDirectory(new SimWorld(2, world.disk)).found.logs
    expect([found?.logStart, found?.endOffset, found?.lastEpoch]).toEqual([5000, 5001, 3])
  })

  it('deletes a log: its name is free at once, its files are gone after the delay, also over a restart', () => {
    const { world, directory, logs } = withLogs(1)
    const config = { ...SMALL, fileDeleteDelayMs: 60_000 }
    logs[0]!.configure(config)
    logs[0]!.append([batchAt({ at: 0 })], 0)
    directory.delete(logs[0]!)
    expect(() => logs[0]!.append([batchAt({ at: 1 })], 0)).toThrow('closed')
    const again = world.ask<PartitionLog>((done) =>
      directory.create(request(0, { topicId: 'MkU3OEVBNTcwNTJENDM2Qg', config }), done),
    )
    expect(again.endOffset).toBe(0)
    const deleted = (): string[] =>
      world.disk.paths().filter((path) => /^\/data\/topic-0\.[0-9a-f]{32}-delete$/.test(path))
    expect(deleted().length).toBe(1)
    world.run(59_000_000)
    expect(deleted().length).toBe(1)
    world.run(2_000_000)
    expect(deleted().length).toBe(0)
    directory.delete(again)
    world.run(1_000_000)
    world.kill()
    const reopened = openDirectory(new SimWorld(2, world.disk))
    expect(reopened.found.logs).toEqual([])
    reopened.world.run(1_000_000)
    expect(world.disk.paths().filter((path) => path.includes('topic'))).toEqual([])
  })

  it('deletes a log in the middle of its sync without calling the disk broken', () => {
    for (let seed = 1; seed < 20; seed++) {
      const { world, directory, logs } = withLogs(2, seed)
      const events = new Reports()
      logs[1]!.attach(events)
      for (const log of logs) for (let i = 0; i < 20; i++) log.append([batchAt({ at: i, bytes: 500 })], 0)
      world.run(seed * 40)
      logs[0]!.configure({ ...SMALL, fileDeleteDelayMs: 1 })
      directory.delete(logs[0]!)
      world.run(1_000_000)
      expect([events.error, events.durableEnd]).toEqual([null, 20])
    }
  })

  it.each(['fsync', 'pagecache'] as const)(
    'holds no log against what an earlier one of its name had (%s)',
    (flushMode) => {
      let opened = openDirectory(new SimWorld(1), { flushMode })
      const make = (topicId: Uuid): PartitionLog =>
        opened.world.ask<PartitionLog>((done) =>
          opened.directory.create(request(0, { topicId, config: AT_ONCE }), done),
        )
      const dieAndOpen = (seed: number): PartitionLog | undefined => {
        opened.world.kill()
        opened = openDirectory(new SimWorld(seed, opened.world.disk), { flushMode })
        return opened.found.logs[0]
      }
      const old = make(TOPIC_ID)
      for (let at = 0; at < 60; at++) old.append([batchAt({ at })], 0)
      opened.world.run(200_000_000)
      old.checkpointHighWatermark(60)
      old.advanceLogStart(50)
      opened.world.ask<void>((done) => opened.directory.checkpoint(done))
      opened.directory.delete(old)
      make('AAAAAAAAAAAAAAAAAAAAAQ').append([batchAt({ at: 0, records: 3 })], 0, true)
      let log = dieAndOpen(2)
      expect([log?.quarantined, log?.logStart, log?.endOffset]).toEqual([null, 0, 3])
      // Nor where another process has removed the earlier one.
      opened.world.ask<void>((done) => opened.directory.checkpoint(done))
      log?.configure(AT_ONCE)
      opened.directory.delete(log!)
      expect(dieAndOpen(3)).toBeUndefined()
      make('AAAAAAAAAAAAAAAAAAAAAg').append([batchAt({ at: 0 })], 0, true)
      log = dieAndOpen(4)
      expect([log?.quarantined, log?.endOffset]).toEqual([null, 1])
    },
  )

  it('moves a log aside', () => {
    const { world, directory, logs } = withLogs(1)
    logs[0]!.append([batchAt({ at: 0 })], 0)
    world.run(100_000)
    world.ask<void>((done) => directory.moveAside(logs[0]!, done))
    expect(world.disk.paths().filter((path) => path.endsWith('.log'))).toEqual([
      expect.stringMatching(/^\/data\/stray\/topic-0\./),
    ])
    world.run(100_000)
    expect(openDirectory(new SimWorld(2, world.disk)).found.logs).toEqual([])
  })

  it('replaces a log by an empty one of the same id that tells the same listener', () => {
    const { world, directory, logs } = withLogs(1)
    const reports = new Reports()
    logs[0]!.attach(reports)
    logs[0]!.append([batchAt({ at: 0 })], 0)
    const fresh = world.ask<PartitionLog>((done) => directory.replace(logs[0]!, 77, done))
    expect([fresh.logStart, fresh.endOffset, fresh.topicId]).toEqual([77, 77, TOPIC_ID])
    fresh.append([batchAt({ at: 77 })], 0)
    world.until(() => reports.durableEnd === 78)
  })

  it('restarts a log at another offset, which a power cut takes back or keeps whole', () => {
    const outcomes = Array.from({ length: 60 }, (_, i) => restartAndCrash(i + 1))
    // What was reported durable is there, and nothing else than the new log or a part of the old one ever is.
    expect(outcomes.filter(({ promised, ends }) => promised && ends !== '1000..1001')).toEqual([])
    expect(outcomes.filter(({ ends }) => !/^(1000\.\.100[01]|[1-5]?[0-9]\.\.([1-5]?[0-9]|60))$/.test(ends))).toEqual([])
    expect(outcomes.filter(({ promised, damaged }) => promised && damaged)).toEqual([])
    expect(new Set(outcomes.map(({ ends }) => ends.startsWith('1000'))).size).toBe(2)
  })

  it('stops cleanly only once: a start takes the marker away before anything else', () => {
    const { world, directory, logs } = withLogs(2)
    for (let i = 0; i < 30; i++) logs[0]!.append([batchAt({ at: i, bytes: 500 })], 0)
    world.ask<void>((done) => directory.close(done))
    expect(world.disk.has('/data/.kafka_cleanshutdown')).toBe(true)
    world.disk.crash(new TestRandom(1))
    const first = openDirectory(new SimWorld(2, world.disk))
    expect([first.found.clean, first.found.logs.length]).toEqual([true, 2])
    expect(world.disk.has('/data/.kafka_cleanshutdown')).toBe(false)
    first.world.kill()
    world.disk.crash(new TestRandom(2))
    const second = openDirectory(new SimWorld(3, world.disk))
    expect([
      second.found.clean,
      second.found.damaged,
      second.found.logs.map(({ endOffset }) => endOffset).sort((a, b) => a - b),
    ]).toEqual([false, [], [0, 30]])
  })

  it('takes no append once it stops, and says so', () => {
    const { world, directory, logs } = withLogs(1)
    let closed = false
    directory.close(() => (closed = true))
    world.until(() => closed)
    expect(() => logs[0]!.append([batchAt({ at: 0 })], 0)).toThrow('closed')
    expect(() => logs[0]!.truncate(0)).toThrow('closed')
  })

  it('counts what it holds', () => {
    const { world, directory, logs } = withLogs(1)
    world.run(1000)
    logs[0]!.append([batchAt({ at: 0 })], 0)
    expect(directory.totalBytes - directory.usableBytes).toBe(logs[0]!.sizeBytes)
    expect(directory.usableBytes).toBe(2 ** 40 - logs[0]!.sizeBytes)
  })

  it('lets one log close by itself, with all of it on disk', () => {
    const { world, logs } = withLogs(2)
    const reports = new Reports()
    logs[0]!.attach(reports)
    logs[0]!.append([batchAt({ at: 0 })], 0)
    world.ask<void>((done) => logs[0]!.close(done))
    world.ask<void>((done) => logs[0]!.close(done))
    expect(logs[0]!.durableEnd).toBe(1)
    expect(() => logs[0]!.append([batchAt({ at: 1 })], 0)).toThrow('closed')
    logs[1]!.append([batchAt({ at: 0 })], 0)
    world.run(100_000)
    expect(logs[1]!.durableEnd).toBe(1)
  })
})

/** A log of 60 records is restarted at 1,000, and the power goes some time later. */
function restartAndCrash(seed: number): { seed: number; promised: boolean; ends: string; damaged: boolean } {
  const opened = openDirectory(new SimWorld(seed))
  const { world, directory } = opened
  const { log, reports } = createLog(opened)
  for (let i = 0; i < 60; i++) log.append([batchAt({ at: i, bytes: 400 })], 0)
  world.run(200_000)
  log.checkpointHighWatermark(40)
  world.ask<void>((done) => directory.checkpoint(done))
  log.restart(1000)
  log.append([batchAt({ at: 1000, epoch: 8 })], 0)
  directory.checkpoint(() => undefined)
  world.run(seed * 60)
  const promised = reports.generation === 1 && reports.durableEnd === 1001
  world.kill()
  world.disk.crash(new TestRandom(seed))
  const { found } = openDirectory(new SimWorld(seed + 1000, world.disk))
  const [after] = found.logs
  return { seed, promised, ends: `${after?.logStart}..${after?.endOffset}`, damaged: found.damaged.length > 0 }
}
