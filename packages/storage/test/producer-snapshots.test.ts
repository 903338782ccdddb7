import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../src/index.ts'
import { BatchList } from './batch-list.ts'
import { batchAt, createLog, openDirectory, type Opened, SMALL } from './log-fixture.ts'
import { SimWorld, TestRandom } from './sim-world.ts'

const FOLDER = '/data/topic-0'
const lists = { observe: (): BatchList => new BatchList() }

function withLog(seed = 1): Opened & { log: PartitionLog } {
  const opened = openDirectory(new SimWorld(seed), lists)
  return { ...opened, log: createLog(opened).log }
}

function listOfLog(log: PartitionLog): BatchList {
  return log.observer as BatchList
}

/** Batches of one record and 1,000 bytes: four fill a segment. */
function append(log: PartitionLog, count: number): void {
  for (let i = 0; i < count; i++) log.append([batchAt({ at: log.endOffset, bytes: 900 })], 0)
}

function numbers(end: number): number[] {
  return Array.from({ length: end }, (_, at) => at)
}

function names({ world }: Opened): string[] {
  return world
    .ask<readonly { name: string }[]>((done) => world.disk.list(FOLDER, done))
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.snapshot'))
    .toSorted()
}

function nameOf(offset: number): string {
  return `${String(offset).padStart(20, '0')}.snapshot`
}

function stop({ world, directory }: Opened): void {
  world.ask<void>((done) => directory.close(done))
}

function reopen(
  { world }: Opened,
  options: Parameters<typeof openDirectory>[1] = lists,
): Opened & { log: PartitionLog } {
  const opened = openDirectory(new SimWorld(9, world.disk), options)
  const log = opened.found.logs[0] as PartitionLog
  log.configure(SMALL)
  return { ...opened, log }
}

function write({ world }: Opened, name: string, content: Uint8Array): void {
  const file = world.disk.openNow(`${FOLDER}/${name}`, 'create')
  file.appendNow([content])
  file.close(() => undefined)
}

describe('producer snapshots', () => {
  it('are written where a segment begins, and at a clean stop where the log ends', () => {
    const opened = withLog()
    append(opened.log, 10)
    expect(names(opened)).toEqual([4, 8].map(nameOf))
    stop(opened)
    expect(names(opened)).toEqual([4, 8, 10].map(nameOf))
  })

  it('leave nothing to read after a clean stop', () => {
    const opened = withLog()
    append(opened.log, 10)
    stop(opened)
    const { log } = reopen(opened)
    expect(listOfLog(log)).toMatchObject({ offsets: numbers(10), loaded: 1, replayed: 0 })
  })

  it('are not written for logs in which nothing is', () => {
    const opened = withLog()
    stop(opened)
    expect(names(opened)).toEqual([])
    expect(listOfLog(reopen(opened).log)).toMatchObject({ offsets: [], loaded: 0, replayed: 0 })
  })

  it('that lie within a segment give way to the next one', () => {
    let opened = withLog()
    append(opened.log, 2)
    stop(opened)
    opened = reopen(opened)
    append(opened.log, 1)
    stop(opened)
    expect(names(opened)).toEqual([nameOf(3)])
    opened = reopen(opened)
    append(opened.log, 2)
    expect(names(opened)).toEqual([nameOf(4)])
  })

  it('of which the newest is damaged or missing cost the reading of what follows the one before', () => {
    for (const content of [new Uint8Array(0), new Uint8Array(100), null]) {
      const opened = withLog()
      append(opened.log, 10)
      stop(opened)
      if (content !== null) write(opened, nameOf(10), content)
      else opened.world.ask<void>((done) => opened.world.disk.remove(`${FOLDER}/${nameOf(10)}`, done))
      const { log } = reopen(opened)
      expect(listOfLog(log)).toMatchObject({ offsets: numbers(10), loaded: 1, replayed: 2 })
    }
  })

  it('that are all gone cost the reading of the log', () => {
    const opened = withLog()
    append(opened.log, 10)
    stop(opened)
    for (const name of names(opened))
      opened.world.ask<void>((done) => opened.world.disk.remove(`${FOLDER}/${name}`, done))
    const again = reopen(opened)
    expect(listOfLog(again.log)).toMatchObject({ offsets: numbers(10), loaded: 0, replayed: 10 })
    stop(again)
    expect(names(again)).toEqual([nameOf(10)])
  })

  it('beyond the end of the log, or not known to fit it, do not count and are removed', () => {
    const opened = withLog()
    append(opened.log, 10)
    opened.world.run(100_000)
    opened.world.ask<void>((done) => opened.directory.checkpoint(done))
    const wrong = new BatchList()
    wrong.appended(batchAt({ at: 3 }), 0)
    write(opened, nameOf(9), wrong.snapshot())
    write(opened, nameOf(500), wrong.snapshot())
    opened.world.kill()
    opened.world.disk.killProcess(new TestRandom(3))
    const again = reopen(opened)
    expect(listOfLog(again.log).offsets).toEqual(numbers(10))
    again.world.run(100_000)
    expect(names(again)).not.toContain(nameOf(500))
    expect(names(again)).not.toContain(nameOf(9))
  })

  it('above a cut are removed with what was cut', () => {
    const opened = withLog()
    append(opened.log, 10)
    opened.log.truncate(6)
    expect(names(opened)).toEqual([nameOf(4)])
    expect(listOfLog(opened.log).offsets).toEqual(numbers(6))
    append(opened.log, 4)
    expect(listOfLog(opened.log).offsets).toEqual(numbers(10))
  })

  it('and the segments after them are read where the observer can not take a cut back', () => {
    const opened = withLog()
    append(opened.log, 10)
    const list = listOfLog(opened.log)
    list.canUndo = () => false
    opened.log.truncate(6)
    expect(list).toMatchObject({ offsets: numbers(6), loaded: 1, replayed: 2 })
    opened.log.truncate(2)
    expect(list).toMatchObject({ offsets: numbers(2), loaded: 1, replayed: 4 })
  })

  it('go when the log begins anew, and with the segments that retention removes', () => {
    const opened = withLog()
    append(opened.log, 10)
    opened.log.checkpointHighWatermark(10)
    opened.log.advanceLogStart(5)
    expect(names(opened)).toEqual([4, 8].map(nameOf))
    opened.log.advanceLogStart(9)
    expect(names(opened)).toEqual([nameOf(8)])
    opened.log.restart(50)
    expect(names(opened)).toEqual([])
    expect(listOfLog(opened.log).offsets).toEqual([])
    append(opened.log, 1)
    expect(listOfLog(opened.log).offsets).toEqual([50])
  })

  it('that the disk has no room for are done without', () => {
    const opened = withLog()
    opened.world.disk.fault = (_, path) => (path.endsWith('.snapshot') ? 'ENOSPC' : undefined)
    append(opened.log, 10)
    opened.world.disk.fault = () => undefined
    expect(opened.log.endOffset).toBe(10)
    stop(opened)
    expect(listOfLog(reopen(opened).log).offsets).toEqual(numbers(10))
  })

  it('stay as they are for a directory that nobody observes', () => {
    const opened = withLog()
    append(opened.log, 10)
    stop(opened)
    const plain = reopen(opened, {})
    expect(plain.log.observer).toBe(null)
    stop(plain)
    expect(listOfLog(reopen(plain).log)).toMatchObject({ offsets: numbers(10), loaded: 1, replayed: 0 })
  })
})

describe('a log whose batches can not be read again', () => {
  it('is quarantined at its start, like any that rot was met in', () => {
    const opened = withLog()
    append(opened.log, 3)
    stop(opened)
    opened.world.ask<void>((done) => opened.world.disk.remove(`${FOLDER}/${nameOf(3)}`, done))
    const file = opened.world.disk.file(`${FOLDER}/${'0'.repeat(20)}.log`)
    file.volatile.fill(0, 0, 200)
    const { log, found } = reopen(opened)
    expect(log.quarantined).toContain('no batch begins here')
    expect(found.damaged).toHaveLength(1)
  })
})
