import type { ConsumerHeartbeat, ConsumerHeartbeatResponse, DescribeConsumerGroupResponse } from '../shapes.ts'
import { ShardHarness } from '../shard-harness.ts'

/** A shard whose groups have members of both protocols. */
export class MigrationHarness extends ShardHarness {
  beat(memberId: string, memberEpoch = 0, said: Partial<ConsumerHeartbeat> = {}): ConsumerHeartbeatResponse {
    const joins = memberEpoch === 0
    return this.ask<ConsumerHeartbeatResponse>((reply) => ({
      kind: 'consumerHeartbeat',
      groupId: 'g',
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: joins ? 30_000 : -1,
      topicNames: joins ? ['t'] : null,
      topicRegex: null,
      serverAssignor: null,
      owned: joins ? [] : null,
      clientId: 'modern',
      clientHost: '/10.0.0.2',
      ...said,
      reply,
    })).response
  }

  describe(): DescribeConsumerGroupResponse {
    return this.ask<DescribeConsumerGroupResponse>((reply) => ({ kind: 'describeConsumerGroup', groupId: 'g', reply }))
      .response
  }

  get type(): string {
    return this.shard.group('g')?.type ?? 'none'
  }
}
