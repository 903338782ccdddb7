import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { diskContract, MemoryDisk, NodeDisk, SystemClock, untilReal } from '../src/index.ts'
import type { DiskHost } from '../src/index.ts'

function nodeHost(): Promise<DiskHost> {
  const root = mkdtempSync(join(tmpdir(), 'millrace-disk-'))
  return Promise.resolve({
    disk: new NodeDisk(),
    root,
    until: untilReal,
    end: () => Promise.resolve(rmSync(root, { recursive: true })),
  })
}

function memoryHost(): Promise<DiskHost> {
  const disk = new MemoryDisk({ clock: new SystemClock() })
  return Promise.resolve({ disk, root: '', until: untilReal, end: () => Promise.resolve() })
}

describe('the disk of the machine', () => {
  for (const { name, run } of diskContract(nodeHost)) test(name, run)
})

describe('the disk in memory', () => {
  for (const { name, run } of diskContract(memoryHost)) test(name, run)
})
