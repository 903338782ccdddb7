// What a synced change of the raft store costs: one at a time, and as many as a node has under way.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { RaftStore } from '@millrace/base'
import { ask, LevelStoreFactory, MemoryLogger, SystemClock, SystemTimers, untilReal } from '../src/index.ts'

const host = { until: untilReal, end: async () => {} }
const folder = mkdtempSync(join(process.argv[2] ?? '/tmp', 'millrace-bench-'))
const stores = new LevelStoreFactory({ timers: new SystemTimers(new SystemClock()), log: new MemoryLogger() })
const store = await ask<RaftStore>(host, (done) => stores.open(join(folder, 'raft'), done))
let index = 0
for (const underWay of [1, 16, 256]) await measure(underWay, 2000)
await ask<void>(host, (done) => store.close(done))
const before = performance.now()
const again = await ask<RaftStore>(host, (done) => stores.open(join(folder, 'raft'), done))
process.stdout.write(`opening and checking ${index} entries: ${(performance.now() - before).toFixed(0)} ms\n`)
await ask<void>(host, (done) => again.close(done))
rmSync(folder, { recursive: true })

async function measure(underWay: number, ms: number): Promise<void> {
  const payload = new Uint8Array(300)
  const times: number[] = []
  const cpu = process.cpuUsage()
  const start = performance.now()
  let open = 0
  await new Promise<void>((resolve, reject) => {
    const next = (): void => {
      if (performance.now() - start > ms) return void (open === 0 && resolve())
      open++
      index++
      const called = performance.now()
      store.write({ token: index, append: [{ index, term: 1, kind: 'data', payload }] }, (error) => {
        if (error !== null) return reject(error)
        open--
        times.push(performance.now() - called)
        next()
      })
    }
    for (let at = 0; at < underWay; at++) next()
  })
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  const p = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2)
  const each = (user + system) / times.length
  process.stdout.write(
    `${underWay} under way: ${(times.length / seconds).toFixed(0)} writes/s, median ${p(0.5)} ms, p99 ${p(0.99)} ms, ${each.toFixed(0)} CPU us each\n`,
  )
}
