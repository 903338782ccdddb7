import assert from 'node:assert/strict'
import type { DirEntry, Disk, File, OpenHow } from '@millrace/base'
import { ask, contractCases, withCode } from './contract-case.ts'
import type { ContractCase, ContractHost } from './contract-case.ts'

/** A disk under test, and a folder on it that exists and is empty. */
export interface DiskHost extends ContractHost {
  readonly disk: Disk
  readonly root: string
}

/** The rules of {@link Disk} and its files. */
export function diskContract(make: () => Promise<DiskHost>): ContractCase[] {
  return contractCases(make, { ...APPENDING, ...OVERWRITING, ...READING, ...AT_ONCE, ...CLOSING, ...NAMES, ...FOLDERS })
}

const APPENDING: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'an append writes all its parts in order and counts them': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('one'), bytes(''), bytes('two')])
    file.appendNow([])
    file.appendNow([bytes('three')])
    assert.equal(file.size, 11)
    assert.equal(await content(host, file), 'onetwothree')
  },
  'an append of more parts than one system call takes writes them all': async (host) => {
    const file = await open(host, 'a', 'create')
    const parts = Array.from({ length: 3000 }, (_, at) => bytes(String(at % 10)))
    file.appendNow(parts)
    assert.equal(file.size, 3000)
    assert.equal(await content(host, file), parts.map((part) => Buffer.from(part).toString()).join(''))
  },
  'appended bytes do not change when the caller writes into its buffer afterwards': async (host) => {
    const file = await open(host, 'a', 'create')
    const part = bytes('before')
    file.appendNow([part])
    part.fill(0)
    assert.equal(await content(host, file), 'before')
  },
  'large content comes back as it was written, from any position': async (host) => {
    const file = await open(host, 'a', 'create')
    const whole = new Uint8Array(300_001).map((_, at) => (at * 31 + (at >> 8)) & 0xff)
    for (let from = 0; from < whole.length; from += 7919) file.appendNow([whole.subarray(from, from + 7919)])
    for (const at of [0, 1, 65_535, 65_536, 131_000, 299_990]) {
      const into = new Uint8Array(70_000)
      const count = await ask<number>(host, (done) => file.read(at, into, done))
      assert.equal(count, Math.min(70_000, whole.length - at))
      assert.deepEqual(into.subarray(0, count), whole.subarray(at, at + count))
    }
  },
  'opening to append goes on at the end and keeps what was there': async (host) => {
    const first = await open(host, 'a', 'append')
    first.appendNow([bytes('old')])
    await ask<void>(host, (done) => first.close(done))
    const second = await open(host, 'a', 'append')
    assert.equal(second.size, 3)
    second.appendNow([bytes('new')])
    assert.equal(await content(host, second), 'oldnew')
  },
  'opening to create makes an existing file empty': async (host) => {
    await write(host, 'a', 'old')
    const file = await open(host, 'a', 'create')
    assert.equal(file.size, 0)
    assert.equal(await content(host, file), '')
  },
  'a truncation cuts, and the next append follows there': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('0123456789')])
    file.truncateNow(4)
    assert.equal(file.size, 4)
    file.appendNow([bytes('x')])
    assert.equal(await content(host, file), '0123x')
  },
  'a truncation to more than the size fills with zeros': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('abcdef')])
    file.truncateNow(2)
    file.truncateNow(5)
    assert.equal(await content(host, file), 'ab\0\0\0')
  },
  'a file that is open for reading refuses to append and to truncate': async (host) => {
    await write(host, 'a', 'old')
    const file = await open(host, 'a', 'read')
    assert.throws(() => file.appendNow([bytes('x')]), withCode('EACCES'))
    assert.throws(() => file.truncateNow(0), withCode('EACCES'))
    assert.equal(await content(host, file), 'old')
  },
}

const OVERWRITING: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'a durable write replaces what is there, and makes the file longer past its end': async (host) => {
    const file = await open(host, 'a', 'overwrite')
    await writeAt(host, file, 0, [bytes('0123'), bytes(''), bytes('456789')])
    assert.equal(file.size, 10)
    await writeAt(host, file, 3, [bytes('ab'), bytes('c')])
    assert.equal(file.size, 10)
    await writeAt(host, file, 8, [bytes('xyz')])
    assert.equal(file.size, 11)
    assert.equal(await content(host, file), '012abc67xyz')
  },
  'a durable write past the end leaves zeros between': async (host) => {
    const file = await open(host, 'a', 'overwrite')
    await writeAt(host, file, 2, [bytes('x')])
    assert.equal(await content(host, file), '\0\0x')
  },
  'opening to overwrite keeps what is there, which other handles see change': async (host) => {
    await write(host, 'a', 'before')
    const reader = await open(host, 'a', 'read')
    const file = await open(host, 'a', 'overwrite')
    assert.equal(file.size, 6)
    await writeAt(host, file, 0, [bytes('af')])
    const into = new Uint8Array(6)
    await ask<number>(host, (done) => reader.read(0, into, done))
    assert.equal(Buffer.from(into).toString(), 'affore')
  },
  'a durable write over many pages, of more parts than one system call takes, writes all': async (host) => {
    const file = await open(host, 'a', 'overwrite')
    const parts = Array.from({ length: 3000 }, (_, at) => new Uint8Array(101).fill(at % 251))
    await writeAt(host, file, 0, [new Uint8Array(400_000).fill(0xee)])
    await writeAt(host, file, 1000, parts)
    const whole = Buffer.concat([new Uint8Array(1000).fill(0xee), ...parts, new Uint8Array(96_000).fill(0xee)])
    assert.equal(Buffer.compare(Buffer.from(await content(host, file), 'latin1'), whole), 0)
  },
  'only a file that was opened to overwrite takes durable writes, and it takes nothing else': async (host) => {
    const file = await open(host, 'a', 'overwrite')
    assert.throws(() => file.appendNow([bytes('x')]), withCode('EACCES'))
    assert.throws(() => file.truncateNow(0), withCode('EACCES'))
    for (const how of ['read', 'append', 'create'] as const) {
      const other = await open(host, 'a', how)
      await assert.rejects(() => writeAt(host, other, 0, [bytes('x')]), withCode('EACCES'))
    }
    await ask<void>(host, (done) => file.close(done))
    await assert.rejects(() => writeAt(host, file, 0, [bytes('x')]), withCode('ECLOSED'))
  },
  'a close waits for the durable write that was called before it': async (host) => {
    const file = await open(host, 'a', 'overwrite')
    const order: string[] = []
    file.writeAt(0, [new Uint8Array(100_000)], (error) => void order.push(error === null ? 'written' : error.code))
    file.close(() => void order.push('closed'))
    await host.until(() => order.length === 2, 'both answers')
    assert.deepEqual(order, ['written', 'closed'])
  },
}

const READING: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'a read past the end gives what is there, and nothing at the end': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('0123456789')])
    const into = new Uint8Array(8).fill(0xee)
    assert.equal(await ask<number>(host, (done) => file.read(7, into, done)), 3)
    assert.deepEqual([...into], [0x37, 0x38, 0x39, 0xee, 0xee, 0xee, 0xee, 0xee])
    assert.equal(await ask<number>(host, (done) => file.read(10, into, done)), 0)
    assert.equal(await ask<number>(host, (done) => file.read(99, into, done)), 0)
  },
  'a read into nothing reads nothing': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('abc')])
    assert.equal(await ask<number>(host, (done) => file.read(0, new Uint8Array(0), done)), 0)
  },
  'reads that run at once each get their own bytes': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('0123456789')])
    const answers = await Promise.all(
      [0, 3, 6].map(async (at) => {
        const into = new Uint8Array(3)
        await ask<number>(host, (done) => file.read(at, into, done))
        return Buffer.from(into).toString()
      }),
    )
    assert.deepEqual(answers, ['012', '345', '678'])
  },
  'a reader sees what an appender of the same file wrote before': async (host) => {
    const appender = await open(host, 'a', 'create')
    const reader = await open(host, 'a', 'read')
    appender.appendNow([bytes('fresh')])
    const into = new Uint8Array(5)
    assert.equal(await ask<number>(host, (done) => reader.read(0, into, done)), 5)
    assert.equal(Buffer.from(into).toString(), 'fresh')
  },
  'a sync succeeds, also on an empty file and on one that was only read': async (host) => {
    const file = await open(host, 'a', 'create')
    await ask<void>(host, (done) => file.sync(done))
    file.appendNow([bytes('abc')])
    await ask<void>(host, (done) => file.sync(done))
    const reader = await open(host, 'a', 'read')
    await ask<void>(host, (done) => reader.sync(done))
  },
}

const AT_ONCE: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'a file is opened, written, renamed and read at once, in one turn': async (host) => {
    const file = host.disk.openNow(`${host.root}/a`, 'create')
    file.appendNow([bytes('0123'), bytes('456789')])
    const into = new Uint8Array(8)
    assert.equal(file.readNow(7, into), 3)
    assert.equal(Buffer.from(into.subarray(0, 3)).toString(), '789')
    assert.equal(file.readNow(10, into), 0)
    host.disk.renameNow(`${host.root}/a`, `${host.root}/b`)
    const again = host.disk.openNow(`${host.root}/a`, 'create')
    again.appendNow([bytes('new')])
    assert.equal(await content(host, host.disk.openNow(`${host.root}/b`, 'append')), '0123456789')
    assert.equal(await content(host, host.disk.openNow(`${host.root}/a`, 'read')), 'new')
  },
  'what fails at once throws with its code': async (host) => {
    assert.throws(() => host.disk.openNow(`${host.root}/missing`, 'read'), withCode('ENOENT'))
    assert.throws(() => host.disk.openNow(`${host.root}/no/such`, 'create'), withCode('ENOENT'))
    assert.throws(() => host.disk.renameNow(`${host.root}/missing`, `${host.root}/to`), withCode('ENOENT'))
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/folder`, done))
    assert.throws(() => host.disk.openNow(`${host.root}/folder`, 'read'), withCode('EIO'))
    const file = host.disk.openNow(`${host.root}/a`, 'create')
    await ask<void>(host, (done) => file.close(done))
    assert.throws(() => file.readNow(0, new Uint8Array(1)), withCode('ECLOSED'))
  },
}

const CLOSING: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'a closed file refuses everything': async (host) => {
    const file = await open(host, 'a', 'create')
    await ask<void>(host, (done) => file.close(done))
    assert.throws(() => file.appendNow([bytes('x')]), withCode('ECLOSED'))
    assert.throws(() => file.truncateNow(0), withCode('ECLOSED'))
    await assert.rejects(() => ask<number>(host, (done) => file.read(0, new Uint8Array(1), done)), withCode('ECLOSED'))
    await assert.rejects(() => ask<void>(host, (done) => file.sync(done)), withCode('ECLOSED'))
    await assert.rejects(() => ask<void>(host, (done) => file.close(done)), withCode('ECLOSED'))
  },
  'a close waits for the reads that were called before it': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('abc')])
    const order: string[] = []
    const into = new Uint8Array(3)
    file.read(0, into, (error, count) => void order.push(error === null ? `read ${count}` : error.code))
    file.close(() => void order.push('closed'))
    await host.until(() => order.length === 2, 'both answers')
    assert.deepEqual(order, ['read 3', 'closed'])
    assert.equal(Buffer.from(into).toString(), 'abc')
  },
}

const NAMES: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'opening a missing file to read, or in a missing folder, is ENOENT': async (host) => {
    await assert.rejects(() => open(host, 'missing', 'read'), withCode('ENOENT'))
    await assert.rejects(() => open(host, 'no/such/file', 'create'), withCode('ENOENT'))
    await write(host, 'file', 'x')
    await assert.rejects(() => open(host, 'file/inner', 'append'), withCode('ENOENT'))
  },
  'a folder cannot be opened as a file': async (host) => {
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/folder`, done))
    await assert.rejects(() => open(host, 'folder', 'read'), withCode('EIO'))
  },
  'a rename replaces what is there, and open files follow their content': async (host) => {
    await write(host, 'target', 'old')
    const file = await open(host, 'source', 'create')
    file.appendNow([bytes('new')])
    await ask<void>(host, (done) => host.disk.rename(`${host.root}/source`, `${host.root}/target`, done))
    file.appendNow([bytes('er')])
    assert.equal(await content(host, await open(host, 'target', 'read')), 'newer')
    await assert.rejects(() => open(host, 'source', 'read'), withCode('ENOENT'))
  },
  'a rename of something missing is ENOENT': async (host) => {
    const call = ask<void>(host, (done) => host.disk.rename(`${host.root}/missing`, `${host.root}/to`, done))
    await assert.rejects(() => call, withCode('ENOENT'))
  },
  'a folder is renamed with what is in it, but not over a folder that is not empty': async (host) => {
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/from/deep`, done))
    await write(host, 'from/deep/file', 'x')
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/full/inner`, done))
    const onto = ask<void>(host, (done) => host.disk.rename(`${host.root}/from`, `${host.root}/full`, done))
    await assert.rejects(() => onto, withCode('EEXIST'))
    await ask<void>(host, (done) => host.disk.rename(`${host.root}/from`, `${host.root}/to`, done))
    assert.equal(await content(host, await open(host, 'to/deep/file', 'read')), 'x')
  },
  'a removed file is gone, but who has it open still reads it': async (host) => {
    const file = await open(host, 'a', 'create')
    file.appendNow([bytes('still')])
    await ask<void>(host, (done) => host.disk.remove(`${host.root}/a`, done))
    await assert.rejects(() => open(host, 'a', 'read'), withCode('ENOENT'))
    assert.equal(await content(host, file), 'still')
    await assert.rejects(() => ask<void>(host, (done) => host.disk.remove(`${host.root}/a`, done)), withCode('ENOENT'))
  },
}

const FOLDERS: Readonly<Record<string, (host: DiskHost) => Promise<void>>> = {
  'a folder is made with its parents, twice without harm, but not where a file is': async (host) => {
    for (let time = 0; time < 2; time++) await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/a/b/c`, done))
    await write(host, 'a/b/c/file', 'x')
    const onto = ask<void>(host, (done) => host.disk.mkdir(`${host.root}/a/b/c/file`, done))
    await assert.rejects(() => onto, withCode('EEXIST'))
  },
  'a listing has every entry with its kind and size, sorted by name': async (host) => {
    await write(host, 'b', 'four')
    await write(host, 'a', '')
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/c/inner`, done))
    const entries = await ask<readonly DirEntry[]>(host, (done) => host.disk.list(host.root, done))
    const seen = entries.map(({ name, kind, size }) => `${name} ${kind} ${size}`)
    assert.deepEqual(seen, ['a file 0', 'b file 4', 'c directory 0'])
    assert.ok(entries.every(({ modifiedMs }) => Number.isSafeInteger(modifiedMs) && modifiedMs >= 0))
  },
  'a listing of many entries is complete, of an empty folder empty, of a missing one ENOENT': async (host) => {
    assert.deepEqual(await ask<readonly DirEntry[]>(host, (done) => host.disk.list(host.root, done)), [])
    for (let at = 0; at < 40; at++) await write(host, `file-${String(at).padStart(2, '0')}`, 'x')
    const entries = await ask<readonly DirEntry[]>(host, (done) => host.disk.list(host.root, done))
    assert.equal(entries.length, 40)
    assert.equal(entries[39]?.name, 'file-39')
    const missing = ask<readonly DirEntry[]>(host, (done) => host.disk.list(`${host.root}/missing`, done))
    await assert.rejects(() => missing, withCode('ENOENT'))
  },
  'removing a folder removes all that is in it': async (host) => {
    await ask<void>(host, (done) => host.disk.mkdir(`${host.root}/a/b`, done))
    await write(host, 'a/b/file', 'x')
    await ask<void>(host, (done) => host.disk.remove(`${host.root}/a`, done))
    assert.deepEqual(await ask<readonly DirEntry[]>(host, (done) => host.disk.list(host.root, done)), [])
  },
  'a folder can be synced, a missing one cannot': async (host) => {
    await ask<void>(host, (done) => host.disk.syncDir(host.root, done))
    const missing = ask<void>(host, (done) => host.disk.syncDir(`${host.root}/missing`, done))
    await assert.rejects(() => missing, withCode('ENOENT'))
  },
  'the free space is a positive number of bytes': async (host) => {
    const free = await ask<number>(host, (done) => host.disk.freeBytes(host.root, done))
    assert.ok(Number.isSafeInteger(free) && free > 0)
    const missing = ask<number>(host, (done) => host.disk.freeBytes(`${host.root}/missing`, done))
    await assert.rejects(() => missing, withCode('ENOENT'))
  },
}

function open(host: DiskHost, name: string, how: OpenHow): Promise<File> {
  return ask(host, (done) => host.disk.open(`${host.root}/${name}`, how, done))
}

function writeAt(host: DiskHost, file: File, at: number, parts: readonly Uint8Array[]): Promise<void> {
  return ask<void>(host, (done) => file.writeAt(at, parts, done))
}

async function write(host: DiskHost, name: string, text: string): Promise<void> {
  const file = await open(host, name, 'create')
  file.appendNow([bytes(text)])
  await ask<void>(host, (done) => file.close(done))
}

async function content(host: ContractHost, file: File): Promise<string> {
  const into = new Uint8Array(file.size)
  const count = await ask<number>(host, (done) => file.read(0, into, done))
  return Buffer.from(into.subarray(0, count)).toString('latin1')
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}
