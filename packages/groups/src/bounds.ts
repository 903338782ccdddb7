/**
 * Characters of an id of a group, member, instance, protocol or rack. Records hold texts of at most 32,767 bytes, a character has up to
 * three, and member ids are longer than the instance ids that they are made of.
 */
export const MAX_ID = 10_000

/** Whether records can hold all of these. */
export function areBounded(...ids: readonly (string | null)[]): boolean {
  return ids.every((id) => id === null || id.length <= MAX_ID)
}
