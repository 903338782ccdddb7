import { ErrorCode } from '@millrace/base'
import { describeClassic, NO_GROUP } from './classic/description.ts'
import type { OutcomeBuilder } from './outcome.ts'
import { protocolTypeOf } from './registry.ts'
import type { Group, Registry } from './registry.ts'
import type { DeleteGroup, DescribeConsumerGroup, DescribeGroup, ListGroups } from './seams.ts'

/** What operators ask: which groups there are, what they are like, and that one is to go. */
export function answerAdmin(
  registry: Registry,
  request: DescribeGroup | ListGroups | DeleteGroup | DescribeConsumerGroup,
  out: OutcomeBuilder,
): void {
  switch (request.kind) {
    case 'describeGroup':
      return describe(registry, request, out)
    case 'listGroups':
      return list(registry, request, out)
    case 'deleteGroup':
      return remove(registry, request, out)
    default:
      return describeConsumer(registry, request, out)
  }
}

/** Each type of group has a question of its own; a group of the other type is not found, which is how clients learn which one to put. */
function describe(registry: Registry, { groupId, reply }: DescribeGroup, out: OutcomeBuilder): void {
  const group = registry.get(groupId)
  out.answer(groupId, reply, group?.type === 'classic' ? describeClassic(group) : NO_GROUP)
}

function describeConsumer(registry: Registry, { groupId, reply }: DescribeConsumerGroup, out: OutcomeBuilder): void {
  const group = registry.get(groupId)
  if (group?.type === 'consumer') return out.answer(groupId, reply, group.describe())
  const message = group === null ? `there is no group ${groupId}` : `${groupId} is a group of the classic protocol`
  out.answer(groupId, reply, { ...NO_CONSUMER_GROUP, message })
}

const NO_CONSUMER_GROUP = {
  error: ErrorCode.GROUP_ID_NOT_FOUND,
  state: '',
  epoch: 0,
  assignmentEpoch: 0,
  assignor: '',
  members: [],
}

function list(registry: Registry, { states, types, reply }: ListGroups, out: OutcomeBuilder): void {
  const asked = (filter: readonly string[], value: string): boolean =>
    filter.length === 0 || filter.some((one) => one.toLowerCase() === value.toLowerCase())
  const listed = (group: Group): boolean => asked(states, group.state) && asked(types, group.type)
  const groups = [...registry].filter(listed).map((group) => ({
    groupId: group.groupId,
    protocolType: protocolTypeOf(group),
    state: group.state,
    type: group.type,
  }))
  out.answer('', reply, { groups })
}

function remove(registry: Registry, { groupId, reply }: DeleteGroup, out: OutcomeBuilder): void {
  const group = registry.get(groupId)
  if (group === null) return out.answer(groupId, reply, { error: ErrorCode.GROUP_ID_NOT_FOUND })
  if (group.state !== 'Empty') return out.answer(groupId, reply, { error: ErrorCode.NON_EMPTY_GROUP })
  for (const { topic, partition } of registry.offsetsOf(groupId)?.all() ?? [])
    out.record({ name: 'offsetCommit', key: { groupId, topic, partition }, value: null })
  if (group.type === 'consumer') group.tombstones(out)
  else {
    group.pending.clear()
    group.erase(out)
  }
  out.answer(groupId, reply, { error: ErrorCode.NONE })
}
