// What the page cache and the device cost: synchronous appends, and fdatasync after them, by the size of a round.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { File } from '@millrace/base'
import { ask, NodeDisk, untilReal } from '../src/index.ts'

const host = { until: untilReal, end: async () => {} }
const folder = mkdtempSync(join(process.argv[2] ?? '/tmp', 'millrace-bench-'))
const file = await ask<File>(host, (done) => new NodeDisk().open(join(folder, 'log'), 'create', done))

appends()
for (const size of [1, 16, 64, 256, 1024]) await syncs(size * 1024)
rmSync(folder, { recursive: true })

function appends(): void {
  for (const parts of [1, 8]) {
    const chunk = Buffer.alloc(256 * 1024, 1)
    const each = Array.from({ length: parts }, () => chunk.subarray(0, chunk.length / parts))
    file.truncateNow(0)
    let worst = 0
    const cpu = cpuNow()
    const start = performance.now()
    for (let bytes = 0; bytes < 1e9; bytes += chunk.length) {
      const before = performance.now()
      file.appendNow(each)
      worst = Math.max(worst, performance.now() - before)
    }
    const seconds = (performance.now() - start) / 1000
    print(
      `append of 256 KB in ${parts} parts: ${(1000 / seconds).toFixed(0)} MB/s, ${(cpuNow() - cpu).toFixed(2)} CPU s/GB`,
      worst,
    )
  }
  file.truncateNow(0)
}

async function syncs(size: number): Promise<void> {
  const chunk = Buffer.alloc(size, 1)
  const times: number[] = []
  const cpu = cpuNow()
  for (let round = 0; round < 200; round++) {
    file.appendNow([chunk])
    const before = performance.now()
    await new Promise<void>((resolve, reject) => file.sync((error) => (error === null ? resolve() : reject(error))))
    times.push(performance.now() - before)
  }
  const each = ((cpuNow() - cpu) / times.length) * 1000
  times.sort((a, b) => a - b)
  print(
    `fdatasync after ${size / 1024} KB: median ${(times[100] ?? 0).toFixed(2)} ms, p99 ${(times[198] ?? 0).toFixed(2)} ms, ${each.toFixed(2)} CPU ms`,
    times[199] ?? 0,
  )
}

function print(text: string, worstMs: number): void {
  process.stdout.write(`${text}, worst ${worstMs.toFixed(1)} ms\n`)
}

function cpuNow(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
