// What the benches share: a production world on a temporary folder of a real disk, or one in memory, and figures by processor time.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Done, World } from '@millrace/base'
import { encodeBatch } from '@millrace/records'
import { memoryWorld, productionWorld } from '@millrace/host'
import {
  DEFAULT_LOG_CONFIG,
  type LogConfig,
  type LogDirectory,
  type LogDirectoryOptions,
  type LogEvents,
  openLogDirectory,
  type OpenedLogs,
  type PartitionLog,
} from '../src/index.ts'

export interface BenchDirectory {
  readonly world: World
  readonly path: string
  readonly directory: LogDirectory
  remove(): void
}

/** A directory on the disk under DIR (the temporary folder unless given), or in memory. */
export async function benchDirectory(
  kind: 'disk' | 'memory',
  options: Partial<LogDirectoryOptions> = {},
): Promise<BenchDirectory> {
  const world = kind === 'disk' ? productionWorld({ logger: { level: 'error' } }) : memoryWorld({ name: 'bench' })
  const path = kind === 'disk' ? mkdtempSync(join(process.env['DIR'] ?? '/tmp', 'millrace-bench-')) : '/bench'
  const directory = openDirectory(world, path, options)
  await ask<OpenedLogs>((done) => directory.open(done))
  return { world, path, directory, remove: () => kind === 'disk' && rmSync(path, { recursive: true }) }
}

export function openDirectory(world: World, path: string, options: Partial<LogDirectoryOptions> = {}): LogDirectory {
  return openLogDirectory(world, {
    path,
    directoryId: 'leJlINeBTOClbIlklGKT0w',
    flushMode: 'fsync',
    reserveBytes: 1 << 20,
    ...options,
  })
}

export function ask<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error === null ? resolve(value) : reject(error))))
}

export const SILENT: LogEvents = { durable: () => undefined, failed: () => undefined }

export function createLogs(
  bench: BenchDirectory,
  count: number,
  events: (at: number) => LogEvents,
  config: LogConfig = DEFAULT_LOG_CONFIG,
): Promise<PartitionLog[]> {
  return Promise.all(
    Array.from({ length: count }, (_, partition) =>
      ask<PartitionLog>((done) =>
        bench.directory.create(
          {
            topic: 'bench',
            topicId: 'leJlINeBTOClbIlklGKT0w',
            partition,
            config,
            startOffset: 0,
            events: events(partition),
          },
          done,
        ),
      ),
    ),
  )
}

/** A batch of about this size. */
export function benchBatch(bytes: number): Uint8Array {
  const records = Math.max(1, Math.round(bytes / 1024))
  const value = new Uint8Array(Math.floor(bytes / records) - 16).map((_, i) => (i * 7) & 63)
  return encodeBatch(
    Array.from({ length: records }, (_, i) => ({ timestamp: Date.now() + i, key: null, value })),
    { leaderEpoch: 0 },
  )
}

/** Runs and prints wall time, processor time and both per GB. */
export async function measure(what: string, bytes: number, run: () => Promise<void> | void): Promise<void> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const cpuSeconds = (user + system) / 1e6
  const gb = bytes / 1e9
  process.stdout.write(
    `${what.padEnd(58)} ${(bytes / 1e6 / seconds).toFixed(0).padStart(6)} MB/s  ${(cpuSeconds / gb).toFixed(2).padStart(6)} CPU s per GB\n`,
  )
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
