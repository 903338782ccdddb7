import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { type ConfigOperation, createImage } from '../src/index.ts'
import { Harness } from './harness.ts'

function ready(properties: Record<string, string> = {}): Harness {
  const cluster = new Harness(properties).start(1)
  cluster.topic('t', [[1]])
  return cluster
}

function alter(
  cluster: Harness,
  kind: number,
  name: string,
  ...operations: readonly ConfigOperation[]
): number | undefined {
  const resources = [{ kind, name, operations }]
  return cluster.ask({ kind: 'incrementalAlterConfigs', validateOnly: false, resources })[0]?.error
}

const set = (name: string, value: string | null): ConfigOperation => ({ name, operation: 'set', value })
const settings = (cluster: Harness, kind: 'topic' | 'broker' | 'group' = 'topic', name = 't'): Record<string, string> =>
  Object.fromEntries(cluster.image.configs({ kind, name }))

describe('changing single settings', () => {
  test('sets and deletes them', () => {
    const cluster = ready()
    expect(alter(cluster, 2, 't', set('retention.ms', '5'), set('segment.ms', '6'))).toBe(0)
    expect(settings(cluster)).toEqual({ 'retention.ms': '5', 'segment.ms': '6' })
    expect(alter(cluster, 2, 't', { name: 'retention.ms', operation: 'delete', value: null })).toBe(0)
    expect(settings(cluster)).toEqual({ 'segment.ms': '6' })
  })

  test('writes nothing when nothing changes', () => {
    const cluster = ready()
    alter(cluster, 2, 't', set('retention.ms', '5'))
    expect(alter(cluster, 2, 't', set('retention.ms', '5'))).toBe(0)
    expect(cluster.records).toEqual([])
    expect(alter(cluster, 2, 't', { name: 'segment.ms', operation: 'delete', value: null })).toBe(0)
    expect(cluster.records).toEqual([])
  })

  test('adds to lists and takes out of them, starting from the value that counts', () => {
    const cluster = ready({ 'log.cleanup.policy': 'compact' })
    const list = (operation: 'append' | 'subtract', value: string): number | undefined =>
      alter(cluster, 2, 't', { name: 'cleanup.policy', operation, value })
    expect(list('append', 'delete')).toBe(0)
    expect(settings(cluster)).toEqual({ 'cleanup.policy': 'compact,delete' })
    list('append', 'delete')
    expect(settings(cluster)).toEqual({ 'cleanup.policy': 'compact,delete' })
    list('subtract', 'compact')
    expect(settings(cluster)).toEqual({ 'cleanup.policy': 'delete' })
    expect(list('append', 'shred')).toBe(ErrorCode.INVALID_CONFIG)
    expect(alter(cluster, 2, 't', { name: 'retention.ms', operation: 'append', value: '1' })).toBe(
      ErrorCode.INVALID_CONFIG,
    )
  })

  test('of one resource happens in full or not at all, and the others are not concerned', () => {
    const cluster = ready()
    cluster.topic('u', [[1]])
    const resources = [
      { kind: 2, name: 't', operations: [set('retention.ms', '5'), set('segment.bytes', '-1')] },
      { kind: 2, name: 'u', operations: [set('retention.ms', '7')] },
    ]
    const results = cluster.ask({ kind: 'incrementalAlterConfigs', validateOnly: false, resources })
    expect(results.map(({ error }) => error)).toEqual([ErrorCode.INVALID_CONFIG, 0])
    expect(results[0]?.message).toContain('segment.bytes')
    expect(settings(cluster)).toEqual({})
    expect(settings(cluster, 'topic', 'u')).toEqual({ 'retention.ms': '7' })
  })

  test('that is only validated changes nothing and still finds what is wrong', () => {
    const cluster = ready()
    const ask = (value: string): number | undefined =>
      cluster.ask({
        kind: 'incrementalAlterConfigs',
        validateOnly: true,
        resources: [{ kind: 2, name: 't', operations: [set('retention.ms', value)] }],
      })[0]?.error
    expect([ask('5'), ask('soon')]).toEqual([0, ErrorCode.INVALID_CONFIG])
    expect(settings(cluster)).toEqual({})
  })

  test.each([
    ['an unknown topic', 2, 'x', set('retention.ms', '5'), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ['an unknown setting', 2, 't', set('retention', '5'), ErrorCode.INVALID_CONFIG],
    ['null', 2, 't', set('retention.ms', null), ErrorCode.INVALID_REQUEST],
    [
      'a value without end',
      2,
      't',
      set('follower.replication.throttled.replicas', '0:1,'.repeat(8192) + '0:1'),
      ErrorCode.INVALID_CONFIG,
    ],
    [
      'the replicas of a large topic',
      2,
      't',
      set('follower.replication.throttled.replicas', '0:1,'.repeat(8190) + '0:1'),
      ErrorCode.NONE,
    ],
    ['text of many bytes', 4, '', set('some.text', 'ä'.repeat(16_384)), ErrorCode.INVALID_CONFIG],
    ['a contradiction', 2, 't', set('min.compaction.lag.ms', '9223372036854775807'), ErrorCode.NONE],
    ['an unknown broker', 4, '9', set('log.retention.ms', '5'), ErrorCode.BROKER_ID_NOT_REGISTERED],
    ['a broker with a name', 4, 'one', set('log.retention.ms', '5'), ErrorCode.INVALID_REQUEST],
    ['another kind of resource', 8, '1', set('x', 'y'), ErrorCode.INVALID_REQUEST],
    ['what a broker reads at its start', 4, '', set('log.dirs', '/x'), ErrorCode.INVALID_REQUEST],
    ['a wrong value of a broker', 4, '', set('log.retention.ms', 'x'), ErrorCode.INVALID_CONFIG],
    ['what only Kafka knows', 4, '1', set('num.io.threads', '4'), ErrorCode.NONE],
    ['what nobody knows', 4, '1', set('my.plugin', 'x'), ErrorCode.NONE],
    ['a setting without name', 4, '1', set('', 'x'), ErrorCode.INVALID_REQUEST],
    ['the minimum of one broker', 4, '1', set('min.insync.replicas', '2'), ErrorCode.INVALID_CONFIG],
  ])('of %s', (_, kind, name, operation, error) => {
    expect(alter(ready(), kind, name, operation)).toBe(error)
  })

  test('with the same setting or the same resource twice is refused', () => {
    const cluster = ready()
    expect(alter(cluster, 2, 't', set('retention.ms', '5'), set('retention.ms', '6'))).toBe(ErrorCode.INVALID_REQUEST)
    const resources = [0, 1].map(() => ({ kind: 2, name: 't', operations: [set('retention.ms', '5')] }))
    const results = cluster.ask({ kind: 'incrementalAlterConfigs', validateOnly: false, resources })
    expect(results.map(({ error }) => error)).toEqual([0, ErrorCode.INVALID_REQUEST])
  })

  test('that only contradict each other together are refused', () => {
    const cluster = ready()
    expect(alter(cluster, 2, 't', set('min.compaction.lag.ms', '10'), set('max.compaction.lag.ms', '9'))).toBe(
      ErrorCode.INVALID_CONFIG,
    )
  })

  test('cannot remove the minimum of the cluster, only change it', () => {
    const cluster = ready()
    const remove: ConfigOperation = { name: 'min.insync.replicas', operation: 'delete', value: null }
    expect(alter(cluster, 4, '', remove)).toBe(ErrorCode.INVALID_CONFIG)
    expect(alter(cluster, 4, '', set('min.insync.replicas', '2'))).toBe(0)
    expect(settings(cluster, 'broker', '')).toEqual({ 'min.insync.replicas': '2' })
  })

  test('accepts what old tools still set and keeps nothing of it', () => {
    const cluster = ready()
    expect(alter(cluster, 2, 't', set('message.format.version', '2.8'))).toBe(0)
    expect(settings(cluster)).toEqual({})
  })
})

describe('replacing all settings', () => {
  const replace = (
    cluster: Harness,
    kind: number,
    name: string,
    values: Record<string, string | null>,
  ): number | undefined => {
    const configs = Object.entries(values).map(([key, value]) => ({ name: key, value }))
    return cluster.ask({ kind: 'alterConfigs', validateOnly: false, resources: [{ kind, name, configs }] })[0]?.error
  }

  test('removes those that are not given', () => {
    const cluster = ready()
    alter(cluster, 2, 't', set('retention.ms', '5'))
    expect(replace(cluster, 2, 't', { 'segment.ms': '6' })).toBe(0)
    expect(settings(cluster)).toEqual({ 'segment.ms': '6' })
    expect(replace(cluster, 2, 't', {})).toBe(0)
    expect(settings(cluster)).toEqual({})
  })

  test('keeps the minimum of the cluster unless it is given', () => {
    const cluster = ready({ 'min.insync.replicas': '2' })
    expect(replace(cluster, 4, '', { 'log.retention.ms': '5' })).toBe(0)
    expect(settings(cluster, 'broker', '')).toEqual({ 'min.insync.replicas': '2', 'log.retention.ms': '5' })
    expect(replace(cluster, 4, '', { 'min.insync.replicas': '3' })).toBe(0)
    expect(settings(cluster, 'broker', '')).toEqual({ 'min.insync.replicas': '3' })
  })

  test('refuses null and whatever single changes refuse', () => {
    const cluster = ready()
    expect(replace(cluster, 2, 't', { 'retention.ms': null })).toBe(ErrorCode.INVALID_REQUEST)
    expect(replace(cluster, 2, 't', { nonsense: 'x' })).toBe(ErrorCode.INVALID_CONFIG)
    expect(replace(cluster, 2, 'x', {})).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })
})

describe('settings of a group', () => {
  const SESSION = 'consumer.session.timeout.ms'
  const HEARTBEAT = 'consumer.heartbeat.interval.ms'

  test('may be made before the group is there, and are kept by snapshots', () => {
    const cluster = ready()
    expect(alter(cluster, 32, 'g', set(SESSION, '50000'))).toBe(0)
    expect(settings(cluster, 'group', 'g')).toEqual({ [SESSION]: '50000' })
    expect([...cluster.image.configured('group').keys()]).toEqual(['g'])
    const loaded = createImage()
    loaded.load(1, cluster.machine.snapshot())
    expect(Object.fromEntries(loaded.configs({ kind: 'group', name: 'g' }))).toEqual({ [SESSION]: '50000' })
    expect(alter(cluster, 32, 'g', { name: SESSION, operation: 'delete', value: null })).toBe(0)
    expect(cluster.image.configured('group').size).toBe(0)
  })

  test('lie within the bounds of the cluster', () => {
    const cluster = ready()
    for (const value of ['44999', '60001', 'x', '']) expect(alter(cluster, 32, 'g', set(SESSION, value))).toBe(40)
    const wider = ready({
      'group.consumer.min.session.timeout.ms': '1000',
      'group.consumer.max.session.timeout.ms': '9000',
    })
    expect(alter(wider, 32, 'g', set(SESSION, '1000'), set(HEARTBEAT, '5000'))).toBe(ErrorCode.INVALID_CONFIG)
    expect(alter(wider, 32, 'g', set(SESSION, '5001'), set(HEARTBEAT, '5000'))).toBe(0)
  })

  test('have names that are known, of a group that has one', () => {
    const cluster = ready()
    expect(alter(cluster, 32, 'g', set('nonsense', '1'))).toBe(ErrorCode.INVALID_CONFIG)
    expect(alter(cluster, 32, 'g', { name: 'nonsense', operation: 'delete', value: null })).toBe(0)
    expect(alter(cluster, 32, 'g', { name: SESSION, operation: 'append', value: '1' })).toBe(ErrorCode.INVALID_CONFIG)
    expect(alter(cluster, 32, '', set(SESSION, '50000'))).toBe(ErrorCode.INVALID_REQUEST)
  })
})
