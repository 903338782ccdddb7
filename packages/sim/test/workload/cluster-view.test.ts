import { ErrorCode } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import type { MetadataResponse } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { createSchedule } from '../../src/kernel/schedule.ts'
import { Draw } from '../../src/run/draw.ts'
import { ClusterView } from '../../src/workload/cluster-view.ts'
import type { Connections } from '../../src/workload/connections.ts'
import type { WireParts } from '../../src/workload/wire.ts'

type Partition = MetadataResponse['topics'][number]['partitions'][number]

/** What a view says of the leader of a partition after it was told this of it. */
function leaderAfter(told: Partial<Partition>): number | undefined {
  const schedule = createSchedule(new SeededRandom('view'))
  const partition = {
    errorCode: ErrorCode.NONE,
    partitionIndex: 0,
    leaderId: 2,
    leaderEpoch: -1,
    replicaNodes: [],
    isrNodes: [],
    offlineReplicas: [],
    ...told,
  }
  const connection = {
    version: () => 0,
    ask: (_api: unknown, _version: number, _request: unknown, answer: (response: unknown) => void) =>
      answer({ brokers: [], topics: [{ name: 'topic', partitions: [partition] }] }),
  }
  const parts = { schedule, draw: new Draw(new SeededRandom('draws')) } as unknown as WireParts
  const connections = { to: () => connection } as unknown as Connections
  const view = new ClusterView(parts, connections, [{ host: 'node1', port: 9092 }], () => undefined)
  view.doubt()
  return view.find('topic', 0)?.leader
}

describe('what a client knows of a partition', () => {
  it('is its leader, also where an old answer says that some replica is away', () => {
    expect(leaderAfter({})).toBe(2)
    expect(leaderAfter({ errorCode: ErrorCode.REPLICA_NOT_AVAILABLE })).toBe(2)
  })

  it('is no leader where the broker knows none', () => {
    expect(leaderAfter({ errorCode: ErrorCode.LEADER_NOT_AVAILABLE, leaderId: -1 })).toBe(-1)
  })
})
