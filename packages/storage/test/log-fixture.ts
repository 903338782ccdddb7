import { type Codec, type IoError, type Uuid } from '@millrace/base'
import { encodeBatch, setBaseOffset, setLeaderEpoch, splitBatches, baseOffset } from '@millrace/records'
import {
  DEFAULT_LOG_CONFIG,
  type LogConfig,
  type LogDirectory,
  type LogDirectoryOptions,
  type LogEvents,
  type LogSlice,
  openLogDirectory,
  type OpenedLogs,
  type PartitionLog,
} from '../src/index.ts'
import { SimWorld } from './sim-world.ts'

export const TOPIC_ID: Uuid = 'leJlINeBTOClbIlklGKT0w'
export const SMALL: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 4096,
  indexIntervalBytes: 256,
  fileDeleteDelayMs: 1000,
}

/** Remembers what a log reported. */
export class Reports implements LogEvents {
  durableEnd = -1
  generation = -1
  calls = 0
  error: IoError | null = null
  rot: string | null = null

  durable(end: number, generation: number): void {
    this.durableEnd = end
    this.generation = generation
    this.calls++
  }
  failed(error: IoError): void {
    this.error = error
  }
  quarantined(reason: string): void {
    this.rot = reason
  }
}

export interface BatchShape {
  readonly at: number
  readonly records?: number
  readonly bytes?: number
  readonly epoch?: number
  readonly timestamp?: number
  readonly codec?: Codec
}

/** A batch as a leader appends it. */
export function batchAt({
  at,
  records = 1,
  bytes = 100,
  epoch = 0,
  timestamp = 1_700_000_000_000,
  codec = 'none',
}: BatchShape): Uint8Array {
  const value = new Uint8Array(Math.max(1, Math.floor(bytes / records)))
  for (let i = 0; i < value.length; i++) value[i] = (at * 31 + i * 7 + epoch) & 0xff
  const list = Array.from({ length: records }, (_, i) => ({
    timestamp: timestamp < 0 ? -1 : timestamp + i,
    key: null,
    value,
  }))
  const batch = encodeBatch(list, { codec })
  setBaseOffset(batch, 0, at)
  setLeaderEpoch(batch, 0, epoch)
  return batch
}

export interface Opened {
  readonly world: SimWorld
  readonly directory: LogDirectory
  readonly found: OpenedLogs
}

export function directoryOf(world: SimWorld, options: Partial<LogDirectoryOptions> = {}): LogDirectory {
  return openLogDirectory(world, {
    path: '/data',
    directoryId: TOPIC_ID,
    flushMode: 'fsync',
    reserveBytes: 1 << 20,
    ...options,
  })
}

export function openDirectory(world: SimWorld, options: Partial<LogDirectoryOptions> = {}): Opened {
  const directory = directoryOf(world, options)
  const found = world.ask<OpenedLogs>((done) => directory.open(done))
  return { world, directory, found }
}

export function createLog(
  { world, directory }: Opened,
  config: LogConfig = SMALL,
  startOffset = 0,
): { log: PartitionLog; reports: Reports } {
  const reports = new Reports()
  const request = { topic: 'topic', topicId: TOPIC_ID, partition: 0, config, startOffset, events: reports }
  return { log: world.ask<PartitionLog>((done) => directory.create(request, done)), reports }
}

/** A read, whether it was answered at once or later. */
export function readLog(
  world: SimWorld,
  log: PartitionLog,
  from: number,
  maxBytes = 1 << 20,
  below = Number.MAX_SAFE_INTEGER,
): LogSlice {
  let late: LogSlice | undefined
  const slice = world.ask<LogSlice>((done) => {
    late = log.read(from, maxBytes, below, done) ?? undefined
    if (late !== undefined) done(null, late)
  })
  return slice
}

/** All batches of a log, read in pieces. */
export function readAll(world: SimWorld, log: PartitionLog, maxBytes = 1500): Uint8Array[] {
  const batches: Uint8Array[] = []
  for (let from = log.logStart; from < log.endOffset;) {
    const slice = readLog(world, log, from, maxBytes)
    if (slice.bytes === 0) break
    for (const part of slice.parts) batches.push(...splitBatches(part))
    from = slice.nextOffset
  }
  return batches
}

export function offsetsOf(batches: readonly Uint8Array[]): number[] {
  return batches.map((batch) => baseOffset(batch, 0))
}
