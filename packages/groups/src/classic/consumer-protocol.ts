import {
  array,
  DecodeError,
  decodeFrom,
  encodeTo,
  int32,
  message,
  nullableBytes,
  nullableString,
  Reader,
  since,
  string,
  struct,
  Writer,
} from '@millrace/schema'
import type { Schema, TypeOf } from '@millrace/schema'

/** The protocol type whose bytes a coordinator may try to understand; all others are their clients' own business. */
export const CONSUMER_PROTOCOL = 'consumer'

/** The newest version of both that is known here. Newer ones append: what they begin with is read, the rest is left. */
const NEWEST = 3

const partitionsOfTopic = struct({ topic: string, partitions: array(int32) })

/** What every version of both begins with, and all that most who ask want to know. */
const SubscriptionTopics = message({
  name: 'ConsumerSubscription',
  versions: [0, 0],
  fields: { topics: array(string) },
})
const AssignmentTopics = message({
  name: 'ConsumerAssignment',
  versions: [0, 0],
  fields: { topics: array(partitionsOfTopic) },
})

const Subscription = message({
  name: 'ConsumerSubscription',
  versions: [0, NEWEST],
  fields: {
    topics: array(string),
    userData: nullableBytes,
    owned: since(1, array(partitionsOfTopic), []),
    generation: since(2, int32, -1),
    rackId: since(3, nullableString, null),
  },
})

const Assignment = message({
  name: 'ConsumerAssignment',
  versions: [0, NEWEST],
  fields: { topics: array(partitionsOfTopic), userData: nullableBytes },
})

/** What a consumer of the classic protocol says when it joins. */
export type Subscription = TypeOf<typeof Subscription>
/** Partitions by the names of their topics. */
export type PartitionsByName = readonly { readonly topic: string; readonly partitions: readonly number[] }[]

/** The topics that a member subscribed to; null when the bytes say nothing that is understood here. */
export function subscribedTopics(subscription: Uint8Array): readonly string[] | null {
  return decoded(SubscriptionTopics, subscription, 0)?.topics ?? null
}

/** All that a member subscribed with; null when the bytes say nothing that is understood here. */
export function readSubscription(subscription: Uint8Array): Subscription | null {
  return decoded(Subscription, subscription)
}

/** What a member was assigned, empty bytes being nothing; null when the bytes say nothing that is understood here. */
export function assignedPartitions(assignment: Uint8Array): PartitionsByName | null {
  return assignment.length === 0 ? [] : (decoded(AssignmentTopics, assignment, 0)?.topics ?? null)
}

/** Whether whoever divided the work told the member more than its partitions, in words of its own. */
export function hasUserData(assignment: Uint8Array): boolean {
  if (assignment.length === 0) return false
  return (decoded(Assignment, assignment)?.userData?.length ?? 0) > 0
}

/** An assignment that a member understands which subscribed with these bytes. */
export function encodeAssignment(topics: PartitionsByName, subscription: Uint8Array): Uint8Array {
  const version = new Reader(subscription).int16()
  const writer = new Writer()
  writer.int16(version)
  encodeTo(Assignment, Math.min(version, NEWEST), { topics, userData: null }, writer)
  return writer.bytes()
}

function decoded<T>(schema: Schema<T>, bytes: Uint8Array, atMost = NEWEST): T | null {
  try {
    const reader = new Reader(bytes)
    const version = reader.int16()
    return version < 0 ? null : decodeFrom(schema, Math.min(version, atMost), reader)
  } catch (error) {
    if (error instanceof DecodeError) return null
    throw error
  }
}
