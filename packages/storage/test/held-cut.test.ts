import { leaderEpoch, nextOffset } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { HeldCut } from '../src/held-cut.ts'
import type { LogDirectoryOptions, PartitionLog, TimestampHit } from '../src/index.ts'
import { batchAt, createLog, type Opened, offsetsOf, openDirectory, readAll, Reports, SMALL } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

const FIRST = '/data/topic-0/00000000000000000000.log'

type Living = Opened & { log: PartitionLog; reports: Reports }

function begin(options: Partial<LogDirectoryOptions> = {}): Living {
  const opened = openDirectory(new SimWorld(1), { tailCacheBytes: 0, ...options })
  return { ...opened, ...createLog(opened) }
}

function append({ log, world }: Living, count: number, epoch: number): void {
  for (let i = 0; i < count; i++) log.append([batchAt({ at: log.endOffset, bytes: 300, epoch })], world.clock.wallMs())
}

/** A log of 60 records of epoch 1 in several segments, all of which a recovery point on disk speaks for. */
function promised(): Living {
  const life = begin()
  append(life, 60, 1)
  life.world.run(61_000_000)
  life.world.ask<void>((done) => life.directory.checkpoint(done))
  expect(life.world.disk.file('/data/recovery-point-offset-checkpoint').content.toString()).toContain('topic 0 60')
  // Its group says that the journal's earlier ones are not needed any more.
  append(life, 1, 1)
  life.world.until(() => life.reports.durableEnd === 61)
  return life
}

/** The same, cut while the journal can not be written. */
function refused(): Living {
  const life = promised()
  life.world.disk.fault = (operation) => (operation === 'write' ? 'ENOSPC' : undefined)
  life.log.truncate(17)
  life.world.run(3_000_000)
  expect(life.world.disk.paths().some((path) => path.endsWith('.new'))).toBe(true)
  return life
}

function reopen({ world }: Living, options: Partial<LogDirectoryOptions> = {}): Living {
  const opened = openDirectory(new SimWorld(2, world.disk), { tailCacheBytes: 0, ...options })
  const log = opened.found.logs[0] as PartitionLog
  const reports = new Reports()
  log.configure(SMALL)
  log.attach(reports)
  return { ...opened, log, reports }
}

const CRASHES: Readonly<Record<string, (life: Living, seed: number) => void>> = {
  'that takes all that was not synced': ({ world }) => world.disk.loseUnsynced(),
  'that takes some of it': ({ world }, seed) => world.disk.crash(new TestRandom(seed)),
  'of the process alone': ({ world }, seed) => world.disk.killProcess(new TestRandom(seed)),
}

const CUTS: Readonly<Record<string, (life: Living) => void>> = {
  'within a segment': ({ log }) => log.truncate(17),
  'at the start of a segment': ({ log }) => log.truncate(log.inspection.segments[2]!.baseOffset),
  'of all': ({ log }) => log.truncate(0),
  'and a deeper one of the same turn': (life) => {
    life.log.truncate(41)
    append(life, 3, 2)
    life.log.truncate(17)
  },
  'and one of what was appended after it': (life) => {
    life.log.truncate(17)
    append(life, 20, 2)
    life.log.truncate(23)
  },
  'and a new beginning': ({ log }) => {
    log.truncate(17)
    log.restart(100)
  },
}

/** What the log holds is what it was, up to some offset, or what it became, and nothing of both behind the cut. */
function checkContent({ world, log, found }: Living, kept: number, reported: number): void {
  expect([log.quarantined, found.damaged]).toEqual([null, []])
  expect(log.endOffset).toBeGreaterThanOrEqual(reported)
  const batches = readAll(world, log)
  expect(batches.length).toBe(log.endOffset - log.logStart)
  const fresh = batches.filter((batch) => leaderEpoch(batch, 0) > 1)
  const old = batches.filter((batch) => leaderEpoch(batch, 0) === 1)
  expect(fresh.length === 0 || old.every((batch) => nextOffset(batch, 0) <= kept)).toBe(true)
  expect(fresh.length > 0 || reported <= kept).toBe(true)
}

describe.each(Object.keys(CUTS))('a cut below the recovery point, %s,', (cut) => {
  it.each(Object.keys(CRASHES))('is no rot after a crash at any of its steps %s', (crash) => {
    let ended = false
    for (let step = 0; !ended; step++) {
      const life = promised()
      CUTS[cut]?.(life)
      const kept = life.log.endOffset
      life.log.checkpointHighWatermark(Math.min(kept, 10))
      append(life, 25, 3)
      // A checkpoint runs meanwhile, which read the logs before and writes after.
      if (step % 2 === 0) life.directory.checkpoint(() => undefined)
      for (let i = 0; i < step && !ended; i++) ended = !life.world.step() || life.world.nowUs > 61_500_000
      const reported = life.reports.generation === life.log.generation ? life.reports.durableEnd : 0
      life.world.kill()
      CRASHES[crash]?.(life, step)
      const after = reopen(life)
      checkContent(after, kept, reported)
      after.world.kill()
      after.world.disk.loseUnsynced()
      expect(reopen(after).log.endOffset).toBe(after.log.endOffset)
    }
  })
})

describe('a cut below the recovery point', () => {
  it('is not done to any file before the journal has it, and then to all', () => {
    const life = promised()
    const files = life.world.disk.paths().filter((path) => path.startsWith('/data/topic-0/0'))
    const before = new Map(files.map((path) => [path, Buffer.from(life.world.disk.file(path).content)]))
    life.log.truncate(17)
    append(life, 30, 2)
    expect(offsetsOf(readAll(life.world, life.log)).length).toBe(47)
    const again = promised()
    again.log.truncate(17)
    append(again, 30, 2)
    for (const [path, content] of before) expect(again.world.disk.file(path).content.equals(content)).toBe(true)
    again.world.until(() => again.reports.durableEnd === 47)
    expect(again.world.disk.paths().filter((path) => path.endsWith('.new'))).toEqual([])
    expect(again.world.disk.file(again.log.inspection.segments[1]!.logPath).size).toBe(
      again.log.inspection.segments[1]!.size,
    )
    expect(offsetsOf(readAll(again.world, again.log))).toEqual(Array.from({ length: 47 }, (_, at) => at))
  })

  it('waits while a full disk refuses the journal, and is done once there is room', () => {
    const life = refused()
    const { world, directory } = life
    world.disk.fault = () => undefined
    world.run(3_000_000)
    expect(world.disk.paths().some((path) => path.endsWith('.new'))).toBe(false)
    world.ask<void>((done) => directory.close(done))
    expect(reopen(life).log.endOffset).toBe(17)
  })

  it('is as if it had never been after a crash while a full disk refuses the journal', () => {
    const life = refused()
    life.world.kill()
    life.world.disk.loseUnsynced()
    life.world.disk.fault = () => undefined
    expect(reopen(life).log.endOffset).toBe(61)
  })

  it('takes the directory out of service when the files refuse it, and the next start does it', () => {
    for (const operation of ['rename', 'truncate']) {
      const life = promised()
      life.log.truncate(17)
      append(life, 3, 2)
      life.world.disk.fault = (called, path) => (called === operation && path.endsWith('.log') ? 'EIO' : undefined)
      life.world.run(100_000)
      expect(life.reports.error?.code).toBe('EIO')
      life.world.disk.fault = () => undefined
      life.world.kill()
      const after = reopen(life)
      expect([after.log.endOffset, after.log.quarantined]).toEqual([20, null])
      expect(readAll(after.world, after.log).map((batch) => leaderEpoch(batch, 0))[17]).toBe(2)
    }
  })

  it('is searched by time while it waits, and is there after a clean stop at once', () => {
    const life = promised()
    life.log.truncate(17)
    const timestamp = 1_800_000_000_000
    life.log.append([batchAt({ at: 17, epoch: 2, timestamp })], 0)
    append(life, 29, 2)
    const hit = life.world.ask<TimestampHit | null>((done) => life.log.offsetForTimestamp(timestamp, done))
    expect(hit).toEqual({ offset: 17, timestamp, leaderEpoch: 2 })
    life.world.ask<void>((done) => life.directory.close(done))
    const after = reopen(life)
    expect([after.found.clean, after.log.endOffset]).toEqual([true, 47])
    append(after, 1, 3)
    expect(after.log.quarantined).toBeNull()
  })

  it('leaves no name that a later start takes for its own', () => {
    const life = promised()
    life.log.truncate(17)
    append(life, 1, 2)
    life.world.kill()
    const after = reopen(life)
    after.log.truncate(17)
    append(after, 2, 3)
    after.world.run(1_000_000)
    expect(after.reports.durableEnd).toBe(19)
    expect(after.world.disk.paths().filter((path) => path.includes('.new'))).toEqual([])
  })

  it('is found to be rot by the same crashes when the files are cut first', () => {
    const right = Reflect.get(HeldCut.prototype, 'untilTold') as (this: HeldCut) => (error: null) => void
    HeldCut.prototype.untilTold = function (this: HeldCut) {
      const told = right.call(this)
      told(null)
      return () => undefined
    }
    try {
      const life = promised()
      life.log.truncate(17)
      life.world.kill()
      expect(reopen(life).log.quarantined).toContain('below the promised')
    } finally {
      HeldCut.prototype.untilTold = right as typeof HeldCut.prototype.untilTold
    }
  })
})

describe('what a start recovered', () => {
  it.each(['zeros', 'the first sector of another segment'])(
    'is promised by the end of the start, whatever is known of a watermark: %s there is no torn tail',
    (what) => {
      const life = begin()
      append(life, 5, 1)
      life.world.run(1_000_000)
      life.world.kill()
      const young = reopen(life)
      expect(young.log.endOffset).toBe(5)
      young.world.kill()
      const { content } = young.world.disk.file(FIRST)
      if (what === 'zeros') content.fill(0, 0, 512)
      else content.writeBigInt64BE(46n)
      const after = reopen(young)
      expect(after.log.quarantined).not.toBeNull()
      expect([after.found.torn, after.found.damaged.length]).toEqual([[], 1])
    },
  )
})
