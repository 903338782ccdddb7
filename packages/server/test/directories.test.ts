import { type Disk, type Done, IoError, type IoErrorCode, type World } from '@millrace/base'
import { MemoryDisk, MemoryLogger, SeededRandom, SystemClock } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { openDirectories } from '../src/directories.ts'

/** A world whose disk fails the sync of one folder with this code, and what is on it. */
function worldWith(fault: { folder: string }, code: IoErrorCode): { readonly world: World; readonly disk: Disk } {
  const disk = new MemoryDisk({ clock: new SystemClock() })
  const syncDir = disk.syncDir.bind(disk)
  disk.syncDir = (path: string, done: Done<void>): void => {
    if (path === fault.folder) done(new IoError(code, path, 'the sync failed'))
    else syncDir(path, done)
  }
  return { world: { disk, log: new MemoryLogger(), random: new SeededRandom('names') } as unknown as World, disk }
}

describe('a folder of log.dirs', () => {
  it.each(['/', '/var'])(
    'is not formatted when the sync of %s fails: a power cut would take its name',
    async (above) => {
      const { world, disk } = worldWith({ folder: above }, 'EIO')
      await expect(openDirectories(world, ['/var/data'], 1)).rejects.toThrow('the sync failed')
      const entries = await new Promise((resolve) => disk.list('/var/data', (_, found) => resolve(found)))
      expect(entries).toEqual([])
    },
  )

  it('is taken for what its identity says only when the name of that is on disk: who wrote it may have been killed before', async () => {
    const fault = { folder: '/nowhere' }
    const { world } = worldWith(fault, 'EIO')
    await openDirectories(world, ['/var/data'], 1)
    fault.folder = '/var/data'
    await expect(openDirectories(world, ['/var/data'], 1)).rejects.toThrow('the sync failed')
  })

  it.each<IoErrorCode>(['EACCES', 'EROFS'])(
    'is formatted below one that answers %s: somebody else made it',
    async (code) => {
      const { world } = worldWith({ folder: '/' }, code)
      const [first] = await openDirectories(world, ['/var/data'], 1)
      const [again] = await openDirectories(world, ['/var/data'], 1)
      expect(again).toEqual(first)
    },
  )
})
