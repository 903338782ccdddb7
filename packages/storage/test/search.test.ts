import type { Codec } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { computeCrc, encodeBatch, setBaseOffset, stampLogAppendTime } from '@millrace/records'
import type { PartitionLog, TimestampHit } from '../src/index.ts'
import { batchAt, createLog, type Opened, openDirectory, SMALL } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

const T0 = 1_700_000_000_000

interface Known {
  readonly offset: number
  readonly timestamp: number
}

/** A log whose timestamps wander, and what is in it. */
function wandering(seed: number): Opened & { log: PartitionLog; records: Known[] } {
  const random = new TestRandom(seed)
  const opened = openDirectory(new SimWorld(seed), { tailCacheBytes: 0 })
  const { log } = createLog(opened)
  const records: Known[] = []
  const codecs: Codec[] = ['none', 'none', 'gzip', 'snappy', 'lz4', 'zstd']
  for (let i = 0; i < 150; i++) {
    const count = 1 + random.below(4)
    const times = Array.from({ length: count }, () => T0 + i * 100 + random.below(1500))
    const value = new Uint8Array(50 + random.below(300))
    random.fill(value)
    const batch = encodeBatch(
      times.map((timestamp) => ({ timestamp, key: null, value })),
      { codec: codecs[random.below(codecs.length)]!, leaderEpoch: Math.floor(i / 50) },
    )
    setBaseOffset(batch, 0, log.endOffset)
    times.forEach((timestamp, at) => records.push({ offset: log.endOffset + at, timestamp }))
    log.append([batch], T0)
  }
  return { ...opened, log, records }
}

function search({ world }: Opened, log: PartitionLog, timestamp: number): Known | null {
  const hit = world.ask<TimestampHit | null>((done) => log.offsetForTimestamp(timestamp, done))
  return hit === null ? null : { offset: hit.offset, timestamp: hit.timestamp }
}

describe('a search by time', () => {
  it('finds what a scan of all records finds, for any codec', () => {
    for (let seed = 1; seed < 8; seed++) {
      const opened = wandering(seed)
      const { log, records } = opened
      for (let time = T0 - 500; time < T0 + 17_000; time += 371)
        expect(search(opened, log, time)).toEqual(records.find(({ timestamp }) => timestamp >= time) ?? null)
      const latest = opened.world.ask<TimestampHit | null>((done) => log.maxTimestamp(done))
      const max = Math.max(...records.map(({ timestamp }) => timestamp))
      expect(latest).toMatchObject(records.find(({ timestamp }) => timestamp === max)!)
      expect(latest?.leaderEpoch).toBe(log.epochEnd(5)?.epoch)
    }
  })

  it('does so after restarts, a truncation and with a log start inside of a batch', () => {
    const opened = wandering(3)
    let { log } = opened
    log.truncate(250)
    log.checkpointHighWatermark(200)
    log.advanceLogStart(101)
    opened.world.ask<void>((done) => opened.directory.close(done))
    const again = openDirectory(new SimWorld(9, opened.world.disk), { tailCacheBytes: 0 })
    log = again.found.logs[0]!
    const records = opened.records.filter(({ offset }) => offset >= 101 && offset < log.endOffset)
    for (let time = T0; time < T0 + 17_000; time += 511)
      expect(search(again, log, time)).toEqual(records.find(({ timestamp }) => timestamp >= time) ?? null)
  })

  it('of an empty log, or one without timestamps, finds nothing', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened)
    expect([search(opened, log, 0), opened.world.ask((done) => log.maxTimestamp(done))]).toEqual([null, null])
    const batch = encodeBatch([{ timestamp: -1, key: null, value: null }], { leaderEpoch: 0 })
    log.append([batch], T0)
    expect([search(opened, log, 0), opened.world.ask((done) => log.maxTimestamp(done))]).toEqual([null, null])
  })

  it('finds the first offset of a batch of log-append time', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened, SMALL)
    for (let i = 0; i < 3; i++) {
      const batch = encodeBatch(
        Array.from({ length: 3 }, () => ({ timestamp: 5, key: null, value: null })),
        { leaderEpoch: 0 },
      )
      setBaseOffset(batch, 0, i * 3)
      stampLogAppendTime(batch, 0, T0 + i)
      log.append([batch], T0)
    }
    expect(search(opened, log, T0 + 1)).toEqual({ offset: 3, timestamp: T0 + 1 })
  })

  describe('that meets rot', () => {
    const FIRST = '/data/topic-0/00000000000000000000.log'

    /** A log of several segments that was stopped and opened again, after `damage` was done to one of its files. */
    function damaged(path: string, damage: (content: Uint8Array) => void): Opened & { log: PartitionLog } {
      const opened = openDirectory(new SimWorld(5), { tailCacheBytes: 0 })
      const { log } = createLog(opened)
      for (let i = 0; i < 60; i++) log.append([batchAt({ at: i, bytes: 200, timestamp: T0 + i })], T0)
      opened.world.ask<void>((done) => opened.directory.close(done))
      const content = Uint8Array.from(opened.world.disk.file(path).content)
      damage(content)
      opened.world.disk.put(path, content)
      const again = openDirectory(new SimWorld(6, opened.world.disk), { tailCacheBytes: 0 })
      return { ...again, log: again.found.logs[0]! }
    }

    it.each<[string, (content: Uint8Array) => void]>([
      ['where a batch should begin', (content) => content.fill(0, 0, 512)],
      ['in the time of a batch that it would step over', (content) => void (content[35]! ^= 0x80)],
    ])('%s does not go on behind it: it fails, and the log is quarantined', (_, damage) => {
      const opened = damaged(FIRST, damage)
      expect(() => search(opened, opened.log, T0 + 1)).toThrow('EIO')
      expect(opened.log.quarantined).toContain(FIRST)
    })

    it('behind what it looks for does not see it', () => {
      const opened = damaged(FIRST, (content) => content.fill(0, content.length - 512))
      expect(search(opened, opened.log, T0 + 1)).toEqual({ offset: 1, timestamp: T0 + 1 })
      expect(opened.log.quarantined).toBeNull()
    })

    it('in an index that points to where no batch begins makes that anew from the log', () => {
      const opened = damaged(FIRST.replace('.log', '.index'), (content) => void (content[7]! += 3))
      expect(search(opened, opened.log, T0 + 2)).toEqual({ offset: 2, timestamp: T0 + 2 })
      expect(opened.log.quarantined).toBeNull()
    })
  })

  it('answers with the first offset of a batch that can not be inflated', () => {
    const opened = openDirectory(new SimWorld(1))
    const { log } = createLog(opened, SMALL)
    const batch = encodeBatch([{ timestamp: T0, key: null, value: new Uint8Array(100) }], {
      codec: 'gzip',
      leaderEpoch: 0,
    })
    batch.fill(7, 61)
    new DataView(batch.buffer, batch.byteOffset).setUint32(17, computeCrc(batch, 0))
    log.append([batch], T0)
    expect(search(opened, log, T0)).toEqual({ offset: 0, timestamp: T0 })
  })
})
