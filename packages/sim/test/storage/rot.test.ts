import { SeededRandom } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { FileContent } from '../../src/storage/file-content.ts'

const SECTOR = 512

/** A synced file of two pages, of which the first sector rotted; `seen`: its readers meet it at once. */
function rotten(seen: boolean): FileContent {
  const content = new FileContent(1)
  content.write(0, new Uint8Array(8192).fill(7))
  sync(content)
  content.corrupt({ at: 0, bytes: SECTOR }, (bytes) => bytes.fill(9), seen)
  return content
}

function sync(content: FileContent): void {
  content.promote(content.capture())
}

function cut(content: FileContent, survivesPercent: number): void {
  content.powerCut(new SeededRandom('cut'), { sectorBytes: SECTOR, survivesPercent, garbagePercent: 0 })
}

describe('a sector that rotted', () => {
  it('stays so when something is appended beside it in the same page, that was read with it', () => {
    const content = rotten(true)
    content.write(600, new Uint8Array(100))
    sync(content)
    expect(content.isRotten(0)).toBe(true)
    expect(content.isRotten(SECTOR)).toBe(false)
  })

  it('is mended by a sync of the page that the cache had from before', () => {
    const content = rotten(false)
    content.write(600, new Uint8Array(100))
    expect(content.isRotten(0)).toBe(true)
    sync(content)
    expect(content.isRotten(0)).toBe(false)
  })

  it.each([
    [0, true],
    [100, false],
  ])('counts after a power cut that %i of 100 sectors of the page from before survive: %j', (survives, left) => {
    const content = rotten(false)
    content.write(600, new Uint8Array(100))
    cut(content, survives)
    expect(content.isRotten(0)).toBe(left)
  })

  it('is mended once all of it is written over, and gone with what is cut', () => {
    const written = rotten(true)
    written.write(0, new Uint8Array(SECTOR))
    sync(written)
    expect(written.isRotten(0)).toBe(false)
    const shortened = rotten(true)
    shortened.resize(0)
    sync(shortened)
    expect(shortened.isRotten(0)).toBe(false)
  })
})
