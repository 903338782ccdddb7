/** Where groups keep their members and offsets. */
export const OFFSETS_TOPIC = '__consumer_offsets'

/** Topics that the brokers own; clients see them flagged as internal. */
export const INTERNAL_TOPICS: ReadonlySet<string> = new Set([OFFSETS_TOPIC, '__transaction_state'])

/** Why `name` cannot name a topic, or null when it can. Source: KIP-190 rules as Kafka applies them. */
export function topicNameProblem(name: string): string | null {
  if (name.length === 0) return 'a topic name must not be empty'
  if (name === '.' || name === '..') return `a topic must not be named "${name}"`
  if (name.length > 249) return `a topic name has at most 249 characters, this one has ${name.length}`
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    return `topic name ${JSON.stringify(name)} has characters other than a-z, A-Z, 0-9, ".", "_" and "-"`
  return null
}

/** Two names with the same key collide in metric names: Kafka treats "." and "_" as the same there. */
export function topicCollisionKey(name: string): string {
  return name.replaceAll('.', '_')
}
