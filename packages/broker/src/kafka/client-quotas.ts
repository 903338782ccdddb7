// Quotas of clients, as far as requests about them can be right or wrong: none is ever in force.

const IP = 'ip'
const ENTITY_TYPES: ReadonlySet<string> = new Set(['user', 'client-id', IP])
const IP_KEYS: ReadonlySet<string> = new Set(['connection_creation_rate'])
const CLIENT_KEYS: ReadonlySet<string> = new Set([
  'producer_byte_rate',
  'consumer_byte_rate',
  'request_percentage',
  'controller_mutation_rate',
])

/** Something that may have quotas, in this version of the protocol. */
export function isEntityType(entityType: string): boolean {
  return ENTITY_TYPES.has(entityType)
}

/** What is wrong with naming these entities together; null when nothing is. */
export function entityProblem(entityTypes: readonly string[]): string | null {
  const strange = entityTypes.find((type) => !ENTITY_TYPES.has(type))
  if (strange !== undefined)
    return `quotas are of ${[...ENTITY_TYPES].join(', ')}, not of ${JSON.stringify(strange.slice(0, 100))}`
  if (new Set(entityTypes).size !== entityTypes.length) return 'an entity type is named twice'
  if (entityTypes.includes(IP) && entityTypes.length > 1)
    return 'a quota of an address is not of a user or client as well'
  return null
}

/** What is wrong with a quota of this name for these entities; null when nothing is. */
export function quotaProblem(entityTypes: readonly string[], key: string): string | null {
  const keys = entityTypes.includes(IP) ? IP_KEYS : CLIENT_KEYS
  return keys.has(key) ? null : `there is no quota ${JSON.stringify(key.slice(0, 100))} of ${entityTypes.join(' and ')}`
}
