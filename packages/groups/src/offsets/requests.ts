import { ErrorCode, LONG_MAX } from '@millrace/base'
import { areBounded } from '../bounds.ts'
import { checkClassicCommit } from '../classic/commits.ts'
import { commitProblem as claimProblem, fetchProblem } from '../consumer/offset-claims.ts'
import type { OutcomeBuilder } from '../outcome.ts'
import type { Group, Registry } from '../registry.ts'
import type { OffsetCommit, OffsetCommitResponse, OffsetDelete, OffsetFetch, OffsetFetchResponse } from '../seams.ts'
import type { GroupOffsets } from './group-offsets.ts'

type CommitTopic = OffsetCommit['topics'][number]
type CommitPartition = CommitTopic['partitions'][number]

/** OffsetCommit, all versions. */
export function commitOffsets(registry: Registry, request: OffsetCommit, nowMs: number, out: OutcomeBuilder): void {
  const { groupId } = request
  const group = registry.get(groupId)
  const error = commitProblem(group, request, nowMs)
  const { maxMetadataBytes } = registry.context.config
  const expireMs = expiresAt(request.retentionMs, nowMs)
  const commit = (topic: CommitTopic, one: CommitPartition): ErrorCode => {
    if (error !== ErrorCode.NONE) return error
    if (one.metadata.length > maxMetadataBytes) return ErrorCode.OFFSET_METADATA_TOO_LARGE
    const unfit = group?.type === 'consumer' ? partitionProblem(group, request, topic, one) : ErrorCode.NONE
    if (unfit !== ErrorCode.NONE) return unfit
    const { partition, offset, leaderEpoch, metadata } = one
    const value = { offset, leaderEpoch, metadata, commitMs: nowMs, expireMs, topicId: topic.id }
    out.record({ name: 'offsetCommit', key: { groupId, topic: topic.name, partition }, value })
    return ErrorCode.NONE
  }
  const topics = request.topics.map((topic) => ({
    name: topic.name,
    partitions: topic.partitions.map((one) => ({ partition: one.partition, error: commit(topic, one) })),
  }))
  const response: OffsetCommitResponse = { topics }
  out.answer(groupId, request.reply, response)
}

/** What is wrong with all of a commit. */
function commitProblem(group: Group | null, request: OffsetCommit, nowMs: number): ErrorCode {
  // A group without a name breaks tools that list all groups.
  if (request.groupId === '' || !areBounded(request.groupId)) return ErrorCode.INVALID_GROUP_ID
  if (group?.type === 'classic') return checkClassicCommit(group, request, nowMs)
  if (group !== null || request.generation < 0) return ErrorCode.NONE
  return request.knowsMemberEpochs ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION
}

/** What is wrong with committing for a partition, in a group of the newer protocol. */
function partitionProblem(
  group: Group & { type: 'consumer' },
  request: OffsetCommit,
  topic: CommitTopic,
  { partition }: CommitPartition,
): ErrorCode {
  if (request.generation < 0 && group.members === 0) return ErrorCode.NONE
  return claimProblem(group.durable, request, topic.id, partition)
}

function expiresAt(retentionMs: number, nowMs: number): number {
  if (retentionMs === -1) return -1
  return retentionMs > Number.MAX_SAFE_INTEGER - nowMs ? LONG_MAX : Math.max(nowMs + retentionMs, 0)
}

/** OffsetFetch of one group, all versions. That there is no such group is no error: nothing was committed. */
export function fetchOffsets(registry: Registry, request: OffsetFetch, out: OutcomeBuilder): void {
  const { groupId, memberId, memberEpoch } = request
  const group = registry.get(groupId)
  const asksAsMember = group?.type === 'consumer' && (memberId !== null || memberEpoch >= 0)
  const error = asksAsMember ? fetchProblem(group.durable, memberId ?? '', memberEpoch) : ErrorCode.NONE
  const topics = error === ErrorCode.NONE ? fetched(registry.offsetsOf(groupId), request.topics) : []
  out.answer(groupId, request.reply, { error, topics })
}

type Fetched = OffsetFetchResponse['topics']

function fetched(offsets: GroupOffsets | null, asked: OffsetFetch['topics']): Fetched {
  const topics = asked ?? allOf(offsets)
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((partition) => {
      const { offset, leaderEpoch, metadata } = offsets?.get(name, partition) ?? NOTHING
      return { partition, offset, leaderEpoch, metadata, error: ErrorCode.NONE }
    }),
  }))
}

const NOTHING = { offset: -1, leaderEpoch: -1, metadata: '' }

function allOf(offsets: GroupOffsets | null): NonNullable<OffsetFetch['topics']> {
  return Array.from(offsets?.byTopic() ?? [], ([name, commits]) => ({ name, partitions: [...commits.keys()] }))
}

/** OffsetDelete: what nobody reads any more. */
export function deleteOffsets(registry: Registry, request: OffsetDelete, out: OutcomeBuilder): void {
  const { groupId } = request
  const group = registry.get(groupId)
  const error = deleteProblem(group)
  if (group === null || error !== ErrorCode.NONE) {
    out.answer(groupId, request.reply, { error, topics: [] })
    return
  }
  const topics = request.topics.map(({ name, partitions }) => {
    const isRead = group.isSubscribed(name)
    return {
      name,
      partitions: partitions.map((partition) => {
        if (isRead) return { partition, error: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }
        if ((registry.offsetsOf(groupId)?.get(name, partition) ?? null) !== null)
          out.record({ name: 'offsetCommit', key: { groupId, topic: name, partition }, value: null })
        return { partition, error: ErrorCode.NONE }
      }),
    }
  })
  out.answer(groupId, request.reply, { error, topics })
}

/** Members of a protocol that is not the consumers' read what the coordinator can not know. */
function deleteProblem(group: Group | null): ErrorCode {
  if (group === null) return ErrorCode.GROUP_ID_NOT_FOUND
  const isOpaque = group.type === 'classic' && group.members > 0 && !group.speaksConsumer
  return isOpaque ? ErrorCode.NON_EMPTY_GROUP : ErrorCode.NONE
}
