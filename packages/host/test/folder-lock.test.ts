import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FOLDER_LOCK, lockFolder } from '../src/index.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-lock-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a folder lock', () => {
  it('is had by one only, until it is given free', async () => {
    const lock = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    await lock.release()
    await (await lockFolder(folder)).release()
  })

  it('keeps another process away, and is free once that is killed', async () => {
    const host = new URL('../src/index.ts', import.meta.url).href
    const program = `const { lockFolder } = await import('${host}'); await lockFolder(process.argv[1]); console.log('locked'); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    await (await lockFolder(folder)).release()
  })

  it('is made anew when it is damaged', async () => {
    await (await lockFolder(folder)).release()
    rmSync(join(folder, FOLDER_LOCK, 'CURRENT'))
    const lock = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    await lock.release()
  })
})
