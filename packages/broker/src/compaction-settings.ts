import { brokerConfigValue, parseBoolean, parseWhole, type Properties } from '@millrace/base'
import type { CompactionSettings } from '@millrace/storage'

/** What `log.cleaner.*` says: null where nothing is to be compacted. */
export function compactionSettings(properties: Properties): CompactionSettings | null {
  const of = (name: string): string => brokerConfigValue(properties, name)
  if (!parseBoolean(of('log.cleaner.enable'))) return null
  return {
    // No byte in a second would never end.
    bytesPerSecond: Math.max(1, Number(of('log.cleaner.io.max.bytes.per.second'))),
    keyMapBytes: parseWhole(of('log.cleaner.dedupe.buffer.size')),
  }
}

/** How often logs to compact are looked for. */
export function compactionIntervalMs(properties: Properties): number {
  return Math.max(LEAST_INTERVAL_MS, parseWhole(brokerConfigValue(properties, 'log.cleaner.backoff.ms')))
}

/** A look costs a walk over all logs. */
const LEAST_INTERVAL_MS = 100
