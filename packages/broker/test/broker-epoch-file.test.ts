import { MemoryDisk, SystemClock } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { readBrokerEpoch, writeBrokerEpoch } from '../src/broker-epoch-file.ts'

async function disk(): Promise<MemoryDisk> {
  const made = new MemoryDisk({ clock: new SystemClock() })
  await new Promise<void>((resolve) => made.mkdir('/data', () => resolve()))
  return made
}

const read = (from: MemoryDisk): Promise<number> => new Promise((resolve) => readBrokerEpoch(from, '/data', resolve))
const write = (to: MemoryDisk, epoch: number): Promise<void> =>
  new Promise((resolve, reject) =>
    writeBrokerEpoch(to, '/data', epoch, (error) => (error === null ? resolve() : reject(error))),
  )

describe('the broker epoch of the last incarnation', () => {
  it('is read back, the newest one', async () => {
    const on = await disk()
    await write(on, 41)
    await write(on, 42)
    expect(await read(on)).toBe(42)
  })

  it('is unknown where no file is, or where the file holds anything else', async () => {
    const on = await disk()
    expect(await read(on)).toBe(-1)
    const file = on.openNow('/data/broker-epoch', 'create')
    file.appendNow([new TextEncoder().encode('-7')])
    expect(await read(on)).toBe(-1)
  })

  it('fails where the disk is full, and leaves the old one', async () => {
    const on = new MemoryDisk({ clock: new SystemClock(), quotaBytes: 4 })
    await new Promise<void>((resolve) => on.mkdir('/data', () => resolve()))
    await write(on, 7)
    await expect(write(on, 123_456)).rejects.toThrow('ENOSPC')
    expect(await read(on)).toBe(7)
  })
})
