/** Sequence numbers count to this and go on with 0. */
const LAST = 0x7fff_ffff

/** The sequence number of a batch's last record; -1 for a batch without numbers. */
export function lastSequence(baseSequence: number, delta: number): number {
  return baseSequence < 0 ? -1 : (baseSequence + delta) & LAST
}

/** The reverse of {@link lastSequence}. */
export function baseSequence(last: number, delta: number): number {
  return last < 0 ? -1 : (last - delta) & LAST
}

/** The number that must follow; 0 after -1, which stands for none. */
export function nextSequence(last: number): number {
  return (last + 1) & LAST
}
