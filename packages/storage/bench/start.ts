// A clean start of a directory of 1,000 partitions on a real disk, each with a few segments.
import { rmSync } from 'node:fs'
import { productionWorld } from '@millrace/host'
import { setBaseOffset, recordCount } from '@millrace/records'
import { DEFAULT_LOG_CONFIG, type OpenedLogs } from '../src/index.ts'
import { ask, benchBatch, benchDirectory, createLogs, openDirectory, SILENT } from './world.ts'

const COUNT = Number(process.env['PARTITIONS'] ?? 1000)
const bench = await benchDirectory('disk')
let start = performance.now()
const logs = await createLogs(bench, COUNT, () => SILENT, { ...DEFAULT_LOG_CONFIG, segmentBytes: 20_000 })
process.stdout.write(`created ${COUNT} partitions in ${(performance.now() - start).toFixed(0)} ms\n`)
const template = benchBatch(8000)
for (let i = 0; i < 6; i++)
  for (const log of logs) {
    const batch = Uint8Array.from(template)
    setBaseOffset(batch, 0, log.endOffset)
    log.append([batch], 0)
    if (log.endOffset !== (i + 1) * recordCount(batch, 0)) throw new Error('an append went astray')
  }
start = performance.now()
await ask<void>((done) => bench.directory.close(done))
process.stdout.write(`closed in ${(performance.now() - start).toFixed(0)} ms\n`)
for (const kind of ['clean', 'unclean', 'clean'] as const) {
  const world = productionWorld({ logger: { level: 'error' } })
  const directory = openDirectory(world, bench.path)
  // A start without the marker of a clean stop walks what lies after the recovery points.
  if (kind === 'unclean') rmSync(`${bench.path}/.kafka_cleanshutdown`)
  const cpu = process.cpuUsage()
  start = performance.now()
  const found = await ask<OpenedLogs>((done) => directory.open(done))
  const { user, system } = process.cpuUsage(cpu)
  process.stdout.write(
    `${kind} start of ${found.logs.length} partitions (clean: ${found.clean}): ${(performance.now() - start).toFixed(0)} ms, ${((user + system) / 1e6).toFixed(2)} CPU s\n`,
  )
  await ask<void>((done) => directory.close(done))
}
if (process.env.KEEP === undefined) bench.remove()
else process.stdout.write(`${bench.path}\n`)
process.exit(0)
