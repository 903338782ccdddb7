import { array, DecodeError, decodeFrom, int32, message, Reader, string, struct } from '@millrace/schema'
import type { Schema } from '@millrace/schema'

/** The protocol type whose bytes a coordinator may try to understand; all others are their clients' own business. */
export const CONSUMER_PROTOCOL = 'consumer'

/** Both begin alike in every version, with what matters here. */
const Subscription = message({ name: 'ConsumerSubscription', versions: [0, 0], fields: { topics: array(string) } })
const Assignment = message({
  name: 'ConsumerAssignment',
  versions: [0, 0],
  fields: { topics: array(struct({ topic: string, partitions: array(int32) })) },
})

/** The topics that a member subscribed to; null when the bytes say nothing that is understood here. */
export function subscribedTopics(subscription: Uint8Array): readonly string[] | null {
  return prefix(Subscription, subscription)?.topics ?? null
}

/** What a member was assigned, empty bytes being nothing; null when the bytes say nothing that is understood here. */
export function assignedPartitions(
  assignment: Uint8Array,
): readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null {
  return assignment.length === 0 ? [] : (prefix(Assignment, assignment)?.topics ?? null)
}

/** Newer versions append: what they begin with is read, the rest is left. */
function prefix<T>(schema: Schema<T>, bytes: Uint8Array): T | null {
  try {
    const reader = new Reader(bytes)
    if (reader.int16() < 0) return null
    return decodeFrom(schema, 0, reader)
  } catch (error) {
    if (error instanceof DecodeError) return null
    throw error
  }
}
