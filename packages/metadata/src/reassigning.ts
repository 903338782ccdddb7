import { ErrorCode } from '@millrace/base'
import { type PartitionImage, UNASSIGNED } from './image.ts'
import type { MachineContext } from './machine.ts'
import { Refused, succeeded } from './outcome.ts'
import { type Assignment, assigned, isReassigning, originOf, settled, targetOf, towards } from './reassignment.ts'
import type { MetadataRecord, RecordValue } from './records.ts'
import type { Answer, Ask, Decision, Reassignment, ReassignmentResult } from './requests.ts'
import { Deciding, isActive } from './rules.ts'
import type { ImageState } from './state.ts'

/**
 * Partitions move to other replicas, by an operator's word (KIP-455). Replicas to be added may be no more than names at first: they copy
 * from the leader, and the move ends with the change of the in-sync replicas that makes it complete, not here.
 *
 * A replica may leave only as long as another one that holds all that was acknowledged stays, whether or not unclean elections are allowed:
 * Kafka would let an operator's cancellation throw away the only copy there.
 */
export function alterReassignments(
  { state, config }: MachineContext,
  { partitions, mayChangeFactor }: Ask<'alterReassignments'>,
): Decision<Answer<'alterReassignments'>> {
  const deciding = new Deciding(state, config.properties)
  const records: MetadataRecord[] = []
  const decided = new Set<PartitionImage>()
  const response = partitions.map((wanted): ReassignmentResult => {
    const { topic, partition } = wanted
    try {
      const found = existing(state, wanted)
      if (decided.has(found)) throw new Refused(ErrorCode.INVALID_REQUEST, 'the request names this partition twice')
      decided.add(found)
      const record = reassign(deciding, found, assignmentFor(state, found, wanted, mayChangeFactor))
      if (record !== null) records.push(record)
      return { ...succeeded, topic, partition }
    } catch (error) {
      return { ...Refused.outcome(error), topic, partition }
    }
  })
  return { records, response }
}

function existing(state: ImageState, { topic, partition }: Reassignment): PartitionImage {
  const found = state.topicByName(topic)?.partitions[partition]
  if (found !== undefined) return found
  throw new Refused(
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    `there is no partition ${partition} of a topic "${topic.slice(0, 249)}"`,
  )
}

// oxlint-disable-next-line max-params -- a partition, and what is wanted of it.
function assignmentFor(
  state: ImageState,
  partition: PartitionImage,
  { replicas }: Reassignment,
  mayChangeFactor: boolean,
): Assignment {
  if (replicas === null) {
    if (isReassigning(partition)) return settled(originOf(partition))
    throw new Refused(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, 'no reassignment of this partition is in progress')
  }
  checkTarget(state, partition, replicas)
  const factor = targetOf(partition).length
  if (!mayChangeFactor && replicas.length !== factor)
    throw new Refused(
      ErrorCode.INVALID_REPLICATION_FACTOR,
      `the replication factor would change from ${factor} to ${replicas.length}, which the request forbids`,
    )
  return towards(partition, replicas)
}

/** Those that hold the partition already may be away; nobody begins to copy to a broker that is. */
function checkTarget(state: ImageState, partition: PartitionImage, target: readonly number[]): void {
  const refuse = (message: string): never => {
    throw new Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  if (target.length === 0) refuse('it names no broker')
  if (new Set(target).size !== target.length) refuse('it names a broker twice')
  for (const id of target) {
    const broker = state.brokers.get(id)
    if (broker === undefined) refuse(`broker ${id} is not registered`)
    else if (!partition.replicas.includes(id) && !isActive(broker)) refuse(`broker ${id} is fenced or shutting down`)
  }
}

function reassign(deciding: Deciding, partition: PartitionImage, assignment: Assignment): MetadataRecord | null {
  checkDropped(partition, assignment)
  const record = deciding.change(partition, { assignment })
  const change = record?.value as RecordValue<'partitionChange'> | undefined
  if (change?.leader === -1 && partition.leader !== -1)
    throw new Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, 'it would leave the partition without a leader')
  return record
}

/** Refuses to drop the last copy, or what may be. A replica that never had a directory holds nothing. */
function checkDropped(partition: PartitionImage, assignment: Assignment): void {
  const next = assigned(partition, assignment)
  if (next.isr.length > 0 || next.elr.length > 0) return
  const lost = partition.replicas.filter(
    (broker, at) => !next.replicas.includes(broker) && partition.directories[at] !== UNASSIGNED,
  )
  if (lost.length === 0) return
  throw new Refused(
    ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    `only ${lost.join(', ')} may hold all records, and would be dropped: wait until another replica is in sync`,
  )
}

/** What is under way, topic by topic. */
export function listReassignments(
  { state }: MachineContext,
  { topics }: Ask<'listReassignments'>,
): Decision<Answer<'listReassignments'>> {
  const asked = topics === null ? [...state.topics.values()].map(({ partitions }) => partitions) : topics.map(named)
  return { records: [], response: asked.flatMap((partitions) => partitions.filter(isReassigning)) }

  function named({ name, partitions }: { name: string; partitions: readonly number[] }): readonly PartitionImage[] {
    const topic = state.topicByName(name)
    return [...new Set(partitions)].flatMap((partition) => topic?.partitions[partition] ?? [])
  }
}
