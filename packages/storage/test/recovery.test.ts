import type { IoErrorCode } from '@millrace/base'
import { baseOffset, nextOffset } from '@millrace/records'
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
import { SimWorld } from './sim-world.ts'

const FOLDER = '/data/topic-0'

interface Stopped {
  readonly world: SimWorld
  readonly batches: Uint8Array[]
  /** Paths of the segments' log files. */
  readonly logs: string[]
}

/** A log of `count` batches that is all durable, checkpointed with this watermark, and whose process is then gone. It left no journal. */
function killed(count: number, highWatermark: number): Stopped {
  const world = new SimWorld(1)
  const opened = openDirectory(world, { flushMode: 'pagecache', backgroundFlushMs: 1 })
  const { log, reports } = createLog(opened)
  const batches = Array.from({ length: count }, (_, i) =>
    batchAt({ at: i * 2, records: 2, bytes: 300, epoch: i >= 20 ? 4 : 1 }),
  )
  for (const batch of batches) log.append([Uint8Array.from(batch)], world.clock.wallMs())
  world.until(() => reports.durableEnd === count * 2)
  log.checkpointHighWatermark(highWatermark)
  world.ask<void>((done) => opened.directory.checkpoint(done))
  world.kill()
  const logs = world.disk.paths().filter((path) => path.endsWith('.log'))
  return { world, batches, logs }
}

function reopen(
  { world }: Stopped,
  options: Partial<LogDirectoryOptions> = {},
): Opened & { log: PartitionLog; world: SimWorld } {
  const opened = openDirectory(new SimWorld(2, world.disk), { tailCacheBytes: 0, ...options })
  const log = opened.found.logs[0] as PartitionLog
  log.configure(SMALL)
  log.attach(new Reports())
  return { ...opened, log }
}

/** The file and position of the batch with this base offset. */
function placeOf({ world, logs, batches }: Stopped, offset: number): { path: string; at: number; size: number } {
  for (const path of logs) {
    const content = world.disk.file(path).content
    for (let at = 0; at < content.length; at += content.readInt32BE(at + 8) + 12)
      if (baseOffset(content, at) === offset) return { path, at, size: content.readInt32BE(at + 8) + 12 }
  }
  throw new Error(`offset ${offset} of ${batches.length} batches is nowhere`)
}

function cutFile(stopped: Stopped, path: string, size: number): void {
  const node = stopped.world.disk.file(path)
  node.resize(size)
}

describe('after an unclean stop, a log', () => {
  it('that is whole is whole, epochs included, and was synced', () => {
    const stopped = killed(40, 80)
    const before = stopped.world.disk.syncs
    const { log, found, world } = reopen(stopped)
    expect([found.clean, found.damaged, found.torn]).toEqual([false, [], []])
    expect([log.endOffset, log.durableEnd, log.lastEpoch]).toEqual([80, 80, 4])
    expect(log.epochEnd(1)).toEqual({ epoch: 1, endOffset: 40 })
    expect(readAll(world, log).length).toBe(40)
    expect(stopped.world.disk.syncs).toBeGreaterThan(before)
  })

  it.each<[string, (stopped: Stopped) => void]>([
    [
      'whose last batch is half there',
      (stopped) => {
        const { path, at } = placeOf(stopped, 78)
        cutFile(stopped, path, at + 100)
      },
    ],
    [
      'whose last batch has half a header',
      (stopped) => {
        const { path, at } = placeOf(stopped, 78)
        cutFile(stopped, path, at + 30)
      },
    ],
    [
      'whose last batch is zeros',
      (stopped) => {
        const { path, at, size } = placeOf(stopped, 78)
        stopped.world.disk.file(path).content.fill(0, at, at + size)
      },
    ],
    [
      'whose last batch does not match its CRC',
      (stopped) => {
        const { path, at } = placeOf(stopped, 78)
        stopped.world.disk.file(path).content[at + 90]! ^= 4
      },
    ],
  ])('%s loses that batch, and is told to have', (_, damage) => {
    const stopped = killed(40, 60)
    damage(stopped)
    const { log, found, world } = reopen(stopped)
    expect([log.quarantined, log.endOffset, found.damaged]).toEqual([null, 78, []])
    expect(found.torn).toMatchObject([{ topicId: TOPIC_ID, partition: 0, endOffset: 78 }])
    expect(found.torn[0]!.lostBytes).toBeGreaterThan(0)
    log.append([batchAt({ at: 78, epoch: 5 })], 0)
    expect(offsetsOf(readAll(world, log)).slice(-2)).toEqual([76, 78])
  })

  it('with zeros after its last batch loses only those', () => {
    const stopped = killed(40, 60)
    const node = stopped.world.disk.file(stopped.logs.at(-1)!)
    node.resize(node.size + 5000)
    const { log, found } = reopen(stopped)
    expect([log.endOffset, found.torn[0]?.lostBytes]).toEqual([80, 5000])
  })

  it('with damage in the middle of what was never promised is cut there, later segments included', () => {
    const stopped = killed(40, 30)
    const { path, at } = placeOf(stopped, 34)
    stopped.world.disk.file(path).content[at + 70]! ^= 1
    const { log, found, world } = reopen(stopped)
    expect([log.quarantined, log.endOffset, log.lastEpoch, found.torn.length]).toEqual([null, 34, 1, 1])
    expect(offsetsOf(readAll(world, log)).at(-1)).toBe(32)
    expect(world.disk.paths().filter((name) => name.endsWith('.log')).length).toBeLessThan(stopped.logs.length)
  })

  it.each<[string, (stopped: Stopped) => void]>([
    [
      'damage below the watermark',
      (stopped) => {
        const { path, at } = placeOf(stopped, 70)
        stopped.world.disk.file(path).content[at + 70]! ^= 1
      },
    ],
    [
      'an end below the watermark',
      (stopped) => {
        const { path, at } = placeOf(stopped, 70)
        cutFile(stopped, path, at)
      },
    ],
    [
      'no segment any more',
      (stopped) => {
        for (const path of stopped.logs) stopped.world.disk.drop(path)
      },
    ],
    [
      "another partition's file in the place of its last one",
      (stopped) => {
        const first = stopped.world.disk.file(stopped.logs[0]!).content
        stopped.world.disk.put(stopped.logs.at(-1)!, Uint8Array.from(first))
      },
    ],
  ])('with %s is quarantined: nothing is served, nothing is cut', (_, damage) => {
    const stopped = killed(40, 76)
    damage(stopped)
    const sizes = new Map(
      stopped.logs
        .filter((path) => stopped.world.disk.has(path))
        .map((path) => [path, stopped.world.disk.file(path).size]),
    )
    const { log, found, world } = reopen(stopped)
    expect(log.quarantined).toMatch(/promised|begins at offset 0/)
    expect(found.damaged).toMatchObject([{ topicId: TOPIC_ID, partition: 0, reason: log.quarantined }])
    expect(() => log.append([batchAt({ at: log.endOffset })], 0)).toThrow('quarantined')
    expect(() => log.truncate(0)).toThrow('quarantined')
    expect(() => world.ask((done) => log.read(0, 100, 100, done))).toThrow('quarantined')
    for (const [path, size] of sizes) expect(world.disk.file(path).size).toBe(size)
  })

  it('that is quarantined stays so at the next start, clean or not, and is replaced by an empty one', () => {
    const stopped = killed(40, 76)
    const { path, at } = placeOf(stopped, 70)
    stopped.world.disk.file(path).content[at + 70]! ^= 1
    const first = reopen(stopped)
    expect(first.log.quarantined).not.toBeNull()
    first.world.ask<void>((done) => first.directory.close(done))
    const second = reopen({ ...stopped, world: first.world })
    expect(second.log.quarantined).not.toBeNull()
    const fresh = second.world.ask<PartitionLog>((done) => second.directory.replace(second.log, 50, done))
    expect([fresh.logStart, fresh.endOffset, fresh.quarantined, fresh.topicId]).toEqual([50, 50, null, TOPIC_ID])
    expect(
      second.world.disk.paths().some((name) => /^\/data\/stray\/topic-0\.[0-9a-f]{32}-stray\/.*\.log$/.test(name)),
    ).toBe(true)
    fresh.append([batchAt({ at: 50, epoch: 9 })], 0)
    expect(fresh.endOffset).toBe(51)
  })

  it.each<[IoErrorCode, string]>([
    ['EMFILE', 'open'],
    ['EACCES', 'open'],
    ['EMFILE', 'read'],
    ['ENOMEM', 'read'],
    ['EOTHER', 'read'],
    ['ENOSPC', 'open'],
  ])('that %s keeps from being looked at (%s) fails the start, and the next one finds it whole', (code, operation) => {
    const stopped = killed(40, 60)
    const { disk } = stopped.world
    disk.fault = (called, path) => (called === operation && path.endsWith('.log') ? code : undefined)
    expect(() => reopen(stopped)).toThrow(code)
    disk.fault = () => undefined
    const { log, found } = reopen(stopped)
    expect([log.quarantined, log.endOffset, found.damaged]).toEqual([null, 80, []])
  })

  it('that the disk fails to read is read once more, and then quarantined', () => {
    for (const failures of [1, Number.POSITIVE_INFINITY]) {
      const stopped = killed(40, 60)
      let left = failures
      stopped.world.disk.fault = (called, path) =>
        called === 'read' && path.endsWith('.log') && left-- > 0 ? 'EIO' : undefined
      const { log, found } = reopen(stopped)
      expect([log.quarantined !== null, found.damaged.length, log.lastEpoch]).toEqual(
        failures === 1 ? [false, 0, 4] : [true, 1, log.lastEpoch],
      )
    }
  })

  it('with a batch of another place within it ends before that, or is quarantined: it never has a hole', () => {
    for (const [watermark, quarantined] of [
      [20, false],
      [76, true],
    ] as const) {
      const stopped = killed(40, watermark)
      const [to, from] = [placeOf(stopped, 44), placeOf(stopped, 50)]
      const moved = stopped.world.disk.file(from.path).content.subarray(from.at, from.at + from.size)
      stopped.world.disk.file(to.path).content.set(moved, to.at)
      // All is walked then.
      stopped.world.disk.drop(`${FOLDER}/leader-epoch-checkpoint`)
      const { log } = reopen(stopped)
      expect([log.quarantined !== null, log.endOffset]).toEqual([quarantined, quarantined ? log.endOffset : 44])
    }
  })

  it('with an empty segment that others follow is quarantined', () => {
    const stopped = killed(40, 60)
    cutFile(stopped, stopped.logs[1]!, 0)
    expect(reopen(stopped).log.quarantined).toMatch(/is empty, and others follow$/)
  })

  it('of a page-cache broker may end below the watermark, which is damage but no rot', () => {
    const stopped = killed(40, 20)
    stopped.world.disk.put('/data/replication-offset-checkpoint', Buffer.from('0\n1\ntopic 0 76\n'))
    const { path, at } = placeOf(stopped, 70)
    cutFile(stopped, path, at + 20)
    const { log, found } = reopen(stopped, { flushMode: 'pagecache' })
    expect([log.quarantined, log.endOffset, log.highWatermark]).toEqual([null, 70, 70])
    expect(found.damaged).toMatchObject([{ reason: 'cut at offset 70, below the watermark 76' }])
  })

  it('with a segment of an earlier epoch at its end, which a truncation had taken, loses that segment', () => {
    const stopped = killed(40, 60)
    const opened = openDirectory(new SimWorld(5, stopped.world.disk))
    const old = Buffer.from(stopped.world.disk.file(stopped.logs.at(-1)!).content)
    const base = baseOffset(old, 0)
    const log = opened.found.logs[0]!
    log.configure(SMALL)
    log.truncate(base - 2)
    log.append([batchAt({ at: base - 2, records: 2, bytes: 300, epoch: 6 })], 0)
    opened.world.run(1_000_000)
    opened.world.kill()
    // The rename that took the old segment away was undone by the crash: its offsets go on exactly where the log ends.
    stopped.world.disk.put(stopped.logs.at(-1)!, old)
    const { log: found, found: outcome } = reopen({ ...stopped, world: opened.world })
    expect([found.endOffset, found.lastEpoch, outcome.torn.length, found.quarantined]).toEqual([base, 6, 1, null])
  })

  it('with a hole among segments that were being removed is whole from its log start on', () => {
    const stopped = killed(200, 390)
    const opened = openDirectory(new SimWorld(5, stopped.world.disk))
    const log = opened.found.logs[0]!
    const kept = new Map(stopped.logs.map((path) => [path, Uint8Array.from(stopped.world.disk.file(path).content)]))
    log.configure(SMALL)
    log.advanceLogStart(150)
    opened.world.run(100_000)
    opened.world.kill()
    // Of the removed segments the crash brought the first one back; and the epochs are lost, so that all is walked.
    stopped.world.disk.put(stopped.logs[0]!, kept.get(stopped.logs[0]!)!)
    stopped.world.disk.drop(`${FOLDER}/leader-epoch-checkpoint`)
    const { log: found, world } = reopen({ ...stopped, world: opened.world })
    expect([found.logStart, found.endOffset, found.quarantined]).toEqual([150, 400, null])
    expect(found.epochEnd(4)).toEqual({ epoch: 4, endOffset: 400 })
    world.run(1_000_000)
    expect(world.disk.has(stopped.logs[0]!)).toBe(false)
  })

  it('is walked from near its recovery point, not from its beginning', () => {
    const stopped = killed(600, 1190)
    const before = stopped.world.disk.reads
    const { log } = reopen(stopped)
    expect(log.endOffset).toBe(1200)
    expect(stopped.logs.length).toBeGreaterThan(20)
    expect(stopped.world.disk.reads - before).toBeLessThan(20)
  })

  it('has its epochs and offsets also when every checkpoint is gone or damaged', () => {
    for (const content of [null, '0\n1\n', 'nonsense', '0\n2\ntopic 0 80\n', '']) {
      const stopped = killed(40, 60)
      for (const path of [
        'recovery-point-offset-checkpoint',
        'replication-offset-checkpoint',
        'topic-0/leader-epoch-checkpoint',
      ])
        if (content === null) stopped.world.disk.drop(`/data/${path}`)
        else stopped.world.disk.put(`/data/${path}`, Buffer.from(content))
      const { log } = reopen(stopped)
      expect([log.endOffset, log.lastEpoch, log.epochEnd(3)]).toEqual([80, 4, { epoch: 1, endOffset: 40 }])
    }
  })

  it('has its epochs also when the checkpoint of them lies', () => {
    for (const content of ['0\n1\n9 0\n', '0\n2\n1 0\n9 30\n']) {
      const stopped = killed(40, 60)
      stopped.world.disk.put(`${FOLDER}/leader-epoch-checkpoint`, Buffer.from(content))
      const { log, found } = reopen(stopped)
      expect([log.endOffset, log.lastEpoch, log.quarantined, found.torn]).toEqual([80, 4, null, []])
      expect(log.epochEnd(1)).toEqual({ epoch: 1, endOffset: 40 })
    }
  })

  it('with indexes that are missing, torn or lies is read and searched as before', () => {
    const damages: ((content: Buffer) => Buffer | null)[] = [
      () => null,
      (content) => content.subarray(0, Math.max(0, content.length - 3)),
      (content) => Buffer.alloc(content.length),
      (content) => Buffer.from(content.map((byte, i) => (i % 8 === 7 ? byte ^ 1 : byte))),
      (content) => Buffer.concat([content, content]),
    ]
    for (const damage of damages) {
      const stopped = killed(200, 390)
      for (const path of stopped.world.disk.paths().filter((name) => name.endsWith('index'))) {
        const content = damage(Buffer.from(stopped.world.disk.file(path).content))
        if (content === null) stopped.world.disk.drop(path)
        else stopped.world.disk.put(path, content)
      }
      const { log, world } = reopen(stopped)
      expect(offsetsOf(readAll(world, log, 400))).toEqual(stopped.batches.map((batch) => baseOffset(batch, 0)))
      for (const from of [1, 99, 250, 399]) {
        const slice = world.ask<{ parts: readonly Uint8Array[] }>((done) => log.read(from, 1, 1000, done))
        expect(nextOffset(slice.parts[0]!, 0)).toBeGreaterThan(from)
        expect(baseOffset(slice.parts[0]!, 0)).toBeLessThanOrEqual(from)
      }
      log.truncate(151)
      expect(log.endOffset).toBe(150)
    }
  })
})

describe('folders that a start finds', () => {
  it('of unknown topics are moved to stray, and never opened', () => {
    const stopped = killed(10, 10)
    const { found, world } = openDirectory(new SimWorld(3, stopped.world.disk), { known: () => false })
    expect(found.logs).toEqual([])
    expect(world.disk.has(FOLDER)).toBe(false)
    expect(world.disk.paths().filter((path) => path.startsWith('/data/stray/topic-0.')).length).toBeGreaterThan(2)
    expect(openDirectory(new SimWorld(4, world.disk)).found.logs).toEqual([])
  })

  it('without a topic id but with data are moved to stray, empty ones are removed', () => {
    const stopped = killed(10, 10)
    stopped.world.disk.drop(`${FOLDER}/partition.metadata`)
    stopped.world.disk.put('/data/other-3/00000000000000000000.log', new Uint8Array(0))
    stopped.world.disk.put('/data/broken-4/partition.metadata', Buffer.from('version: 0\ntopic_id: x'))
    const { found, world } = openDirectory(new SimWorld(3, stopped.world.disk))
    expect(found.logs).toEqual([])
    expect([world.disk.has(FOLDER), world.disk.has('/data/other-3'), world.disk.has('/data/broken-4')]).toEqual([
      false,
      false,
      false,
    ])
    expect(world.disk.paths().some((path) => path.startsWith('/data/stray/topic-0.'))).toBe(true)
  })

  it('and files that were being deleted are deleted', () => {
    const stopped = killed(10, 10)
    stopped.world.disk.put('/data/old-1.0123-delete/00000000000000000000.log', new Uint8Array(9))
    stopped.world.disk.put(`${FOLDER}/00000000000000000000.log.deleted`, new Uint8Array(9))
    stopped.world.disk.put(`${FOLDER}/leader-epoch-checkpoint.tmp`, new Uint8Array(9))
    const { found, world } = openDirectory(new SimWorld(3, stopped.world.disk))
    world.run(1_000_000)
    expect(found.logs.length).toBe(1)
    expect(world.disk.paths().filter((path) => /delete|tmp/.test(path))).toEqual([])
  })

  it('that are none of a partition are let be', () => {
    const stopped = killed(10, 10)
    stopped.world.disk.put('/data/meta.properties', Buffer.from('x'))
    stopped.world.disk.put('/data/notes/file', Buffer.from('x'))
    const { found, world } = openDirectory(new SimWorld(3, stopped.world.disk))
    expect([found.logs.length, world.disk.has('/data/notes/file'), world.disk.has('/data/meta.properties')]).toEqual([
      1,
      true,
      true,
    ])
  })
})
