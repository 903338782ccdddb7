import { ErrorCode, type Uuid } from '@millrace/base'
import type { OffsetCommit, OffsetCommitResponse, Reply } from '@millrace/groups'
import type { GroupQuestion } from '../../src/seams.ts'
import type { TestBroker } from '../cluster.ts'

/** An answer, or the error that stands for it. */
export type Outcome<R> = R | ErrorCode

export function ask<R>(
  broker: TestBroker,
  question: Pick<GroupQuestion<R>, 'groupId' | 'request'>,
): Promise<Outcome<R>> {
  return new Promise((resolve) => {
    let called = 0
    const end = (outcome: Outcome<R>): void => {
      if (++called > 1) throw new Error('answered twice')
      resolve(outcome)
    }
    broker.running.context.groups.ask<R>({ ...question, answered: end, failed: end })
  })
}

export interface CommitByHand {
  readonly groupId: string
  readonly topicId: Uuid
  readonly partition?: number
  readonly offset: number
}

/** An offset of the topic `t` that no member commits. */
export function commitByHand(
  { groupId, topicId, partition = 0, offset }: CommitByHand,
  reply: Reply<OffsetCommitResponse>,
): OffsetCommit {
  return {
    kind: 'offsetCommit',
    groupId,
    memberId: '',
    groupInstanceId: null,
    generation: -1,
    knowsMemberEpochs: false,
    retentionMs: -1,
    topics: [{ name: 't', id: topicId, partitions: [{ partition, offset, leaderEpoch: -1, metadata: '' }] }],
    reply,
  }
}

/** Has a broker commit an offset of the topic `t` by hand. */
export async function commit(
  broker: TestBroker,
  offset: number,
  { groupId = 'g', partition = 0 } = {},
): Promise<ErrorCode> {
  const topicId = broker.running.context.image.topicByName('t')?.id ?? ''
  const outcome = await ask<OffsetCommitResponse>(broker, {
    groupId,
    request: (reply) => commitByHand({ groupId, topicId, partition, offset }, reply),
  })
  return typeof outcome === 'number'
    ? outcome
    : (outcome.topics[0]?.partitions[0]?.error ?? ErrorCode.UNKNOWN_SERVER_ERROR)
}
