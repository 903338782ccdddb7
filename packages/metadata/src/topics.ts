import { ErrorCode, randomUuid, topicCollisionKey, topicNameProblem, ZERO_UUID } from '@millrace/base'
import type { Uuid } from '@millrace/base'
import { topicSettings } from './configs.ts'
import { type BrokerImage, type TopicImage, UNASSIGNED } from './image.ts'
import type { MachineContext } from './machine.ts'
import { checkedAssignments, placed } from './assignments.ts'
import { targetOf } from './reassignment.ts'
import type { MetadataRecord } from './records.ts'
import { duplicates, Refused, succeeded } from './outcome.ts'
import type { Answer, Ask, Decision, NewTopic, NewTopicResult, Outcome, TopicToDelete } from './requests.ts'
import { directoryFor, isActive } from './rules.ts'
import { configRecord, partitionRecord } from './snapshot.ts'

/** Every topic is decided by itself; those that can be created are created together. */
export function createTopics(
  context: MachineContext,
  { topics, validateOnly }: Ask<'createTopics'>,
): Decision<Answer<'createTopics'>> {
  const records: MetadataRecord[] = []
  /** By what a name has in common with those that it collides with. */
  const created = new Map<string, string>()
  const twice = duplicates(topics.map(({ name }) => name))
  const budget = { partitions: context.config.maxPartitionsPerRequest }
  const response = topics.map((topic): NewTopicResult => {
    try {
      if (twice.has(topic.name)) throw new Refused(ErrorCode.INVALID_REQUEST, 'the request names this topic twice')
      checkName(context, topic.name, created)
      const plan = planTopic(context, topic, budget)
      created.set(topicCollisionKey(topic.name), topic.name)
      if (!validateOnly) records.push(...plan.records)
      return validateOnly ? { ...plan.result, topicId: ZERO_UUID } : plan.result
    } catch (error) {
      return { ...failed(topic), ...Refused.outcome(error) }
    }
  })
  return { records, response }
}

function failed(topic: NewTopic): Omit<NewTopicResult, keyof Outcome> {
  return { name: topic.name, topicId: ZERO_UUID, partitions: -1, replicationFactor: -1, configs: new Map() }
}

function checkName({ state }: MachineContext, name: string, created: ReadonlyMap<string, string>): void {
  const problem = topicNameProblem(name)
  if (problem !== null) throw new Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
  if (state.topicByName(name) !== null)
    throw new Refused(ErrorCode.TOPIC_ALREADY_EXISTS, `topic "${name}" exists already`)
  const similar = state.collision(name) ?? created.get(topicCollisionKey(name))
  if (similar !== undefined)
    throw new Refused(
      ErrorCode.INVALID_TOPIC_EXCEPTION,
      `topic "${name}" collides with "${similar}": their metrics could not be told apart, because "." counts as "_" there`,
    )
}

interface Budget {
  partitions: number
}

interface Plan {
  readonly records: readonly MetadataRecord[]
  readonly result: NewTopicResult
}

function planTopic(context: MachineContext, topic: NewTopic, budget: Budget): Plan {
  const settings = topicSettings(context, topic.configs)
  const assignments = assignmentsOf(context, topic, budget)
  const topicId = newTopicId(context)
  const partitions = newPartitions(context, { id: topicId, name: topic.name, partitions: [] }, assignments)
  const resource = { kind: 'topic', name: topic.name } as const
  return {
    records: [
      { name: 'topic', value: { topicId, name: topic.name } },
      ...partitions,
      ...[...settings].map(([name, value]) => configRecord(resource, name, value)),
    ],
    result: {
      ...succeeded,
      name: topic.name,
      topicId,
      partitions: assignments.length,
      replicationFactor: assignments[0]?.length ?? 0,
      configs: settings,
    },
  }
}

function newTopicId({ state, config }: MachineContext): Uuid {
  for (;;) {
    const id = randomUuid(config.random)
    if (!state.topics.has(id)) return id
  }
}

function assignmentsOf(context: MachineContext, topic: NewTopic, budget: Budget): readonly (readonly number[])[] {
  if (topic.assignments.length > 0) {
    if (topic.partitions !== -1 || topic.replicationFactor !== -1)
      throw new Refused(
        ErrorCode.INVALID_REQUEST,
        'a request that assigns replicas itself must give -1 as partitions and as replication factor',
      )
    const inOrder = [...topic.assignments].sort((a, b) => a.partition - b.partition)
    if (inOrder.some(({ partition }, at) => partition !== at))
      throw new Refused(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        'the assigned partitions must be numbered from 0 without a gap',
      )
    checkCount(context, inOrder.length, budget)
    return checkedAssignments(
      context.state,
      inOrder.map(({ replicas }) => replicas),
      inOrder[0]?.replicas.length ?? 0,
    )
  }
  const count = topic.partitions === -1 ? context.config.defaultPartitions : topic.partitions
  checkCount(context, count, budget)
  const factor = topic.replicationFactor === -1 ? context.config.defaultReplicationFactor : topic.replicationFactor
  return placed(context, { count, factor, existing: [] })
}

/** Refuses a number of new partitions that is none, or more than the cluster bears. */
export function checkCount({ state, config }: MachineContext, count: number, budget: Budget): void {
  if (count < 1)
    throw new Refused(
      ErrorCode.INVALID_PARTITIONS,
      `a topic has at least one partition, not ${count} (-1 is the default)`,
    )
  if (count > budget.partitions)
    throw new Refused(
      ErrorCode.INVALID_PARTITIONS,
      `${count} new partitions are too many: one request may create ${config.maxPartitionsPerRequest}`,
    )
  if (state.partitionCount + count > config.maxPartitions)
    throw new Refused(
      ErrorCode.INVALID_PARTITIONS,
      `the cluster has ${state.partitionCount} partitions and may have ${config.maxPartitions}; ${count} more are too many`,
    )
  budget.partitions -= count
}

/** The records of partitions that follow those that the topic has. */
export function newPartitions(
  { state }: MachineContext,
  topic: TopicImage,
  assignments: readonly (readonly number[])[],
): readonly MetadataRecord[] {
  return assignments.map((replicas, at) => {
    const isr = replicas.filter((id) => isActive(state.brokers.get(id) as BrokerImage))
    const partition = topic.partitions.length + at
    // Who is not there holds nothing, and is known to: should the others turn out to be blank, nobody waits for what it may have had.
    const directories = replicas.map((id) =>
      isr.includes(id) ? directoryFor(state.brokers.get(id) as BrokerImage, partition) : UNASSIGNED,
    )
    return partitionRecord({
      topicId: topic.id,
      topic: topic.name,
      partition,
      replicas,
      directories,
      isr,
      elr: [],
      lastKnownElr: [],
      addingReplicas: [],
      removingReplicas: [],
      leader: isr[0] ?? -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      leaderRecovery: 'recovered',
    })
  })
}

/** Deletes by name or by id, each at once: the name may be used again with a new id. */
export function deleteTopics(
  { state, config }: MachineContext,
  { topics }: Ask<'deleteTopics'>,
): Decision<Answer<'deleteTopics'>> {
  const records: MetadataRecord[] = []
  const gone = new Set<Uuid>()
  const response = topics.map((wanted): Outcome & TopicToDelete => {
    const topic = wanted.name === null ? state.topics.get(wanted.topicId) : state.topicByName(wanted.name)
    const outcome = deletion(wanted, topic ?? null, config.deleteTopics, gone)
    if (outcome.error === ErrorCode.NONE && topic) {
      gone.add(topic.id)
      records.push({ name: 'removeTopic', value: { topicId: topic.id } })
    }
    return { ...outcome, name: topic?.name ?? wanted.name, topicId: topic?.id ?? wanted.topicId }
  })
  return { records, response }
}

function deletion(wanted: TopicToDelete, topic: TopicImage | null, enabled: boolean, gone: ReadonlySet<Uuid>): Outcome {
  if (wanted.name !== null && wanted.topicId !== ZERO_UUID)
    return {
      error: ErrorCode.INVALID_REQUEST,
      message: 'a topic to delete is given by its name or by its id, not by both',
    }
  if (!enabled)
    return {
      error: ErrorCode.TOPIC_DELETION_DISABLED,
      message: 'topics cannot be deleted here; delete.topic.enable=true on the controllers allows it',
    }
  if (topic === null)
    return wanted.name === null
      ? { error: ErrorCode.UNKNOWN_TOPIC_ID, message: `no topic has the id ${wanted.topicId}` }
      : { error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: `there is no topic "${wanted.name.slice(0, 249)}"` }
  if (gone.has(topic.id)) return { error: ErrorCode.INVALID_REQUEST, message: 'the request names this topic twice' }
  return succeeded
}

/** Adds partitions at the end of topics; records stay where they are, so keys may move to other partitions. */
export function createPartitions(
  context: MachineContext,
  { topics, validateOnly }: Ask<'createPartitions'>,
): Decision<Answer<'createPartitions'>> {
  const records: MetadataRecord[] = []
  const twice = duplicates(topics.map(({ topic }) => topic))
  const budget = { partitions: context.config.maxPartitionsPerRequest }
  const response = topics.map((wanted) => {
    try {
      if (twice.has(wanted.topic)) throw new Refused(ErrorCode.INVALID_REQUEST, 'the request names this topic twice')
      const more = morePartitions(context, wanted, budget)
      if (!validateOnly) records.push(...more)
      return { ...succeeded, topic: wanted.topic }
    } catch (error) {
      return { ...Refused.outcome(error), topic: wanted.topic }
    }
  })
  return { records, response }
}

function morePartitions(
  context: MachineContext,
  { topic: name, count, assignments }: Ask<'createPartitions'>['topics'][number],
  budget: Budget,
): readonly MetadataRecord[] {
  const topic = context.state.topicByName(name)
  if (topic === null)
    throw new Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic "${name.slice(0, 249)}"`)
  const more = count - topic.partitions.length
  if (more <= 0)
    throw new Refused(
      ErrorCode.INVALID_PARTITIONS,
      `topic "${name}" has ${topic.partitions.length} partitions; the new number must be higher, not ${count}`,
    )
  if (assignments !== null && assignments.length !== more)
    throw new Refused(
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
      `${more} new partitions need ${more} assignments, not ${assignments.length}`,
    )
  checkCount(context, more, budget)
  const existing = topic.partitions.map(targetOf)
  const factor = existing[0]?.length ?? context.config.defaultReplicationFactor
  const replicas =
    assignments === null
      ? placed(context, { count: more, factor, existing })
      : checkedAssignments(context.state, assignments, factor)
  return newPartitions(context, topic, replicas)
}
