// Appends 16 KB batches over six partitions as fast as they go, then reads everything back in 1 MiB pieces: from disk, and from the tail.
import { setBaseOffset, recordCount } from '@millrace/records'
import type { LogSlice } from '../src/index.ts'
import { ask, benchBatch, benchDirectory, createLogs, measure, SILENT } from './world.ts'

const PARTITIONS = 6
const BATCH = 16 * 1024
const TOTAL = Number(process.env['MB'] ?? 600) * 1e6
const FRAME = 256 * 1024

for (const kind of ['memory', 'disk'] as const) {
  const bench = await benchDirectory(kind)
  const logs = await createLogs(bench, PARTITIONS, () => SILENT)
  const template = benchBatch(BATCH)
  const rounds = Math.floor(TOTAL / PARTITIONS / FRAME)
  const perFrame = Math.floor(FRAME / template.length)
  const bytes = rounds * PARTITIONS * perFrame * template.length
  // As from the network: every frame is a buffer of its own, offsets are assigned in place. Reused, so that its filling is not measured.
  const frames = Array.from({ length: 256 }, () => {
    const frame = Buffer.allocUnsafeSlow(perFrame * template.length)
    return Array.from({ length: perFrame }, (_, i) => {
      frame.set(template, i * template.length)
      return frame.subarray(i * template.length, (i + 1) * template.length)
    })
  })
  await measure(`${kind}: append ${BATCH} B batches, ${PARTITIONS} partitions`, bytes, async () => {
    let used = 0
    for (let round = 0; round < rounds; round++) {
      for (const log of logs) {
        const batches = frames[used++ % frames.length]!
        let at = log.endOffset
        for (const batch of batches) {
          setBaseOffset(batch, 0, at)
          at += recordCount(batch, 0)
        }
        log.append(batches, 1_700_000_000_000)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  await measure(`${kind}: the same made durable (waiting for the last sync)`, bytes, async () => {
    while (logs.some((log) => log.durableEnd < log.endOffset)) await new Promise((resolve) => setTimeout(resolve, 1))
  })
  await measure(`${kind}: read in 1 MiB pieces from the start`, bytes, async () => {
    for (const log of logs)
      for (let from = 0; from < log.endOffset;) {
        const slice = await ask<LogSlice>((done) => {
          const now = log.read(from, 1 << 20, log.endOffset, done)
          if (now !== null) done(null, now)
        })
        from = slice.nextOffset
      }
  })
  await ask<void>((done) => bench.directory.close(done))
  bench.remove()
}
