import { ErrorCode } from '@millrace/base'
import type { PartitionImage } from './image.ts'
import type { MachineContext } from './machine.ts'
import { succeeded } from './outcome.ts'
import type { MetadataRecord, RecordValue } from './records.ts'
import type { Answer, Ask, Decision, ElectionResult, Outcome } from './requests.ts'
import { Deciding } from './rules.ts'

/** Elections that an operator asks for: back to the preferred replicas, or of any replica where no clean one is left. */
export function electLeaders(
  { state, config }: MachineContext,
  { election, partitions }: Ask<'electLeaders'>,
): Decision<Answer<'electLeaders'>> {
  const deciding = new Deciding(state, config.properties)
  const records: MetadataRecord[] = []
  const elect = (partition: PartitionImage): ElectionResult => {
    const { outcome, record } = electOne(deciding, partition, election)
    if (record !== null) records.push(record)
    return { ...outcome, topic: partition.topic, partition: partition.partition }
  }
  if (partitions === null) {
    const response = [...state.topics.values()]
      .flatMap((topic) => topic.partitions.map(elect))
      .filter(({ error }) => error !== ErrorCode.ELECTION_NOT_NEEDED)
    return { records, response }
  }
  const seen = new Set<PartitionImage>()
  const response = partitions.map(({ topic, partition }): ElectionResult => {
    const found = state.topicByName(topic)?.partitions[partition]
    if (found === undefined)
      return {
        error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        message: `there is no partition ${partition} of a topic "${topic.slice(0, 249)}"`,
        topic,
        partition,
      }
    if (seen.has(found))
      return { error: ErrorCode.INVALID_REQUEST, message: 'the request names this partition twice', topic, partition }
    seen.add(found)
    return elect(found)
  })
  return { records, response }
}

interface Elected {
  readonly outcome: Outcome
  readonly record: MetadataRecord | null
}

function electOne(deciding: Deciding, partition: PartitionImage, election: 'preferred' | 'unclean'): Elected {
  const needed = election === 'preferred' ? partition.leader !== partition.replicas[0] : partition.leader === -1
  if (!needed) return refused(ErrorCode.ELECTION_NOT_NEEDED, 'the partition has the leader that it should have')
  const record = deciding.change(partition, { election })
  const leader = (record?.value as RecordValue<'partitionChange'> | undefined)?.leader ?? partition.leader
  if (election === 'preferred' && leader !== partition.replicas[0])
    return refused(
      ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
      `broker ${partition.replicas[0]}, the first replica, is not in sync`,
    )
  if (leader === -1) return refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, 'no broker with a replica is alive')
  return { outcome: succeeded, record }
}

function refused(error: ErrorCode, message: string): Elected {
  return { outcome: { error, message }, record: null }
}

/** What the controller does by itself from time to time, in portions. */
export function balanceLeaders(
  { state, config }: MachineContext,
  { limit }: Ask<'balanceLeaders'>,
): Decision<Answer<'balanceLeaders'>> {
  const deciding = new Deciding(state, config.properties)
  const records: MetadataRecord[] = []
  for (const topic of state.topics.values())
    for (const partition of topic.partitions) {
      if (records.length >= limit) return { records, response: records.length }
      if (partition.leader === -1 || !partition.isr.includes(partition.replicas[0] as number)) continue
      const record = deciding.change(partition, { election: 'preferred' })
      if (record !== null) records.push(record)
    }
  return { records, response: records.length }
}
