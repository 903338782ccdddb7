import { ErrorCode } from '@millrace/base'
import { staleness } from './brokers.ts'
import type { PartitionImage } from './image.ts'
import type { MachineContext } from './machine.ts'
import { succeeded } from './outcome.ts'
import type { MetadataRecord, RecordValue } from './records.ts'
import type { Answer, Ask, Decision, IsrAnswer, IsrProposal } from './requests.ts'
import { Deciding } from './rules.ts'

/** Leaders propose who is in sync; each proposal is judged by itself. One that equals the state is a success. */
export function alterPartitions(
  context: MachineContext,
  { brokerId, brokerEpoch, items }: Ask<'alterPartitions'>,
): Decision<Answer<'alterPartitions'>> {
  const { state, config } = context
  const stale = staleness(state.brokers.get(brokerId), brokerEpoch)
  const deciding = new Deciding(state, config.properties)
  const records: MetadataRecord[] = []
  const decided = new Set<PartitionImage>()
  const response = items.map((item): IsrAnswer => {
    const partition = state.partition(item.topicId, item.partition)
    if (stale !== ErrorCode.NONE) return answer(item, stale, partition)
    if (partition === null) return answer(item, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null)
    const error = proposalProblem(deciding, partition, item, brokerId)
    if (error !== ErrorCode.NONE) return answer(item, error, partition)
    if (equals(partition, item)) return answer(item, ErrorCode.NONE, partition)
    if (decided.has(partition)) return answer(item, ErrorCode.INVALID_REQUEST, partition)
    decided.add(partition)
    const record = deciding.change(partition, { isr: item.isr.map((member) => member.brokerId) })
    if (record === null) return answer(item, ErrorCode.NONE, partition)
    records.push(record)
    return answer(item, ErrorCode.NONE, after(partition, record.value as RecordValue<'partitionChange'>))
  })
  return { records, response }
}

type Standing = Pick<PartitionImage, 'isr' | 'leaderEpoch' | 'partitionEpoch'>

function answer({ topicId, partition, requestId }: IsrProposal, error: ErrorCode, state: Standing | null): IsrAnswer {
  return {
    topicId,
    partition,
    requestId,
    error,
    isr: state?.isr ?? [],
    leaderEpoch: state?.leaderEpoch ?? -1,
    partitionEpoch: state?.partitionEpoch ?? -1,
  }
}

function after(partition: PartitionImage, change: RecordValue<'partitionChange'>): Standing {
  return { ...change, isr: change.isr ?? partition.isr }
}

function equals(partition: PartitionImage, item: IsrProposal): boolean {
  return item.isr.length === partition.isr.length && item.isr.every(({ brokerId }) => partition.isr.includes(brokerId))
}

function proposalProblem(deciding: Deciding, partition: PartitionImage, item: IsrProposal, sender: number): ErrorCode {
  // A broker that knows more than the controller talks to one that is behind; it will find the right one.
  if (item.leaderEpoch > partition.leaderEpoch || item.partitionEpoch > partition.partitionEpoch)
    return ErrorCode.NOT_CONTROLLER
  if (item.leaderEpoch < partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
  if (partition.leader !== sender) return ErrorCode.INVALID_REQUEST
  const members = new Set(item.isr.map(({ brokerId }) => brokerId))
  if (members.size !== item.isr.length || !members.has(sender)) return ErrorCode.INVALID_REQUEST
  if (item.isr.some(({ brokerId }) => !partition.replicas.includes(brokerId))) return ErrorCode.INVALID_REQUEST
  // The answer to an earlier copy of this proposal may have been lost.
  if (equals(partition, item)) return ErrorCode.NONE
  if (item.partitionEpoch < partition.partitionEpoch) return ErrorCode.INVALID_UPDATE_VERSION
  const eligible = item.isr.every(({ brokerId, brokerEpoch }) => {
    const directory = partition.directories[partition.replicas.indexOf(brokerId)] as string
    return deciding.broker(brokerId)?.epoch === brokerEpoch && deciding.eligible(brokerId, directory)
  })
  return eligible ? ErrorCode.NONE : ErrorCode.INELIGIBLE_REPLICA
}

/**
 * A broker's replicas in doubt leave ISR and ELR, even as the last member: they refetch, or wait for one who has the data. A report counts
 * for the partition as it was known to the broker: one that was on its way while the replica began anew says nothing about the new log.
 */
export function quarantine(
  { state, config }: MachineContext,
  { brokerId, brokerEpoch, partitions }: Ask<'quarantine'>,
): Decision<Answer<'quarantine'>> {
  const error = staleness(state.brokers.get(brokerId), brokerEpoch)
  if (error !== ErrorCode.NONE) return { records: [], response: { error, message: null } }
  const itself = new Set([brokerId])
  const online = state.brokers.get(brokerId)?.directories ?? []
  const blank = new Map<PartitionImage, boolean>()
  for (const report of partitions) {
    const found = state.partition(report.topicId, report.partition)
    if (!found?.replicas.includes(brokerId) || found.partitionEpoch !== report.partitionEpoch) continue
    // Nobody knows what was in a directory that is gone.
    blank.set(found, report.blank && online.includes(found.directories[found.replicas.indexOf(brokerId)] as string))
  }
  const deciding = new Deciding(state, config.properties)
  const records = deciding.changes(blank.keys(), (partition) => ({
    isr: partition.isr.filter((member) => member !== brokerId),
    untrusted: itself,
    damaged: itself,
    ...(blank.get(partition) === true && { blank: itself }),
  }))
  return { records, response: succeeded }
}
