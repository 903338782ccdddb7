import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { OffsetFetchApi, type OffsetFetchRequest, type OffsetFetchResponse } from '@millrace/protocol'
import type { SimClient } from '../client.ts'
import type { WireConnection } from '../wire.ts'
import type { Membership } from './holdings.ts'
import type { Place } from './subscription.ts'

/** The first version that asks for several groups, and the first that proves a member. */
const SEVERAL_SINCE = 8
const MEMBER_SINCE = 9

/** Whose offsets are asked for, of what, where. */
export interface CommittedQuestion {
  readonly connection: WireConnection
  readonly group: string
  /** Null for somebody who is no member. */
  readonly as: Membership | null
  readonly places: readonly Place[]
}

/** Asks what is committed; tells the offsets in the order of the places, -1 for none, or null when that is not to be known. */
export function askCommitted(
  { nowUs }: SimClient,
  { connection, group, as, places }: CommittedQuestion,
  done: (offsets: readonly number[] | null, invokedUs: number) => void,
): void {
  const version = connection.version(OffsetFetchApi, as?.leastVersion)
  const topics = [...new Set(places.map(({ topic }) => topic))].map((name) => ({
    name,
    topicId: ZERO_UUID,
    partitionIndexes: places.filter(({ topic }) => topic === name).map(({ partition }) => partition),
  }))
  const proven = as !== null && as.leastVersion >= MEMBER_SINCE
  const asked = {
    groupId: group,
    memberId: proven ? as.memberId : null,
    memberEpoch: proven ? as.generation : -1,
    topics,
  }
  const request: OffsetFetchRequest =
    version >= SEVERAL_SINCE
      ? { groupId: '', topics: [], groups: [asked], requireStable: false }
      : { groupId: group, topics, groups: [], requireStable: false }
  connection.ask(OffsetFetchApi, version, request, (response) =>
    done(response === null ? null : offsetsOf(response, places), nowUs),
  )
}

function offsetsOf(response: OffsetFetchResponse, places: readonly Place[]): readonly number[] | null {
  const { errorCode, topics } = response.groups[0] ?? response
  if (errorCode !== ErrorCode.NONE) return null
  const found = places.map(({ topic, partition }) =>
    topics.find(({ name }) => name === topic)?.partitions.find(({ partitionIndex }) => partitionIndex === partition),
  )
  if (found.some((one) => one === undefined || one.errorCode !== ErrorCode.NONE)) return null
  return found.map((one) => one?.committedOffset ?? -1)
}
