import { BROKER_KEYS, ErrorCode, GROUP_KEYS, TOPIC_KEYS } from '@millrace/base'
import { DescribeConfigsApi } from '@millrace/protocol'
import type { DescribeConfigsResponse } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { harness } from './harness.ts'
import type { TestClient } from './harness.ts'

type Result = DescribeConfigsResponse['results'][number]

function ask(
  client: TestClient,
  resourceType: number,
  resourceName: string,
  { keys = null, version = 4 }: { keys?: readonly string[] | null; version?: number } = {},
): Result {
  const answer = client.ask(DescribeConfigsApi, version, {
    resources: [{ resourceType, resourceName, configurationKeys: keys }],
    includeSynonyms: true,
    includeDocumentation: version >= 3,
  })
  return answer.results[0] as Result
}

const entry = (result: Result, name: string) => result.configs.find((one) => one.name === name)

describe('DescribeConfigs', () => {
  test.each([1, 2, 3, 4])('of a topic lists every known key in version %i', (version) => {
    const { broker, connect } = harness()
    broker.topic('t')
    const result = ask(connect(), 2, 't', { version })
    expect(result.configs.map(({ name }) => name).sort()).toEqual([...TOPIC_KEYS.keys()].sort())
    expect(entry(result, 'retention.ms')).toMatchObject({ value: '604800000', configSource: 5, isSensitive: false })
  })

  test('tells where a value comes from, and its synonyms by precedence', () => {
    const { broker, connect } = harness({ properties: { 'log.retention.hours': '2', 'log.segment.bytes': '2097152' } })
    broker.topic('t')
    const client = connect()
    expect(entry(ask(client, 2, 't'), 'retention.ms')).toMatchObject({ value: '7200000', configSource: 4 })
    broker.image.set({ kind: 'broker', name: '' }, 'log.retention.ms', '5000')
    expect(entry(ask(client, 2, 't'), 'retention.ms')).toMatchObject({ value: '5000', configSource: 3 })
    broker.image.set({ kind: 'broker', name: '1' }, 'log.retention.ms', '6000')
    broker.image.set({ kind: 'topic', name: 't' }, 'retention.ms', '7000')
    const own = entry(ask(client, 2, 't'), 'retention.ms')
    expect(own).toMatchObject({ value: '7000', configSource: 1, configType: 5 })
    expect(own?.synonyms.slice(0, 4)).toEqual([
      { name: 'retention.ms', value: '7000', source: 1 },
      { name: 'log.retention.ms', value: '6000', source: 2 },
      { name: 'log.retention.ms', value: '5000', source: 3 },
      { name: 'log.retention.hours', value: '2', source: 4 },
    ])
    expect(own?.synonyms.at(-1)).toMatchObject({ value: '604800000', source: 5 })
    expect(own?.documentation).toMatch(/\w/)
  })

  test('of a group, there or not, lists its keys with the keys of the broker that stand in for them', () => {
    const { broker, connect } = harness({ properties: { 'group.consumer.heartbeat.interval.ms': '6000' } })
    broker.image.set({ kind: 'group', name: 'g' }, 'consumer.session.timeout.ms', '50000')
    const client = connect()
    const result = ask(client, 32, 'g')
    expect(result.configs.map(({ name }) => name)).toEqual([...GROUP_KEYS.keys()])
    expect(entry(result, 'consumer.session.timeout.ms')).toMatchObject({
      value: '50000',
      configSource: 8,
      readOnly: false,
      configType: 3,
      synonyms: [
        { name: 'consumer.session.timeout.ms', value: '50000', source: 8 },
        { name: 'group.consumer.session.timeout.ms', value: '45000', source: 5 },
      ],
    })
    expect(entry(result, 'consumer.heartbeat.interval.ms')).toMatchObject({ value: '6000', configSource: 4 })
    expect(entry(ask(client, 32, 'none'), 'consumer.session.timeout.ms')).toMatchObject({
      value: '45000',
      configSource: 5,
    })
    expect(ask(client, 32, '')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, configs: [] })
  })

  test('of this broker lists every known key, those of its file, and no secrets', () => {
    const { broker, connect } = harness({
      properties: {
        'node.id': '1',
        'ssl.keystore.password': 'hush',
        'some.plugin.secret': 'hush',
        'log.dirs': '/data',
      },
    })
    broker.image.set({ kind: 'broker', name: '1' }, 'fetch.max.bytes', '1048576')
    const result = ask(connect(), 4, '1')
    for (const name of BROKER_KEYS.keys()) expect(entry(result, name)).toBeDefined()
    expect(entry(result, 'default.replication.factor')).toMatchObject({ value: '1', configSource: 5 })
    expect(entry(result, 'log.dirs')).toMatchObject({ value: '/data', configSource: 4, readOnly: true })
    expect(entry(result, 'fetch.max.bytes')).toMatchObject({ value: '1048576', configSource: 2 })
    expect(entry(result, 'log.retention.ms')).toMatchObject({ value: null, configSource: 5, synonyms: [] })
    expect(entry(result, 'some.plugin.secret')).toMatchObject({ value: null, isSensitive: true })
    expect(JSON.stringify(result)).not.toContain('hush')
  })

  test('gives only the keys that are named; no names mean all', () => {
    const { broker, connect } = harness()
    broker.topic('t')
    const client = connect()
    expect(ask(client, 2, 't', { keys: ['cleanup.policy', 'nonsense'] }).configs.map(({ name }) => name)).toEqual([
      'cleanup.policy',
    ])
    expect(ask(client, 2, 't', { keys: [] }).configs).toHaveLength(TOPIC_KEYS.size)
  })

  test('of the cluster-wide default lists what somebody set', () => {
    const { broker, connect } = harness()
    const client = connect()
    expect(ask(client, 4, '').configs).toEqual([])
    broker.image.set({ kind: 'broker', name: '' }, 'log.retention.ms', '5000')
    expect(ask(client, 4, '').configs).toMatchObject([{ name: 'log.retention.ms', value: '5000', configSource: 3 }])
  })

  test('of what is not there, or is not to be asked here, is an error with words', () => {
    const { connect } = harness()
    const client = connect()
    expect(ask(client, 2, 'nowhere')).toMatchObject({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, configs: [] })
    expect(ask(client, 4, '7')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, configs: [] })
    expect(ask(client, 99, 'x')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, configs: [] })
    expect(ask(client, 8, '1')).toMatchObject({ errorCode: 0, configs: [] })
  })
})
