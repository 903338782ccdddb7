import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { IoError } from '@millrace/base'
import type { Disk, File } from '@millrace/base'
import { ask, diskContract, MemoryDisk, NodeDisk, SystemClock, untilReal } from '../src/index.ts'
import type { DiskHost, FileCalls } from '../src/index.ts'
import { holdTo, temporaryFolder } from './contracts.ts'

async function nodeHost(): Promise<DiskHost> {
  const folder = temporaryFolder()
  return { disk: new NodeDisk(), root: folder.path, until: untilReal, end: async () => folder.remove() }
}

async function memoryHost(): Promise<DiskHost> {
  const disk = new MemoryDisk({ clock: new SystemClock() })
  return { disk, root: '', until: untilReal, end: async () => {} }
}

holdTo('the disk of the machine', diskContract(nodeHost))
holdTo('the disk in memory', diskContract(memoryHost))

const host = { until: untilReal, end: async () => {} }

function open(disk: Disk, path: string, how: 'create' | 'append' | 'read'): Promise<File> {
  return ask<File>(host, (done) => disk.open(path, how, done))
}

describe('The disk of the machine when it fails', () => {
  test('a write that the kernel cuts short leaves nothing behind', () => {
    const folder = temporaryFolder()
    const path = join(folder.path, 'limited')
    const program = join(import.meta.dirname, 'programs', 'fill-limited-file.ts')
    // The shell counts the limit in blocks of 512 bytes: after 4 appends of 1000 bytes there is room for 96 more.
    const shell = spawnSync('sh', ['-c', 'ulimit -f 8; exec "$0" "$1" "$2"', process.execPath, program, path])
    const size = { code: 'EOTHER', size: 4000, onDisk: 4000 }
    expect(JSON.parse(shell.stdout.toString())).toEqual({
      failures: [size, size],
      tail: '0101'.concat('ee'.repeat(10)),
    })
    folder.remove()
  })

  test('a short write is gone on with', async () => {
    const folder = temporaryFolder()
    let calls = 0
    const writevSync: typeof fs.writevSync = (fd, parts, position) => {
      calls++
      const one = Buffer.concat(parts as Uint8Array[]).subarray(0, 3)
      return fs.writeSync(fd, one, 0, one.length, position)
    }
    const file = await open(new NodeDisk({ ...fs, writevSync }), join(folder.path, 'a'), 'create')
    file.appendNow([Buffer.from('01'), Buffer.from('2345'), Buffer.from('6789')])
    expect(calls).toBe(4)
    expect(fs.readFileSync(join(folder.path, 'a'), 'utf8')).toBe('0123456789')
    folder.remove()
  })

  test('when a failed append cannot be undone the file takes nothing more', async () => {
    const folder = temporaryFolder()
    const failing = (): never => {
      throw Object.assign(new Error('input/output error'), { code: 'EIO' })
    }
    const calls = { ...fs, writevSync: failing, ftruncateSync: failing }
    const file = await open(new NodeDisk(calls), join(folder.path, 'a'), 'create')
    expect(() => file.appendNow([Buffer.from('x')])).toThrow(IoError)
    calls.writevSync = fs.writevSync as unknown as typeof failing
    expect(() => file.appendNow([Buffer.from('x')])).toThrow(IoError)
    expect(file.size).toBe(0)
    folder.remove()
  })

  test('a short durable write is gone on with', async () => {
    const folder = temporaryFolder()
    let calls = 0
    const writev = ((fd: number, parts: Uint8Array[], at: number, done: (...answer: unknown[]) => void) => {
      calls++
      const one = Buffer.concat(parts).subarray(0, 3)
      fs.write(fd, one, 0, one.length, at, done)
    }) as unknown as typeof fs.writev
    const disk = new NodeDisk({ ...fs, writev })
    const file = await ask<File>(host, (done) => disk.open(join(folder.path, 'a'), 'overwrite', done))
    await ask<void>(host, (done) =>
      file.writeAt(0, [Buffer.from('01'), Buffer.from('2345'), Buffer.from('6789')], done),
    )
    expect([calls, file.size]).toEqual([4, 10])
    expect(fs.readFileSync(join(folder.path, 'a'), 'utf8')).toBe('0123456789')
    folder.remove()
  })

  test('a durable write that fails poisons the file, unless the disk was merely full', async () => {
    const folder = temporaryFolder()
    let code: string | null = 'ENOSPC'
    const writev = ((fd: number, parts: Uint8Array[], at: number, done: (...answer: unknown[]) => void) => {
      if (code === null) fs.writev(fd, parts, at, done)
      else setImmediate(done, Object.assign(new Error('failed'), { code }), 0)
    }) as unknown as typeof fs.writev
    const disk = new NodeDisk({ ...fs, writev })
    const file = await ask<File>(host, (done) => disk.open(join(folder.path, 'a'), 'overwrite', done))
    const write = (): Promise<void> => ask<void>(host, (done) => file.writeAt(0, [Buffer.from('x')], done))
    await expect(write()).rejects.toMatchObject({ code: 'ENOSPC' })
    code = null
    await write()
    code = 'EIO'
    await expect(write()).rejects.toMatchObject({ code: 'EIO' })
    code = null
    await expect(write()).rejects.toMatchObject({ code: 'EIO' })
    await ask<void>(host, (done) => file.close(done))
    folder.remove()
  })

  test('a failed sync poisons the file: later syncs fail although the kernel would say yes', async () => {
    const folder = temporaryFolder()
    let fails = true
    const fdatasync: FileCalls['fdatasync'] = (fd, done) => {
      if (fails) setImmediate(done, Object.assign(new Error('no space left'), { code: 'ENOSPC' }))
      else fs.fdatasync(fd, done)
    }
    const file = await open(new NodeDisk({ ...fs, fdatasync }), join(folder.path, 'a'), 'create')
    file.appendNow([Buffer.from('x')])
    await expect(ask<void>(host, (done) => file.sync(done))).rejects.toMatchObject({ code: 'ENOSPC' })
    fails = false
    await expect(ask<void>(host, (done) => file.sync(done))).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(() => file.appendNow([Buffer.from('y')])).toThrow(IoError)
    await ask<void>(host, (done) => file.close(done))
    folder.remove()
  })
})

describe('The disk in memory when it is full', () => {
  test('an append past the quota is ENOSPC and changes nothing; removing a file makes room', async () => {
    const disk = new MemoryDisk({ clock: new SystemClock(), quotaBytes: 1000 })
    const first = await open(disk, 'first', 'create')
    const second = await open(disk, 'second', 'create')
    first.appendNow([new Uint8Array(600)])
    expect(() => second.appendNow([new Uint8Array(300), new Uint8Array(101)])).toThrow(
      expect.objectContaining({ code: 'ENOSPC' }),
    )
    expect(second.size).toBe(0)
    expect(await ask<number>(host, (done) => disk.freeBytes('', done))).toBe(400)
    await ask<void>(host, (done) => disk.remove('first', done))
    second.appendNow([new Uint8Array(1000)])
    second.truncateNow(10)
    expect(await ask<number>(host, (done) => disk.freeBytes('', done))).toBe(990)
    const third = await ask<File>(host, (done) => disk.open('third', 'overwrite', done))
    const writeAt = (at: number, size: number): Promise<void> =>
      ask<void>(host, (done) => third.writeAt(at, [new Uint8Array(size)], done))
    await writeAt(0, 900)
    await writeAt(100, 800)
    await expect(writeAt(100, 900)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect([third.size, await ask<number>(host, (done) => disk.freeBytes('', done))]).toEqual([900, 90])
  })

  test('a rename over a file, and creating one again, give back what it held', async () => {
    const disk = new MemoryDisk({ clock: new SystemClock(), quotaBytes: 1000 })
    for (const name of ['a', 'b']) (await open(disk, name, 'create')).appendNow([new Uint8Array(400)])
    await ask<void>(host, (done) => disk.rename('a', 'b', done))
    expect(await ask<number>(host, (done) => disk.freeBytes('', done))).toBe(600)
    await open(disk, 'b', 'create')
    expect(await ask<number>(host, (done) => disk.freeBytes('', done))).toBe(1000)
  })
})
