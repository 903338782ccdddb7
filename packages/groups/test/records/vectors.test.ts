import { DecodeError, EncodeError } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { decodeGroupRecord, encodeGroupRecord } from '../../src/index.ts'
import type { GroupRecord } from '../../src/index.ts'

/** Bytes by hand: hexadecimal, and text in quotes; blanks mean nothing. */
function bytes(text: string): Uint8Array {
  const parts = text.match(/'[^']*'|[0-9a-f]{2}/g) ?? []
  return Uint8Array.from(
    parts.flatMap((part) =>
      part.startsWith("'") ? Array.from(part.slice(1, -1), (one) => one.charCodeAt(0)) : [parseInt(part, 16)],
    ),
  )
}

const ID = 'AAECAwQFBgcICQoLDA0ODw'
const ID_BYTES = '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f'
const group = { groupId: 'g' }
const member = { groupId: 'g', memberId: 'm-1' }

const VECTORS: readonly (readonly [what: string, record: GroupRecord, key: string, value: string])[] = [
  [
    'an offset',
    {
      name: 'offsetCommit',
      key: { groupId: 'g', topic: 'topic', partition: 258 },
      value: { offset: 77, leaderEpoch: 5, metadata: 'meta', commitMs: 0x18f0a1b2c3d, expireMs: -1, topicId: ID },
    },
    "0001 0001'g' 0005'topic' 00000102",
    "0003 000000000000004d 00000005 0004'meta' 0000018f0a1b2c3d",
  ],
  [
    'an offset with a retention of its own',
    {
      name: 'offsetCommit',
      key: { groupId: 'g', topic: 't', partition: 0 },
      value: { offset: 1, leaderEpoch: 5, metadata: '', commitMs: 2, expireMs: 3, topicId: ID },
    },
    "0001 0001'g' 0001't' 00000000",
    '0001 0000000000000001 0000 0000000000000002 0000000000000003',
  ],
  [
    'a classic group',
    {
      name: 'groupMetadata',
      key: group,
      value: {
        protocolType: 'consumer',
        generation: 3,
        protocol: 'range',
        leader: 'm-1',
        stateMs: 4660,
        members: [
          {
            memberId: 'm-1',
            groupInstanceId: null,
            clientId: 'c',
            clientHost: '/10.1.2.3',
            rebalanceTimeoutMs: 300_000,
            sessionTimeoutMs: 45_000,
            subscription: bytes('0001 00000000'),
            assignment: bytes('ff'),
          },
        ],
      },
    },
    "0002 0001'g'",
    `0003 0008'consumer' 00000003 0005'range' 0003'm-1' 0000000000001234 00000001
     0003'm-1' ffff 0001'c' 0009'/10.1.2.3' 000493e0 0000afc8 00000006 000100000000 00000001 ff`,
  ],
  [
    'a classic group without members',
    {
      name: 'groupMetadata',
      key: group,
      value: { protocolType: '', generation: 0, protocol: null, leader: null, stateMs: 1, members: [] },
    },
    "0002 0001'g'",
    '0003 0000 00000000 ffff ffff 0000000000000001 00000000',
  ],
  [
    'the epoch of a group',
    { name: 'consumerGroup', key: group, value: { epoch: 10, metadataHash: 0 } },
    "0003 0001'g'",
    '0000 0000000a 00',
  ],
  [
    'the epoch of a group and the hash of its topics',
    { name: 'consumerGroup', key: group, value: { epoch: 10, metadataHash: 0x0010_0000_0000_0001 } },
    "0003 0001'g'",
    '0000 0000000a 01 00 08 0010000000000001',
  ],
  [
    'what a member told',
    {
      name: 'consumerMember',
      key: member,
      value: {
        instanceId: 'i',
        rackId: null,
        clientId: 'c',
        clientHost: '/h',
        topicNames: ['a', 'bc'],
        topicRegex: null,
        rebalanceTimeoutMs: 300_000,
        serverAssignor: 'uniform',
        classic: null,
      },
    },
    "0005 0001'g' 0003'm-1'",
    "0000 02'i' 00 02'c' 03'/h' 03 02'a' 03'bc' 00 000493e0 08'uniform' 00",
  ],
  [
    'what a member told in the classic protocol',
    {
      name: 'consumerMember',
      key: member,
      value: {
        instanceId: null,
        rackId: 'r',
        clientId: '',
        clientHost: '',
        topicNames: [],
        topicRegex: '.*',
        rebalanceTimeoutMs: -1,
        serverAssignor: null,
        classic: { sessionTimeoutMs: 45_000, protocols: [{ name: 'range', metadata: bytes('0a0b') }] },
      },
    },
    "0005 0001'g' 0003'm-1'",
    "0000 00 02'r' 01 01 01 03'.*' ffffffff 00 01 00 11 01 0000afc8 02 06'range' 03 0a0b 00 00",
  ],
  [
    'when the targets were computed',
    { name: 'targetMetadata', key: group, value: { epoch: 11, assignedMs: 255 } },
    "0006 0001'g'",
    '0000 0000000b 01 00 08 00000000000000ff',
  ],
  [
    'the target of a member',
    { name: 'targetMember', key: member, value: { topics: [{ topicId: ID, partitions: [0, 7] }] } },
    "0007 0001'g' 0003'm-1'",
    `0000 02 ${ID_BYTES} 03 00000000 00000007 00 00`,
  ],
  [
    'what a member has',
    {
      name: 'currentAssignment',
      key: member,
      value: {
        memberEpoch: 11,
        previousEpoch: 10,
        state: 1,
        assigned: [{ topicId: ID, partitions: [1], epochs: null }],
        revoking: [{ topicId: ID, partitions: [2, 3], epochs: [9, 10] }],
      },
    },
    "0008 0001'g' 0003'm-1'",
    `0000 0000000b 0000000a 01 02 ${ID_BYTES} 02 00000001 00
     02 ${ID_BYTES} 03 00000002 00000003 01 00 09 03 00000009 0000000a 00`,
  ],
  [
    'what a regular expression stood for',
    {
      name: 'regularExpression',
      key: { groupId: 'g', regex: 'a.*' },
      value: { topics: ['ab'], version: 12, resolvedMs: 13 },
    },
    "0010 0001'g' 0003'a.*'",
    "0000 02 03'ab' 000000000000000c 000000000000000d 00",
  ],
]

describe('the bytes of', () => {
  test.each(VECTORS)('%s', (_, record, key, value) => {
    expect(encodeGroupRecord(record)).toEqual({ key: bytes(key), value: bytes(value) })
    const read = decodeGroupRecord(bytes(key), bytes(value))
    // What a version lacks comes back as its fallback.
    const lost = record.name === 'offsetCommit' ? { topicId: 'AAAAAAAAAAAAAAAAAAAAAA' } : {}
    const epoch = record.name === 'offsetCommit' && record.value?.expireMs !== -1 ? { leaderEpoch: -1 } : {}
    expect(read).toEqual({ ...record, value: { ...record.value, ...lost, ...epoch } })
  })

  test.each(VECTORS)('a tombstone of %s', (_, record, key) => {
    const tombstone = { name: record.name, key: record.key, value: null } as GroupRecord
    expect(encodeGroupRecord(tombstone)).toEqual({ key: bytes(key), value: null })
    expect(decodeGroupRecord(bytes(key), null)).toEqual(tombstone)
  })
})

describe('what others wrote', () => {
  const key = bytes("0001 0001'g' 0001't' 00000001")

  test('is read in all versions of offsets', () => {
    const value = { leaderEpoch: -1, metadata: 'm', commitMs: 2, expireMs: -1, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }
    const read = (text: string): unknown => decodeGroupRecord(key, bytes(text))?.value
    expect(read("0000 0000000000000009 0001'm' 0000000000000002")).toEqual({ ...value, offset: 9 })
    expect(read("0001 0000000000000009 0001'm' 0000000000000002 0000000000000004")).toEqual({
      ...value,
      offset: 9,
      expireMs: 4,
    })
    expect(read("0002 0000000000000009 0001'm' 0000000000000002")).toEqual({ ...value, offset: 9 })
    expect(read(`0004 0000000000000009 00000003 02'm' 0000000000000002 01 00 10 ${ID_BYTES}`)).toEqual({
      ...value,
      offset: 9,
      leaderEpoch: 3,
      topicId: ID,
    })
  })

  test('of offsets under the oldest key is the same', () => {
    const old = bytes("0000 0001'g' 0001't' 00000001")
    const value = bytes('0000 0000000000000009 0000 0000000000000002')
    expect(decodeGroupRecord(old, value)).toEqual(decodeGroupRecord(key, value))
  })

  test('of groups is read in all versions', () => {
    const group2 = bytes("0002 0001'g'")
    const read = (text: string): unknown => decodeGroupRecord(group2, bytes(text))?.value
    const first = "0000 0000 00000001 0001'p' ffff 00000001 0001'm' 0001'c' 0001'h' 00000005 00000000 00000000"
    expect(read(first)).toMatchObject({
      generation: 1,
      stateMs: -1,
      members: [{ memberId: 'm', groupInstanceId: null, rebalanceTimeoutMs: -1, sessionTimeoutMs: 5 }],
    })
    const flexible = "0004 01 00000001 00 00 0000000000000007 02 02'm' 02'i' 01 01 00000001 00000002 01 01 00 00"
    expect(read(flexible)).toMatchObject({ stateMs: 7, members: [{ memberId: 'm', groupInstanceId: 'i' }] })
  })

  test('with a hash of 64 bits is read, and is none of ours', () => {
    const value = decodeGroupRecord(bytes("0003 0001'g'"), bytes('0000 00000001 01 00 08 8123456789abcdef'))?.value
    expect(Number.isSafeInteger((value as { metadataHash: number }).metadataHash)).toBe(false)
  })

  test('of kinds that are unknown here is passed over', () => {
    for (const type of ['000a', '000f', '0011', '0017', '7fff'])
      expect(decodeGroupRecord(bytes(`${type} 0001'g'`), bytes('0000'))).toBeNull()
  })

  test.each([
    ['an empty key', '', '0000'],
    ['a key that ends too soon', "0001 0001'g'", null],
    ['a key with something after it', "0002 0001'g' 00", null],
    ['a version that is unknown', "0002 0001'g'", '0005'],
    ['a value that ends too soon', "0003 0001'g'", '0000 0000'],
    ['a value with something after it', "0003 0001'g'", '0000 00000001 00 00'],
    ['members that are not there', "0002 0001'g'", '0003 0000 00000000 ffff ffff 0000000000000001 7fffffff'],
  ])('as %s is refused', (_, badKey, badValue) => {
    const value = badValue === null ? null : bytes(badValue)
    expect(() => decodeGroupRecord(bytes(badKey), value)).toThrow(DecodeError)
  })
})

test('a name that no string can hold is refused', () => {
  const record: GroupRecord = { name: 'consumerGroup', key: { groupId: 'x'.repeat(40_000) }, value: null }
  expect(() => encodeGroupRecord(record)).toThrow(EncodeError)
})
