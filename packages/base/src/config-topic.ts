import type { BrokerDefault, ConfigKey } from './config.ts'
import { boolean, double, int, listOf, long, oneOf } from './config-values.ts'
import type { ValueRule } from './config-values.ts'

const LONG_MAX_TEXT = '9223372036854775807'
const HOURS = 3_600_000
const MINUTES = 60_000

type Declared = readonly [rule: ValueRule, fallback: string, documentation: string, ...brokerKeys: readonly Synonym[]]
type Synonym = string | readonly [name: string, factor: number]

/** A value of a compression level: the codec's own range, or -1 for the codec's default. */
const gzipLevel = int({ min: -1, max: 9 })
const throttled: ValueRule = {
  type: 'list',
  problem: (text) =>
    /^(\*|none|)$/.test(text.trim()) || text.split(',').every((pair) => /^\d+:\d+$/.test(pair.trim()))
      ? null
      : `${JSON.stringify(text.slice(0, 100))} is neither "*" nor a list of partition:broker`,
}

const DECLARED: Readonly<Record<string, Declared>> = {
  'cleanup.policy': [
    listOf('compact', 'delete'),
    'delete',
    'What happens to old data: "delete" removes segments past the retention limits, "compact" keeps the last record of every key, both do both.',
    'log.cleanup.policy',
  ],
  'compression.gzip.level': [
    { ...gzipLevel, problem: (text) => (text.trim() === '0' ? '0 is no gzip level' : gzipLevel.problem(text)) },
    '-1',
    'The level for batches that the broker compresses with gzip; -1 is the codec default.',
    'compression.gzip.level',
  ],
  'compression.lz4.level': [
    int({ min: 1, max: 17 }),
    '9',
    'The level for batches that the broker compresses with lz4.',
    'compression.lz4.level',
  ],
  'compression.type': [
    oneOf('uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'),
    'producer',
    'The codec of stored batches; "producer" keeps each batch as its producer compressed it.',
    'compression.type',
  ],
  'compression.zstd.level': [
    int({ min: -131072, max: 22 }),
    '3',
    'The level for batches that the broker compresses with zstd.',
    'compression.zstd.level',
  ],
  'delete.retention.ms': [
    long({ min: 0 }),
    '86400000',
    'How long compaction keeps a tombstone, and so how long a consumer that starts from the beginning has to read it.',
    'log.cleaner.delete.retention.ms',
  ],
  'file.delete.delay.ms': [
    long({ min: 0 }),
    '60000',
    'How long a removed segment stays on disk, so that reads under way can finish.',
    'log.segment.delete.delay.ms',
  ],
  'flush.messages': [
    long({ min: 1 }),
    LONG_MAX_TEXT,
    'Sync after this many records. Brokers with flush.mode=fsync sync before they acknowledge and need no such limit.',
    'log.flush.interval.messages',
  ],
  'flush.ms': [
    long({ min: 0 }),
    LONG_MAX_TEXT,
    'Sync at least this often. Brokers with flush.mode=fsync sync before they acknowledge and need no such limit.',
    'log.flush.interval.ms',
    'log.flush.scheduler.interval.ms',
  ],
  'follower.replication.throttled.replicas': [throttled, '', 'Replicas whose catching up may be slowed down.'],
  'index.interval.bytes': [
    int({ min: 0 }),
    '4096',
    'How many bytes of log one entry of the offset index stands for.',
    'log.index.interval.bytes',
  ],
  'leader.replication.throttled.replicas': [throttled, '', 'Replicas whose sending to followers may be slowed down.'],
  'local.retention.bytes': [
    long({ min: -2 }),
    '-2',
    'Bytes kept locally of a tiered partition; -2 takes retention.bytes.',
    'log.local.retention.bytes',
  ],
  'local.retention.ms': [
    long({ min: -2 }),
    '-2',
    'Time that data of a tiered partition is kept locally; -2 takes retention.ms.',
    'log.local.retention.ms',
  ],
  'max.compaction.lag.ms': [
    long({ min: 1 }),
    LONG_MAX_TEXT,
    'The longest that a record may wait before compaction looks at it.',
    'log.cleaner.max.compaction.lag.ms',
  ],
  'max.message.bytes': [
    int({ min: 0 }),
    '1048588',
    'The largest record batch that is accepted, as it travels (compressed).',
    'message.max.bytes',
  ],
  'message.timestamp.after.max.ms': [
    long({ min: 0 }),
    '3600000',
    'How far in the future a record timestamp may be.',
    'log.message.timestamp.after.max.ms',
  ],
  'message.timestamp.before.max.ms': [
    long({ min: 0 }),
    LONG_MAX_TEXT,
    'How far in the past a record timestamp may be.',
    'log.message.timestamp.before.max.ms',
  ],
  'message.timestamp.type': [
    oneOf('CreateTime', 'LogAppendTime'),
    'CreateTime',
    "Whether a record carries its producer's time or the time at which the leader appended it.",
    'log.message.timestamp.type',
  ],
  'min.cleanable.dirty.ratio': [
    double({ min: 0, max: 1 }),
    '0.5',
    'The share of a log that must be uncompacted before compaction takes it up.',
    'log.cleaner.min.cleanable.ratio',
  ],
  'min.compaction.lag.ms': [
    long({ min: 0 }),
    '0',
    'How long every record is safe from compaction.',
    'log.cleaner.min.compaction.lag.ms',
  ],
  'min.insync.replicas': [
    int({ min: 1 }),
    '1',
    'How many replicas must be in sync for writes with acks=all, and for anything to become visible.',
    'min.insync.replicas',
  ],
  preallocate: [boolean, 'false', 'Whether segment files get their full size at once.', 'log.preallocate'],
  'remote.log.copy.disable': [boolean, 'false', 'Stops copying of a tiered topic to remote storage.'],
  'remote.log.delete.on.disable': [boolean, 'false', 'Deletes remote data when tiering of a topic ends.'],
  'remote.storage.enable': [boolean, 'false', 'Tiered storage, which this version does not have.'],
  'retention.bytes': [
    long(),
    '-1',
    'How many bytes a partition keeps before its oldest segments are deleted; -1 is without limit.',
    'log.retention.bytes',
  ],
  'retention.ms': [
    long({ min: -1 }),
    '604800000',
    'How long data is kept before its segments are deleted; -1 is without limit.',
    'log.retention.ms',
    ['log.retention.minutes', MINUTES],
    ['log.retention.hours', HOURS],
  ],
  'segment.bytes': [int({ min: 1048576 }), '1073741824', 'The size at which a log file is full.', 'log.segment.bytes'],
  'segment.index.bytes': [
    int({ min: 4 }),
    '10485760',
    'The size of the offset index at which a log file is full.',
    'log.index.size.max.bytes',
  ],
  'segment.jitter.ms': [
    long({ min: 0 }),
    '0',
    'A random part of this is taken off segment.ms, so that files do not all roll at once.',
    'log.roll.jitter.ms',
    ['log.roll.jitter.hours', HOURS],
  ],
  'segment.ms': [
    long({ min: 1 }),
    '604800000',
    'The age at which a log file is closed even when it is not full.',
    'log.roll.ms',
    ['log.roll.hours', HOURS],
  ],
  'unclean.leader.election.enable': [
    boolean,
    'false',
    'Whether a replica that may lack acknowledged records may lead when no other is left. Loses data.',
    'unclean.leader.election.enable',
  ],
}

/** Keys that follow from the design or tune what is not offered yet. */
const INERT = new Set([
  'compression.gzip.level',
  'compression.lz4.level',
  'compression.zstd.level',
  'flush.messages',
  'flush.ms',
  'local.retention.bytes',
  'local.retention.ms',
  'preallocate',
  'remote.log.copy.disable',
  'remote.log.delete.on.disable',
  'remote.storage.enable',
])

/** Every key that a topic can have, by name, in alphabetical order. */
export const TOPIC_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  Object.entries(DECLARED).map(([name, [rule, fallback, documentation, ...synonyms]]) => [
    name,
    {
      name,
      type: rule.type,
      default: fallback,
      documentation,
      scope: 'topic',
      effect: INERT.has(name) ? 'none' : 'yes',
      dynamic: true,
      brokerKeys: synonyms.map(brokerDefault),
      problem: rule.problem,
    },
  ]),
)

/** Keys of earlier Kafka versions that old tools still set: accepted for a topic and dropped. */
export const DROPPED_TOPIC_KEYS: ReadonlySet<string> = new Set([
  'message.downconversion.enable',
  'message.format.version',
])

function brokerDefault(synonym: Synonym): BrokerDefault {
  return typeof synonym === 'string' ? { name: synonym, factor: 1 } : { name: synonym[0], factor: synonym[1] }
}
