import type { GroupLag, PartitionLag } from '@millrace/broker'
import type { GroupView, Rebalance } from '@millrace/groups'
import type { ClusterImage } from '@millrace/metadata'
import { describe, expect, test } from 'vitest'
import { groupDetail, groupRebalances } from '../../src/http/group-views.ts'

const ORDERS = 'tAAAAAAAAAAAAAAAAAAAAA'

function partition(change: Partial<PartitionLag>): PartitionLag {
  return {
    topic: 'orders',
    partition: 0,
    offset: 5,
    commitMs: 1_700_000_000_000,
    logStart: 0,
    logEnd: 8,
    lag: 3,
    lagSeconds: 2,
    secondsToRetention: 60,
    status: 'OK',
    member: null,
    ...change,
  }
}

function group(partitions: readonly PartitionLag[]): GroupLag {
  return {
    groupId: 'g',
    type: 'consumer',
    state: 'Stable',
    generation: 4,
    members: 1,
    status: 'OK',
    sumLag: 3,
    maxLag: 3,
    maxLagSeconds: 2,
    secondsToRetention: null,
    partitions,
    sinceMs: 1_700_000_000_000,
    rebalances: { count: 1, totalMs: 30, reasons: new Map([['joined', 1]]) },
  }
}

describe('a group as JSON', () => {
  test('has its partitions in order, and tells what is not known from what never comes', () => {
    const told = groupDetail(
      group([
        partition({ partition: 10, secondsToRetention: Number.POSITIVE_INFINITY }),
        partition({ partition: 9, secondsToRetention: null }),
        partition({ topic: 'apples' }),
      ]),
      [],
    )
    expect(JSON.parse(JSON.stringify(told))).toMatchObject({
      watchedSince: '2023-11-14T22:13:20.000Z',
      losesRecords: null,
      partitions: [
        { topic: 'apples', secondsToRetention: 60, losesRecords: true },
        { topic: 'orders', partition: 9, secondsToRetention: null, losesRecords: null },
        { topic: 'orders', partition: 10, secondsToRetention: null, losesRecords: false },
      ],
    })
  })

  test('names the topics that moved, where they are there still', () => {
    const move = { topic: null, partitions: [0, 1], from: null, to: 'm' }
    const rebalance: Rebalance = {
      groupId: 'g',
      generation: 4,
      causes: [{ reason: 'joined', memberId: 'm', clientId: 'c', detail: '' }],
      startedMs: 0,
      endedMs: 30,
      members: 1,
      moved: 4,
      moves: [
        { ...move, topicId: ORDERS },
        { ...move, topicId: 'gAAAAAAAAAAAAAAAAAAAAA' },
        { ...move, topic: 'named', topicId: null },
      ],
    }
    const view = { groupId: 'g', state: 'Stable', rebalances: [rebalance] } as unknown as GroupView
    const image = { topics: new Map([[ORDERS, { name: 'orders' }]]) } as unknown as ClusterImage
    expect(groupRebalances(view, group([]), image)).toMatchObject({
      count: 1,
      reasons: { joined: 1 },
      rebalances: [
        {
          startedAt: '1970-01-01T00:00:00.000Z',
          durationMs: 30,
          moves: [{ topic: 'orders', partitions: [0, 1] }, { topic: null }, { topic: 'named', from: null, to: 'm' }],
        },
      ],
    })
  })
})
