export { DEFAULT_LOG_CONFIG } from './log-config.ts'
export { openLogDirectory } from './log-directory.ts'
export type {
  BatchObserver,
  BatchVerdict,
  CreateLog,
  DamagedLog,
  EpochEnd,
  FlushMode,
  Generation,
  CompactionSettings,
  LogConfig,
  LogDirectory,
  LogDirectoryOptions,
  LogEvents,
  LogInspection,
  LogSlice,
  OpenedLogs,
  PartitionLog,
  ReadMemory,
  TimestampHit,
  TornLog,
} from './types.ts'
