/**
 * The partition of `__consumer_offsets`, of `count`, that a group belongs to: as Kafka's tools and clients compute it, so it must never
 * change. Hashes the UTF-16 units of the id as Java hashes a string.
 */
export function groupPartition(groupId: string, count: number): number {
  let hash = 0
  for (let at = 0; at < groupId.length; at++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(at)) | 0
  return (hash & 0x7fffffff) % count
}
