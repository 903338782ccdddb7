import { BROKER_KEYS, parseBoolean, parseWhole, type Properties } from '@millrace/base'
import type { CompactionSettings } from '@millrace/storage'

/** What `log.cleaner.*` says: null where nothing is to be compacted. */
export function compactionSettings(properties: Properties): CompactionSettings | null {
  const of = (name: string): string => properties.get(name) ?? BROKER_KEYS.get(name)?.default ?? ''
  if (!parseBoolean(of('log.cleaner.enable'))) return null
  return {
    // No byte in a second would never end.
    bytesPerSecond: Math.max(1, Number(of('log.cleaner.io.max.bytes.per.second'))),
    keyMapBytes: parseWhole(of('log.cleaner.dedupe.buffer.size')),
  }
}

/** How often logs to compact are looked for. */
export function compactionIntervalMs(properties: Properties): number {
  const name = 'log.cleaner.backoff.ms'
  return Math.max(LEAST_INTERVAL_MS, parseWhole(properties.get(name) ?? BROKER_KEYS.get(name)?.default ?? '15000'))
}

/** A look costs a walk over all logs. */
const LEAST_INTERVAL_MS = 100
