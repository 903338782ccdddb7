import { ErrorCode } from '@millrace/base'
import type { Random } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { createGroupShard } from '../src/index.ts'
import type { GroupRequest } from '../src/index.ts'
import { groupsConfig, Topics } from './consumer/harness.ts'

const LONG = 'x'.repeat(40_000)
const random: Random = { uint32: () => 1, below: () => 0, fill: (into) => into.fill(1), fork: () => random }

/** What a fresh shard answers, and how many records it writes. */
function ask(request: Record<string, unknown>): { readonly response: unknown; readonly records: number } {
  const shard = createGroupShard(groupsConfig(), new Topics(), random)
  const { answers, records } = shard.handle({ ...request, reply: () => undefined } as unknown as GroupRequest, 1000)
  shard.tick(100_000)
  return { response: answers[0]?.response, records: records.length }
}

const join = {
  kind: 'joinGroup',
  groupId: 'g',
  memberId: '',
  groupInstanceId: null,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: new Uint8Array(0) }],
  reason: null,
  requireKnownMemberId: false,
  supportsSkippingAssignment: true,
  clientId: 'client',
  clientHost: '/127.0.0.1',
}

describe('a text that no record could hold is refused before anything is decided', () => {
  test.each([
    ['group id', { groupId: LONG }, ErrorCode.INVALID_GROUP_ID],
    ['instance id', { groupInstanceId: LONG }, ErrorCode.INVALID_REQUEST],
    ['protocol type', { protocolType: LONG }, ErrorCode.INVALID_REQUEST],
    ['protocol', { protocols: [{ name: LONG, metadata: new Uint8Array(0) }] }, ErrorCode.INVALID_REQUEST],
  ])('the %s of a member that joins', (_, more, error) => {
    expect(ask({ ...join, ...more })).toMatchObject({ response: { error }, records: 0 })
    expect(ask(join).response).toMatchObject({ error: ErrorCode.NONE })
  })

  test('the group id of a commit', () => {
    const commit = {
      kind: 'offsetCommit',
      groupId: LONG,
      memberId: '',
      groupInstanceId: null,
      generation: -1,
      knowsMemberEpochs: true,
      retentionMs: -1,
      topics: [{ name: 't', id: 'x', partitions: [{ partition: 0, offset: 1, leaderEpoch: -1, metadata: '' }] }],
    }
    const error = ErrorCode.INVALID_GROUP_ID
    expect(ask(commit)).toMatchObject({ response: { topics: [{ partitions: [{ error }] }] }, records: 0 })
  })
})
