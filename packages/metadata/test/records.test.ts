import { describe, expect, test } from 'vitest'
import { decodeBatch, encodeBatch } from '../src/index.ts'
import type { MetadataRecord } from '../src/index.ts'

const topicId = 'AAAAAAAAAAAAAAAAAAAABQ'
const directoryId = 'AAAAAAAAAAAAAAAAAAAABg'
const unchanged = {
  isr: null,
  elr: null,
  lastKnownElr: null,
  directories: null,
  replicas: null,
  addingReplicas: null,
  removingReplicas: null,
}

/**
 * The bytes of every kind of record. They are in the logs and snapshots of clusters that exist: a change here means that those can no
 * longer be read. A new version of a record gets new bytes beside the old ones.
 */
const PINNED: readonly [MetadataRecord, string][] = [
  [{ name: 'cluster', value: { clusterId: 'Mk' } }, '0100034d6b00'],
  [{ name: 'topic', value: { topicId, name: 't' } }, '020000000000000000000000000000000005027400'],
  [
    {
      name: 'partition',
      value: {
        topicId,
        partition: 2,
        replicas: [1, 2],
        directories: [directoryId, directoryId],
        isr: [1],
        leader: 1,
        leaderEpoch: 3,
        partitionEpoch: 4,
        leaderRecovery: 0,
        elr: [2],
        lastKnownElr: [],
        addingReplicas: [],
        removingReplicas: [],
      },
    },
    '030000000000000000000000000000000005000000020300000001000000020300000000000000000000000000000006000000000000000000000000000000060200000001000000010000000300000004000100050200000002',
  ],
  [
    {
      name: 'partitionChange',
      value: {
        topicId,
        partition: 2,
        leader: -1,
        leaderEpoch: 4,
        partitionEpoch: 5,
        leaderRecovery: 1,
        ...unchanged,
        isr: [],
        elr: [1],
      },
    },
    '04000000000000000000000000000000000500000002ffffffff0000000400000005010200010101050200000001',
  ],
  [{ name: 'removeTopic', value: { topicId } }, '05000000000000000000000000000000000500'],
  [
    {
      name: 'registerBroker',
      value: {
        brokerId: 7,
        incarnationId: topicId,
        rack: null,
        endpoints: [{ name: 'PEER', host: 'h', port: 9, securityProtocol: 'PLAINTEXT' }],
        directories: [directoryId],
        flushMode: 1,
        protocolVersion: 1,
        fenced: true,
        shuttingDown: false,
        epoch: -1,
      },
    },
    '06000000000700000000000000000000000000000005000205504545520268000000090a504c41494e544558540002000000000000000000000000000000060100000001010000',
  ],
  [
    { name: 'brokerChange', value: { brokerId: 7, brokerEpoch: 9, fenced: 0, shuttingDown: -1, directories: null } },
    '070000000007000000000000000901000100',
  ],
  [{ name: 'unregisterBroker', value: { brokerId: 7, brokerEpoch: 9 } }, '080000000007000000000000000900'],
  [{ name: 'config', value: { resourceKind: 2, resourceName: 't', name: 'a', value: null } }, '090002027402610000'],
  [
    { name: 'featureLevel', value: { name: 'metadata.version', level: 1 } },
    '0a00116d657461646174612e76657273696f6e000100',
  ],
  [
    { name: 'producerIds', value: { brokerId: 7, brokerEpoch: 9, nextProducerId: 1000 } },
    '0b0000000007000000000000000900000000000003e800',
  ],
  [{ name: 'noOp', value: {} }, '0c0000'],
]

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('the bytes of a record', () => {
  test.each(PINNED)('stay what they are: %j', (record, bytes) => {
    expect(hex(encodeBatch([record]))).toBe(`0101${bytes}`)
    expect(decodeBatch(Buffer.from(`0101${bytes}`, 'hex'))).toEqual([record])
  })

  test('are pinned for every kind', () => {
    expect(new Set(PINNED.map(([{ name }]) => name)).size).toBe(12)
  })

  test('follow each other in a batch after its format and their number', () => {
    const records = PINNED.map(([record]) => record)
    expect(hex(encodeBatch(records))).toBe(`010c${PINNED.map(([, bytes]) => bytes).join('')}`)
    expect(decodeBatch(encodeBatch(records))).toEqual(records)
    expect(hex(encodeBatch([]))).toBe('0100')
  })
})
