import { IoError } from '@millrace/base'
import { nextOffset } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import type { PartitionLog, TimestampHit } from '../src/index.ts'
import { batchAt, createLog, openDirectory, readAll, SMALL } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

/** A stopped directory with one log of several segments and epochs. */
function stopped(seed: number, clean: boolean): SimWorld {
  // Without a journal, which would have what the files lack.
  const opened = openDirectory(new SimWorld(seed), { flushMode: 'pagecache', backgroundFlushMs: 1 })
  const { log, reports } = createLog(opened)
  for (let i = 0; i < 60; i++)
    log.append(
      [batchAt({ at: i * 2, records: 2, bytes: 300, epoch: Math.floor(i / 20), timestamp: 1_700_000_000_000 + i })],
      0,
    )
  opened.world.until(() => reports.durableEnd === 120)
  log.checkpointHighWatermark(100)
  opened.world.ask<void>((done) => (clean ? opened.directory.close(done) : opened.directory.checkpoint(done)))
  opened.world.kill()
  return opened.world
}

/** Uses all of a log; the only error that may come out is the typed one of a disk that holds what it should not. */
function useAll(world: SimWorld, log: PartitionLog): string {
  log.configure(SMALL)
  const steps: (() => unknown)[] = [
    () => readAll(world, log, 700),
    () => world.ask<TimestampHit | null>((done) => log.offsetForTimestamp(1_700_000_000_030, done)),
    () => world.ask<TimestampHit | null>((done) => log.maxTimestamp(done)),
    () => log.append([batchAt({ at: log.endOffset, epoch: log.lastEpoch + 1 })], 0),
    () => log.truncate(Math.max(log.logStart, log.endOffset - 15)),
    () => readAll(world, log, 100_000),
    () => log.applyRetention(log.endOffset, 0),
  ]
  let outcome = ''
  for (const step of steps)
    try {
      step()
      outcome += '.'
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      outcome += 'x'
    }
  return outcome
}

describe('files that were changed at random', () => {
  it.each([true, false])(
    'give right batches, or the typed error, or quarantine; never a crash (clean stop: %s)',
    (clean) => {
      const outcomes = new Set<string>()
      for (let seed = 1; seed <= 400; seed++) {
        const random = new TestRandom(seed)
        const { disk } = stopped(seed, clean)
        const files = disk.paths().filter((path) => /\.(log|index|timeindex)$|checkpoint$|metadata$/.test(path))
        for (let i = random.below(4); i >= 0; i--) {
          const node = disk.file(files[random.below(files.length)]!)
          const at = random.below(Math.max(1, node.size))
          if (random.chance(15)) node.resize(at)
          else if (random.below(100) < 15) node.resize(node.size + random.below(300))
          else if (node.size > 0)
            node.content.fill(random.below(256), at, Math.min(node.size, at + 1 + random.below(9)))
        }
        const world = new SimWorld(seed + 10_000, disk)
        const { found } = openDirectory(world, { tailCacheBytes: 0 })
        for (const log of found.logs) outcomes.add(log.quarantined === null ? useAll(world, log) : 'quarantined')
        for (const log of found.logs) expect(log.endOffset).toBeGreaterThanOrEqual(log.logStart)
      }
      expect(outcomes.has('quarantined')).toBe(true)
      expect(outcomes.size).toBeGreaterThan(2)
    },
  )

  it('do not make a recovery take memory for what they claim', () => {
    const { disk } = stopped(1, false)
    const path = disk.paths().findLast((name) => name.endsWith('.log'))!
    const node = disk.file(path)
    const at = node.content.readInt32BE(8) + 12
    node.resize(64 << 20)
    // The second batch claims all of the rest of the file, 64 MiB.
    node.content.writeInt32BE((64 << 20) - at - 12, at + 8)
    const before = process.memoryUsage().arrayBuffers
    const { found } = openDirectory(new SimWorld(2, disk))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
    expect([found.logs[0]?.quarantined, found.torn[0]?.lostBytes]).toEqual([null, (64 << 20) - at])
    expect(found.logs[0]?.endOffset).toBe(nextOffset(node.content, 0))
  })

  it('in the journal give what was durable, a part of it where the last write is torn, or the typed error', () => {
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 300; seed++) {
      const random = new TestRandom(seed)
      const opened = openDirectory(new SimWorld(seed), { journalFileBytes: 32 * 1024 })
      const { log, reports } = createLog(opened)
      for (let i = 0; i < 20; i++) {
        log.append([batchAt({ at: i, bytes: 300 })], 0)
        opened.world.until(() => reports.durableEnd === i + 1)
      }
      opened.world.kill()
      const { disk } = opened.world
      disk.loseUnsynced()
      const files = disk.paths().filter((path) => path.includes('/journal-'))
      const node = disk.file(files[random.below(files.length)]!)
      // Groups of one small batch take the first bytes of their 4 KiB.
      const at = 4096 * random.below(Math.ceil(node.size / 4096)) + random.below(Math.min(node.size, 420))
      if (random.chance(20)) node.resize(node.size + random.below(9000))
      else node.content.fill(random.below(256), at, Math.min(node.size, at + 1 + random.below(64)))
      try {
        const { found } = openDirectory(new SimWorld(seed + 1000, disk))
        const [after] = found.logs
        expect(after?.quarantined).toBeNull()
        outcomes.add(after?.endOffset === 20 ? 'whole' : 'torn')
        // Only the last group of the last file may look as if it was being written.
        expect(after?.endOffset).toBeGreaterThanOrEqual(19)
      } catch (error) {
        if (!(error instanceof IoError)) throw error
        outcomes.add(error.code)
      }
    }
    expect([...outcomes].toSorted()).toEqual(['EIO', 'torn', 'whole'])
  })
})
