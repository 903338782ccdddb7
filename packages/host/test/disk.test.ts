import { diskContract, MemoryDisk, NodeDisk, SystemClock, untilReal } from '../src/index.ts'
import type { DiskHost } from '../src/index.ts'
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
