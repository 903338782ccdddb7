import { describe, expect, test } from 'vitest'
import {
  BROKER_KEYS,
  brokerConfigProblem,
  effectiveGroupTimes,
  effectiveTopicConfig,
  GROUP_KEYS,
  groupConfigProblem,
  groupConfigsProblem,
  layered,
  LONG_MAX,
  TOPIC_KEYS,
  topicConfigProblem,
  topicConfigsProblem,
} from '../src/index.ts'

const NONE: ReadonlyMap<string, string> = new Map()
const properties = (values: Record<string, string>): ReadonlyMap<string, string> => new Map(Object.entries(values))

describe('the declarations', () => {
  test('every default is a value of its own key', () => {
    const wrong = [...TOPIC_KEYS.values(), ...BROKER_KEYS.values(), ...GROUP_KEYS.values()].filter(
      (key) => key.default !== null && key.problem(key.default) !== null,
    )
    expect(wrong.map((key) => key.name)).toEqual([])
  })

  test('the defaults of a topic are those that Kafka documents', () => {
    const defaults = Object.fromEntries([...TOPIC_KEYS.values()].map((key) => [key.name, key.default]))
    expect(defaults).toMatchObject({
      'cleanup.policy': 'delete',
      'compression.type': 'producer',
      'delete.retention.ms': '86400000',
      'flush.messages': '9223372036854775807',
      'max.message.bytes': '1048588',
      'message.timestamp.after.max.ms': '3600000',
      'message.timestamp.type': 'CreateTime',
      'min.insync.replicas': '1',
      'retention.bytes': '-1',
      'retention.ms': '604800000',
      'segment.bytes': '1073741824',
      'segment.jitter.ms': '0',
      'segment.ms': '604800000',
      'unclean.leader.election.enable': 'false',
    })
    expect(TOPIC_KEYS.size).toBe(33)
  })

  test('every broker key that a topic setting falls back to is a broker key', () => {
    const missing = [...TOPIC_KEYS.values()].flatMap((key) =>
      key.brokerKeys.filter(({ name }) => !BROKER_KEYS.has(name)),
    )
    expect(missing).toEqual([])
  })

  test('the keys of a Kafka server.properties are known, each once, in alphabetical order', () => {
    const names = [...BROKER_KEYS.keys()]
    expect(names).toEqual([...names].sort())
    expect(names.length).toBeGreaterThan(330)
    for (const name of ['num.io.threads', 'ssl.keystore.location', 'log.cleaner.threads'])
      expect(BROKER_KEYS.get(name)?.effect).toBe('none')
    for (const name of ['node.id', 'listeners', 'log.dirs', 'flush.mode', 'log.retention.hours', 'min.insync.replicas'])
      expect(BROKER_KEYS.get(name)?.effect).toBe('yes')
    for (const name of ['group.max.size', 'offsets.topic.replication.factor', 'group.consumer.assignors'])
      expect(BROKER_KEYS.get(name)?.effect).toBe('yes')
  })

  test('every key with an effect tells what it does', () => {
    const silent = [...TOPIC_KEYS.values(), ...BROKER_KEYS.values()].filter((key) => key.documentation.length < 15)
    expect(silent).toEqual([])
  })
})

describe('a value that is none', () => {
  test.each([
    ['segment.bytes', '-1'],
    ['segment.bytes', '1048575'],
    ['segment.bytes', '2147483648'],
    ['segment.bytes', '1e9'],
    ['segment.bytes', ''],
    ['retention.ms', '9223372036854775808'],
    ['retention.ms', '-2'],
    ['retention.ms', 'a week'],
    ['cleanup.policy', 'delete,shred'],
    ['cleanup.policy', 'delete,delete'],
    ['compression.type', 'Gzip'],
    ['compression.gzip.level', '0'],
    ['min.cleanable.dirty.ratio', '1.5'],
    ['min.cleanable.dirty.ratio', 'NaN'],
    ['min.insync.replicas', '0'],
    ['unclean.leader.election.enable', 'yes'],
    ['leader.replication.throttled.replicas', '1-2'],
    ['message.timestamp.type', 'CreatedTime'],
    ['no.such.key', '1'],
    ['__proto__', '1'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(topicConfigProblem(name, value)).toContain(name)
  })

  test('a huge value is not repeated in full', () => {
    expect((topicConfigProblem('cleanup.policy', 'x'.repeat(1_000_000)) as string).length).toBeLessThan(500)
    expect((topicConfigProblem('retention.ms', '9'.repeat(1_000_000)) as string).length).toBeLessThan(500)
  })

  test('an unknown broker key is accepted, a known one is checked', () => {
    expect(brokerConfigProblem('my.plugin.setting', 'x')).toBeNull()
    expect(brokerConfigProblem('num.io.threads', 'many')).toContain('num.io.threads')
  })
})

describe('a value', () => {
  test.each([
    ['retention.ms', '-1'],
    ['retention.ms', '9223372036854775807'],
    ['retention.bytes', '1000'],
    ['cleanup.policy', 'compact, delete'],
    ['cleanup.policy', ''],
    ['leader.replication.throttled.replicas', '*'],
    ['leader.replication.throttled.replicas', '0:1,1:2'],
    ['min.cleanable.dirty.ratio', '0.01'],
    ['unclean.leader.election.enable', 'TRUE'],
    ['message.format.version', '3.0'],
  ])('%s=%s is accepted', (name, value) => {
    expect(topicConfigProblem(name, value)).toBeNull()
  })
})

describe('the settings of a topic', () => {
  test('without any override are the defaults, parsed', () => {
    expect(effectiveTopicConfig(NONE, NONE)).toEqual({
      cleanupPolicy: ['delete'],
      compressionType: 'producer',
      deleteRetentionMs: 86_400_000,
      fileDeleteDelayMs: 60_000,
      indexIntervalBytes: 4096,
      maxCompactionLagMs: LONG_MAX,
      maxMessageBytes: 1_048_588,
      messageTimestampAfterMaxMs: 3_600_000,
      messageTimestampBeforeMaxMs: LONG_MAX,
      messageTimestampType: 'CreateTime',
      minCleanableDirtyRatio: 0.5,
      minCompactionLagMs: 0,
      minInsyncReplicas: 1,
      retentionBytes: -1,
      retentionMs: 604_800_000,
      segmentBytes: 1_073_741_824,
      segmentIndexBytes: 10_485_760,
      segmentJitterMs: 0,
      segmentMs: 604_800_000,
      uncleanLeaderElectionEnable: false,
    })
  })

  test("come from the topic first, then from the nearest of the broker's keys", () => {
    const broker = properties({ 'log.retention.hours': '2', 'log.retention.minutes': '3' })
    expect(effectiveTopicConfig(NONE, broker).retentionMs).toBe(180_000)
    expect(effectiveTopicConfig(NONE, layered(properties({ 'log.retention.ms': '7' }), broker)).retentionMs).toBe(7)
    expect(effectiveTopicConfig(properties({ 'retention.ms': '5' }), broker).retentionMs).toBe(5)
  })

  test('are unlimited where any unit says -1', () => {
    expect(effectiveTopicConfig(NONE, properties({ 'log.retention.hours': '-1' })).retentionMs).toBe(-1)
    expect(effectiveTopicConfig(NONE, properties({ 'log.retention.ms': '-5' })).retentionMs).toBe(-1)
  })

  test('pass over a broker value that does not parse', () => {
    expect(effectiveTopicConfig(NONE, properties({ 'log.segment.bytes': 'big' })).segmentBytes).toBe(1_073_741_824)
  })

  test('can contradict each other', () => {
    const contradiction = properties({ 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '9' })
    expect(topicConfigsProblem(contradiction, NONE)).toContain('min.compaction.lag.ms')
    expect(topicConfigsProblem(properties({ 'remote.storage.enable': 'true' }), NONE)).toContain('tiered')
    expect(topicConfigsProblem(NONE, NONE)).toBeNull()
  })
})

describe('the settings of a group', () => {
  const SESSION = 'consumer.session.timeout.ms'

  test('are those of the broker where the group has none', () => {
    const broker = properties({ 'group.consumer.heartbeat.interval.ms': '4000' })
    expect(effectiveGroupTimes(properties({ [SESSION]: '50000' }), broker)).toEqual({
      sessionTimeoutMs: 50_000,
      heartbeatIntervalMs: 4000,
      assignmentIntervalMs: 1000,
    })
  })

  test('lie within the bounds that the broker draws', () => {
    expect(groupConfigProblem(SESSION, '45000', NONE)).toBeNull()
    expect(groupConfigProblem(SESSION, '44999', NONE)).toContain("45000, the broker's group.consumer.min.session")
    expect(groupConfigProblem(SESSION, '60001', NONE)).toContain("60000, the broker's group.consumer.max.session")
    expect(groupConfigProblem(SESSION, '1', properties({ 'group.consumer.min.session.timeout.ms': '1' }))).toBeNull()
    expect(groupConfigProblem(SESSION, 'x', NONE)).toContain('not a whole number')
    expect(groupConfigProblem('share.session.timeout.ms', '45000', NONE)).toContain('no group setting')
  })

  test('may be set to what they are by default', () => {
    for (const { name, default: value } of GROUP_KEYS.values())
      expect(groupConfigProblem(name, value ?? '', NONE)).toBeNull()
  })

  test('have a session that outlasts the interval of heartbeats', () => {
    const heartbeat = properties({ 'consumer.heartbeat.interval.ms': '45000' })
    expect(groupConfigsProblem(heartbeat, NONE)).toContain('must be more than')
    expect(groupConfigsProblem(NONE, NONE)).toBeNull()
  })
})
