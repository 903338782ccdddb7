import { expect, test } from 'vitest'
import { decodeGroupRecord, encodeGroupRecord } from '../../src/index.ts'
import { ShardHarness, subscription } from '../shard-harness.ts'

/**
 * What Apache Kafka 4.3.1 wrote for one consumer (librdkafka's) of group `grp` that joined, read three records of `top`, and left: a group that was
 * just made, its first generation, the commit, and the group that is empty again.
 */
const LOG = [
  ['00020003677270', '0003000000000000ffffffff000001a208531de000000000'],
  [
    '00020003677270',
    '00030008636f6e73756d657200000001000572616e6765002b7265616465722d62303039356431352d663861362d346436622d61316365' +
      '2d333734363031636235306634000001a208531e0c00000001002b7265616465722d62303039356431352d663861362d346436622d6131' +
      '63652d333734363031636235306634ffff0006726561646572000a2f3132372e302e302e31000493e00000afc800000013000100000001' +
      '0003746f700000000000000000000000170000000000010003746f70000000010000000000000000',
  ],
  [
    '000100036772700003746f7000000000',
    '00040000000000000003ffffffff01000001a208531f1001001006c0ffd489c64513936c5db6e7108178',
  ],
  ['00020003677270', '00030008636f6e73756d657200000002ffffffff000001a208531f4e00000000'],
] as const

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const records = LOG.map(([key, value]) => ({ key: bytes(key), value: bytes(value) }))

test('what Kafka wrote of a classic group is what we write, byte for byte', () => {
  for (const at of [0, 1, 3]) {
    const { key, value } = records[at] as (typeof records)[number]
    const record = decodeGroupRecord(key, value)
    expect(record && encodeGroupRecord(record)).toEqual({ key, value })
  }
})

test('an offset in the version of newer brokers is read, and written in the one that all tools read', () => {
  const { key, value } = records[2] as (typeof records)[number]
  const record = decodeGroupRecord(key, value)
  expect(record).toMatchObject({
    value: { offset: 3, leaderEpoch: -1, metadata: '', topicId: 'BsD_1InGRROTbF225xCBeA' },
  })
  expect(record && encodeGroupRecord(record)).toEqual({
    key,
    value: bytes('00030000000000000003ffffffff0000000001a208531f10'),
  })
})

test('a log of Kafka tells its group and offsets', () => {
  const harness = new ShardHarness()
  harness.reload(records.slice(0, 3))
  const view = harness.shard.group('grp')
  expect(view).toMatchObject({ state: 'Stable', generation: 1, members: 1, protocolType: 'consumer' })
  const described: unknown[] = []
  const reply = (response: unknown): unknown => described.push(response)
  harness.took(harness.shard.handle({ kind: 'describeGroup', groupId: 'grp', reply }, harness.nowMs))
  const memberId = 'reader-b0095d15-f8a6-4d6b-a1ce-374601cb50f4'
  const metadata = subscription(['top'])
  expect(described).toMatchObject([{ protocol: 'range', members: [{ memberId, clientId: 'reader', metadata }] }])
  harness.reload(records)
  expect(harness.shard.group('grp')).toMatchObject({ state: 'Empty', generation: 2, members: 0 })
  expect(harness.fetch(null, 'grp')).toEqual({ 'top:0': 3 })
})
