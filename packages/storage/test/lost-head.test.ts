import { describe, expect, it } from 'vitest'
import type { FlushMode, PartitionLog } from '../src/index.ts'
import { batchAt, createLog, type Opened, openDirectory, readAll, SMALL } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

const FOLDER = '/data/topic-0'
const STARTS = '/data/log-start-offset-checkpoint'
const MODES: readonly FlushMode[] = ['fsync', 'pagecache']

function opened(world: SimWorld, flushMode: FlushMode): Opened {
  return openDirectory(world, { flushMode, backgroundFlushMs: 1, tailCacheBytes: 0 })
}

function fill(world: SimWorld, log: PartitionLog): void {
  for (let i = 0; i < 60; i++) log.append([batchAt({ at: log.endOffset, records: 2, bytes: 300 })], 0)
  log.checkpointHighWatermark(log.endOffset)
  world.run(100_000)
}

/** A log of several segments, whose directory was checkpointed. */
function filled(flushMode: FlushMode): Opened & { log: PartitionLog } {
  const directory = opened(new SimWorld(1), flushMode)
  const { log } = createLog(directory)
  fill(directory.world, log)
  directory.world.ask<void>((done) => directory.directory.checkpoint(done))
  return { ...directory, log }
}

function segmentsOf({ world }: Opened): string[] {
  return world.disk
    .paths()
    .filter((path) => path.startsWith(FOLDER) && path.endsWith('.log'))
    .toSorted()
}

function next({ world }: Opened, flushMode: FlushMode): PartitionLog {
  const log = opened(new SimWorld(2, world.disk), flushMode).found.logs[0] as PartitionLog
  log.configure(SMALL)
  return log
}

describe.each(MODES)('a log whose first file is lost, in %s mode,', (mode) => {
  it.each(['stopped in order', 'killed'])(
    'is quarantined when its last process was %s, and begins nowhere else',
    (how) => {
      const was = filled(mode)
      was.world.ask<void>((done) => was.directory.close(done))
      if (how === 'killed') {
        const world = new SimWorld(3, was.world.disk)
        fill(world, opened(world, mode).found.logs[0] as PartitionLog)
        world.kill()
      }
      was.world.disk.drop(segmentsOf(was)[0] as string)
      const log = next(was, mode)
      expect(log.quarantined).toMatch(/^the first segment begins at offset \d+, the log at 0$/)
    },
  )

  it('is quarantined above a start that was moved', () => {
    const was = filled(mode)
    was.log.advanceLogStart(50)
    was.world.run(10_000_000)
    was.world.ask<void>((done) => was.directory.close(done))
    was.world.disk.drop(segmentsOf(was)[0] as string)
    expect(next(was, mode).quarantined).toMatch(/the log at 50$/)
  })

  it('counts as it is when it is not known where it began', () => {
    const was = filled(mode)
    was.world.ask<void>((done) => was.directory.close(done))
    was.world.disk.drop(segmentsOf(was)[0] as string)
    was.world.disk.drop(STARTS)
    const log = next(was, mode)
    expect(log.quarantined).toBeNull()
    expect(log.logStart).toBeGreaterThan(0)
  })
})

describe('a young log whose journal has all of it', () => {
  const young = (): Opened & { log: PartitionLog } => {
    const directory = opened(new SimWorld(1), 'fsync')
    const { log } = createLog(directory)
    fill(directory.world, log)
    return { ...directory, log }
  }

  /** What is found after the process was killed and these of its files were lost. */
  function after(was: Opened, lost: (files: string[]) => string[]): { log: PartitionLog; batches: number } {
    was.world.kill()
    for (const path of lost(segmentsOf(was))) was.world.disk.drop(path)
    const world = new SimWorld(2, was.world.disk)
    const log = opened(world, 'fsync').found.logs[0] as PartitionLog
    log.configure(SMALL)
    return { log, batches: log.quarantined === null ? readAll(world, log).length : 0 }
  }

  const LOSSES = { 'its first file': (files: string[]) => files.slice(0, 1), 'every file': (files: string[]) => files }

  describe.each(Object.entries(LOSSES))('and that lost %s', (_, lost) => {
    it('is whole', () => {
      const { log, batches } = after(young(), lost)
      expect([log.quarantined, log.logStart, log.endOffset, batches]).toEqual([null, 0, 120, 60])
    })

    it.each([50, 51])('is whole from its start %d, below which all files are deleted', (start) => {
      const was = young()
      was.log.advanceLogStart(start)
      was.world.run(10_000_000)
      const { log, batches } = after(was, lost)
      expect([log.quarantined, log.logStart, log.endOffset, batches]).toEqual([null, start, 120, 35])
    })
  })
})

describe.each(MODES)('a log that begins later by right, in %s mode,', (mode) => {
  it('is whole after a crash while its deleted files go away', () => {
    for (let runUs = 0; runUs <= 40_000; runUs += 2_000) {
      const was = filled(mode)
      was.log.advanceLogStart(50)
      was.world.run(runUs)
      was.world.kill()
      const log = next(was, mode)
      expect([log.quarantined, log.endOffset]).toEqual([null, 120])
    }
  })

  it('is whole after a crash when it had begun anew above its end', () => {
    for (let runUs = 0; runUs <= 40_000; runUs += 2_000) {
      const was = filled(mode)
      was.log.restart(500)
      was.log.append([batchAt({ at: 500 })], 0)
      was.world.run(runUs)
      was.world.kill()
      const log = next(was, mode)
      expect([log.quarantined, log.endOffset >= 120]).toEqual([null, true])
    }
  })
})

it.each([0, 1, 2])(
  'a young log is whole where a power cut left the batch of another place at the beginning of segment %d, which was never synced',
  (at) => {
    const was = opened(new SimWorld(1), 'fsync')
    fill(was.world, createLog(was).log)
    was.world.kill()
    const path = segmentsOf(was)[at] as string
    const content = Uint8Array.from(was.world.disk.file(path).content)
    content.set(batchAt({ at: 7_000, records: 2, bytes: 300 }).subarray(0, 100))
    was.world.disk.put(path, content)
    const world = new SimWorld(2, was.world.disk)
    const log = opened(world, 'fsync').found.logs[0] as PartitionLog
    log.configure(SMALL)
    expect([log.quarantined, log.logStart, log.endOffset]).toEqual([null, 0, 120])
    expect(readAll(world, log)).toHaveLength(60)
  },
)
