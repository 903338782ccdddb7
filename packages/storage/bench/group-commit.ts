// Group commit on a real disk: appends at a rate over some files, and what it costs to have them durable: bytes per group of the journal,
// processor time, and the time from an append to its durable report. MODE=pagecache: the same without waiting for the disk.
import { setBaseOffset, recordCount } from '@millrace/records'
import { benchBatch, benchDirectory, createLogs, percentile, ask } from './world.ts'

const SECONDS = Number(process.env['SECONDS_EACH'] ?? 3)
const MODE = process.env['MODE'] === 'pagecache' ? 'pagecache' : 'fsync'
const CASES = [
  { files: 1, mbPerSecond: 1, batch: 4096 },
  { files: 1, mbPerSecond: 20, batch: 16384 },
  { files: 6, mbPerSecond: 1, batch: 1024 },
  { files: 6, mbPerSecond: 10, batch: 16384 },
  { files: 6, mbPerSecond: 60, batch: 16384 },
  { files: 6, mbPerSecond: 150, batch: 16384 },
  { files: 50, mbPerSecond: 10, batch: 4096 },
  { files: 200, mbPerSecond: 10, batch: 4096 },
]

for (const { files, mbPerSecond, batch } of CASES) {
  const latencies: number[] = []
  const waiting: { end: number; at: number }[][] = []
  let rounds = 0
  const bench = await benchDirectory('disk', { roundEnded: () => rounds++, flushMode: MODE })
  const logs = await createLogs(bench, files, (log) => {
    waiting[log] = []
    return {
      failed: (error) => {
        throw error
      },
      durable: (end) => {
        const now = performance.now()
        const queue = waiting[log]!
        while (queue[0] !== undefined && queue[0].end <= end) latencies.push(now - queue.shift()!.at)
      },
    }
  })
  const template = benchBatch(batch)
  const perMs = (mbPerSecond * 1e6) / template.length / 1000
  const cpu = process.cpuUsage()
  const start = performance.now()
  let sent = 0
  let next = 0
  rounds = 0
  while (performance.now() - start < SECONDS * 1000) {
    const due = Math.floor((performance.now() - start) * perMs)
    for (; sent < due; sent++) {
      const log = logs[next++ % files]!
      const bytes = Uint8Array.from(template)
      setBaseOffset(bytes, 0, log.endOffset)
      waiting[next % files === 0 ? files - 1 : (next % files) - 1]!.push({
        end: log.endOffset + recordCount(bytes, 0),
        at: performance.now(),
      })
      log.append([bytes], 1_700_000_000_000)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - start) / 1000
  const bytes = sent * template.length
  latencies.sort((a, b) => a - b)
  process.stdout.write(
    `${String(files).padStart(4)} files ${String(mbPerSecond).padStart(4)} MB/s ${String(batch).padStart(6)} B: ${(rounds / seconds).toFixed(0).padStart(5)} groups/s ` +
      `${(bytes / 1024 / rounds).toFixed(1).padStart(7)} KiB a group, durable p50 ${percentile(latencies, 0.5).toFixed(1).padStart(5)} p99 ${percentile(latencies, 0.99).toFixed(1).padStart(6)} ms, ` +
      `${((user + system) / 1e6 / seconds).toFixed(2)} cores, ${((user + system) / 1e6 / (bytes / 1e9)).toFixed(2).padStart(6)} CPU s per GB\n`,
  )
  await ask<void>((done) => bench.directory.close(done))
  bench.remove()
}
