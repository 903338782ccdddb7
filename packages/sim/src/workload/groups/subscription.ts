import { array, decode, encodeToBytes, int16, int32, message, nullableBytes, string, struct } from '@millrace/schema'

// What members of a classic group tell each other, in Kafka's format; brokers only carry it.
const Subscription = message({
  name: 'Subscription',
  versions: [0, 0],
  fields: { version: int16, topics: array(string), userData: nullableBytes },
})
const Assignment = message({
  name: 'Assignment',
  versions: [0, 0],
  fields: {
    version: int16,
    topics: array(struct({ topic: string, partitions: array(int32) })),
    userData: nullableBytes,
  },
})

/** A topic and one of its partitions. */
export interface Place {
  readonly topic: string
  readonly partition: number
}

export function encodeSubscription(topics: readonly string[]): Uint8Array {
  return encodeToBytes(Subscription, 0, { version: 0, topics, userData: null })
}

export function decodeSubscription(bytes: Uint8Array): readonly string[] {
  return decode(Subscription, 0, bytes).topics
}

export function encodeAssignment(places: readonly Place[]): Uint8Array {
  const topics = [...new Set(places.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: places.filter((place) => place.topic === topic).map(({ partition }) => partition),
  }))
  return encodeToBytes(Assignment, 0, { version: 0, topics, userData: null })
}

/** Empty bytes assign nothing. */
export function decodeAssignment(bytes: Uint8Array): readonly Place[] {
  if (bytes.length === 0) return []
  const { topics } = decode(Assignment, 0, bytes)
  return topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
}

/** A member and what it wants to read. */
export interface Subscriber {
  readonly memberId: string
  readonly topics: readonly string[]
}

/** Who gets what: partition by partition in turn (`roundrobin`), or topic by topic in runs (`range`). */
export function assign(
  how: string,
  subscribers: readonly Subscriber[],
  places: readonly Place[],
): Map<string, Place[]> {
  const members = subscribers.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const assigned = new Map<string, Place[]>(members.map(({ memberId }) => [memberId, []]))
  let turn = 0
  for (const topic of new Set(places.map((place) => place.topic))) {
    const wanting = members.filter(({ topics }) => topics.includes(topic))
    const all = places.filter((place) => place.topic === topic)
    if (wanting.length === 0) continue
    all.forEach((place, at) => {
      const next = how === 'range' ? Math.floor((at * wanting.length) / all.length) : turn++ % wanting.length
      assigned.get((wanting[next] as Subscriber).memberId)?.push(place)
    })
  }
  return assigned
}
