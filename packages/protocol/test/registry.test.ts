import { expect, test } from 'vitest'
import {
  apiByKey,
  APIS,
  ApiVersionsApi,
  ProduceApi,
  requestHeaderVersion,
  responseHeaderVersion,
} from '../src/index.ts'

test('the advertised ranges are the ones that every named client overlaps with', () => {
  const advertised = Object.fromEntries(APIS.map((api) => [`${api.key} ${api.name}`, api.advertised.join('-')]))
  expect(advertised).toEqual({
    '0 Produce': '0-13',
    '1 Fetch': '4-18',
    '2 ListOffsets': '1-11',
    '3 Metadata': '0-13',
    '8 OffsetCommit': '2-10',
    '9 OffsetFetch': '1-10',
    '10 FindCoordinator': '0-5',
    '11 JoinGroup': '0-9',
    '12 Heartbeat': '0-4',
    '13 LeaveGroup': '0-5',
    '14 SyncGroup': '0-5',
    '15 DescribeGroups': '0-6',
    '16 ListGroups': '0-5',
    '18 ApiVersions': '0-4',
    '19 CreateTopics': '2-7',
    '20 DeleteTopics': '1-6',
    '21 DeleteRecords': '0-2',
    '22 InitProducerId': '0-5',
    '23 OffsetForLeaderEpoch': '2-4',
    '29 DescribeAcls': '1-3',
    '30 CreateAcls': '1-3',
    '31 DeleteAcls': '1-3',
    '32 DescribeConfigs': '1-4',
    '33 AlterConfigs': '0-2',
    '34 AlterReplicaLogDirs': '1-2',
    '35 DescribeLogDirs': '1-5',
    '37 CreatePartitions': '0-3',
    '42 DeleteGroups': '0-2',
    '43 ElectLeaders': '0-2',
    '44 IncrementalAlterConfigs': '0-1',
    '45 AlterPartitionReassignments': '0-1',
    '46 ListPartitionReassignments': '0-0',
    '47 OffsetDelete': '0-0',
    '48 DescribeClientQuotas': '0-1',
    '49 AlterClientQuotas': '0-1',
    '50 DescribeUserScramCredentials': '0-0',
    '55 DescribeQuorum': '0-2',
    '57 UpdateFeatures': '0-2',
    '60 DescribeCluster': '0-2',
    '61 DescribeProducers': '0-0',
    '64 UnregisterBroker': '0-0',
    '65 DescribeTransactions': '0-0',
    '66 ListTransactions': '0-2',
    '68 ConsumerGroupHeartbeat': '0-1',
    '69 ConsumerGroupDescribe': '0-1',
    '74 ListConfigResources': '0-1',
    '75 DescribeTopicPartitions': '0-0',
  })
})

test('an API is found by its key', () => {
  for (const api of APIS) expect(apiByKey(api.key)).toBe(api)
  expect(apiByKey(4)).toBeUndefined()
  expect(apiByKey(-1)).toBeUndefined()
})

test('Produce decodes from 3 although it is advertised from 0', () => {
  expect(ProduceApi.versions).toEqual([3, 13])
  expect(ProduceApi.advertised).toEqual([0, 13])
  expect(APIS.filter((api) => api.versions.join() !== api.advertised.join())).toEqual([ProduceApi])
})

test('header versions follow the first flexible version, but an ApiVersions response never has tags in its header', () => {
  expect([8, 9].map((version) => requestHeaderVersion(ProduceApi, version))).toEqual([1, 2])
  expect([8, 9].map((version) => responseHeaderVersion(ProduceApi, version))).toEqual([0, 1])
  expect([0, 3, 4].map((version) => requestHeaderVersion(ApiVersionsApi, version))).toEqual([1, 2, 2])
  expect([0, 3, 4].map((version) => responseHeaderVersion(ApiVersionsApi, version))).toEqual([0, 0, 0])
})
