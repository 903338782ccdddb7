import type { Disk } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { type FileOwner, OpenFiles } from '../src/open-files.ts'
import { batchAt, createLog, openDirectory, readAll, readLog } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

interface Counted {
  readonly disk: Disk
  opens: string[]
}

function counted(inner: Disk): Counted {
  const made: Counted = {
    opens: [],
    disk: Object.assign(Object.create(inner) as Disk, {
      open: (...args: Parameters<Disk['open']>) => {
        made.opens.push(args[1])
        inner.open(...args)
      },
      openNow: (...args: Parameters<Disk['openNow']>) => {
        made.opens.push(`${args[1]} now`)
        return inner.openNow(...args)
      },
    }),
  }
  return made
}

function files(): { world: SimWorld; files: OpenFiles; made: Counted; owner: FileOwner } {
  const world = new SimWorld(1)
  world.ask<void>((done) => world.disk.mkdir('/data', done))
  const made = counted(world.disk)
  world.disk.openNow('/data/log', 'create').close(() => undefined)
  world.run(1000)
  const owner: FileOwner = { logPath: '/data/log', writable: true, unsynced: false }
  return { world, made, owner, files: new OpenFiles(made.disk, 10, () => undefined) }
}

describe('open files', () => {
  it('are opened once for many reads, although the file is one that gets appends', () => {
    const { world, files: open, made, owner } = files()
    let answers = 0
    const read = (): void => open.later(owner, (error) => void (answers += error === null ? 1 : 0))
    for (let i = 0; i < 3; i++) read()
    world.until(() => answers === 3)
    for (let i = 0; i < 3; i++) read()
    expect(answers).toBe(6)
    expect(made.opens).toEqual(['read'])
    open.now(owner).appendNow([Uint8Array.of(1)])
    open.now(owner).appendNow([Uint8Array.of(2)])
    read()
    expect(answers).toBe(7)
    expect(made.opens).toEqual(['read', 'append now'])
    world.run(1000)
    expect(world.disk.opened).toBe(1)
  })

  it('are not kept when they were closed while they were being opened', () => {
    const { world, files: open, owner } = files()
    let answers = 0
    open.later(owner, () => void answers++)
    open.close(owner)
    world.until(() => answers === 1)
    world.run(1000)
    expect([open.count, world.disk.opened]).toEqual([0, 0])
    open.later(owner, () => void answers++)
    open.close(owner)
    open.later(owner, () => void answers++)
    world.until(() => answers === 3)
    world.run(1000)
    expect([open.count, world.disk.opened]).toEqual([1, 1])
  })

  it('serve reads of a log that was found at the start, and then its appends', () => {
    const world = new SimWorld(1)
    const first = openDirectory(world)
    const { log } = createLog(first)
    for (let i = 0; i < 5; i++) log.append([batchAt({ at: i })], 0)
    world.ask<void>((done) => first.directory.close(done))
    const again = openDirectory(world, { tailCacheBytes: 0 })
    const found = again.found.logs[0]
    if (found === undefined) throw new Error('the log is gone')
    for (let i = 0; i < 5; i++) expect(readLog(world, found, i).nextOffset).toBe(5)
    found.append([batchAt({ at: 5 })], 0)
    expect(readAll(world, found)).toHaveLength(6)
    world.ask<void>((done) => again.directory.close(done))
    world.run(1_000_000)
    expect(world.disk.opened).toBe(0)
  })
})
