import assert from 'node:assert/strict'
import type { Codec } from '@millrace/base'
import {
  baseOffset,
  codec,
  crcMatches,
  encodeBatch,
  hasDeleteHorizon,
  inflate,
  nextOffset,
  readRecords,
  recordsSection,
} from '@millrace/records'
import type { CompactionSettings, LogConfig, PartitionLog } from '../src/index.ts'
import { type Opened, openDirectory, readAll, Reports, SMALL } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

export const COMPACTED: LogConfig = {
  ...SMALL,
  segmentBytes: 2048,
  cleanupPolicy: ['compact'],
  minCleanableDirtyRatio: 0,
}
export const UNLIMITED: CompactionSettings = { bytesPerSecond: Number.POSITIVE_INFINITY, keyMapBytes: 1 << 20 }

export interface Keyed {
  readonly key: string | null
  readonly value: string | null
  readonly timestamp?: number
}

export interface KeyedBatch {
  readonly at: number
  readonly records: readonly Keyed[]
  readonly epoch?: number
  readonly codec?: Codec
  readonly producer?: { readonly id: number; readonly epoch: number; readonly sequence: number }
  readonly transactional?: boolean
}

const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))

export function keyedBatch({
  at,
  records,
  epoch = 0,
  codec: packing = 'none',
  producer,
  transactional,
}: KeyedBatch): Uint8Array {
  const list = records.map(({ key, value, timestamp }, i) => ({
    timestamp: timestamp ?? 1_700_000_000_000 + at + i,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: [{ key: 'at', value: Buffer.from(String(at + i)) }],
  }))
  return encodeBatch(list, {
    baseOffset: at,
    leaderEpoch: epoch,
    codec: packing,
    producerId: producer?.id ?? -1,
    producerEpoch: producer?.epoch ?? -1,
    baseSequence: producer?.sequence ?? -1,
    transactional: transactional ?? false,
  })
}

export interface Seen {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly at: string
}

/** The records of batches, which must follow each other without a hole and be whole. */
export function recordsOf(batches: readonly Uint8Array[]): Seen[] {
  const seen: Seen[] = []
  let next = batches[0] === undefined ? 0 : baseOffset(batches[0], 0)
  for (const batch of batches) {
    assert.equal(baseOffset(batch, 0), next)
    assert.ok(crcMatches(batch, 0), `the batch at ${next} matches its CRC`)
    next = nextOffset(batch, 0)
    const section = inflate(codec(batch, 0)!, recordsSection(batch, 0), 1 << 24)
    const records = readRecords(batch, 0, section)
    for (const { offset, key, value, timestamp, headers } of records) {
      assert.ok(offset >= baseOffset(batch, 0) && offset < next)
      const at = Buffer.from(headers[0]?.value ?? []).toString()
      seen.push({ offset, key: textOf(key), value: textOf(value), timestamp, at })
    }
  }
  return seen
}

export function horizons(batches: readonly Uint8Array[]): number {
  return batches.filter((batch) => hasDeleteHorizon(batch, 0)).length
}

const textOf = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

/** What a reader knows who took the last value of each key. */
export function latestOf(records: Iterable<{ key: string | null; value: string | null }>): Map<string, string> {
  const latest = new Map<string, string>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) latest.delete(key)
    else latest.set(key, value)
  }
  return latest
}

export function reopen(
  { world }: { readonly world: SimWorld },
  seed: number,
  config = COMPACTED,
): Opened & { log: PartitionLog } {
  const opened = openDirectory(new SimWorld(seed, world.disk), { tailCacheBytes: 0 })
  const log = opened.found.logs[0] as PartitionLog
  log.configure(config)
  log.attach(new Reports())
  return { ...opened, log }
}

/** All of it committed, on disk, and told by a checkpoint. */
export function settle({ world, directory }: Opened, log: PartitionLog): void {
  world.until(() => log.durableEnd === log.endOffset)
  log.checkpointHighWatermark(log.endOffset)
  for (let i = 0; i < 2; i++) {
    world.run(100_000)
    world.ask<void>((done) => directory.checkpoint(done))
  }
}

export function compact({ world, directory }: Opened, settings = UNLIMITED): void {
  directory.compact(settings)
  world.run(20_000_000)
}

export { readAll }
