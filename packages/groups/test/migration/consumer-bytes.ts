/** Bytes that consumers of the classic protocol exchange, of topic `t` alone where they are read. */

/** A subscription, version 1, with what the member owns. */
export function subscriptionOf(
  topics: readonly string[],
  owned: Readonly<Record<string, readonly number[]>> = {},
): Uint8Array {
  return Uint8Array.from([0, 1, ...array(topics.map(text)), ...NO_BYTES, ...partitionsOf(owned)])
}

/** An assignment, version 0. */
export function assignmentOf(topics: Readonly<Record<string, readonly number[]>>): Uint8Array {
  return Uint8Array.from([0, 0, ...partitionsOf(topics), ...NO_BYTES])
}

/** The partitions of `t` in an assignment, or those that a subscription to it says are owned. */
export function assigned(bytes: Uint8Array, what: 'assigned' | 'owned' = 'assigned'): number[] {
  if (bytes.length === 0) return []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // Before what is owned come the one topic and no user data.
  const at = what === 'assigned' ? 2 : 2 + 4 + 3 + 4
  if (view.getInt32(at) === 0) return []
  return Array.from({ length: view.getInt32(at + 7) }, (_, one) => view.getInt32(at + 11 + 4 * one))
}

const NO_BYTES = [0xff, 0xff, 0xff, 0xff]

function partitionsOf(topics: Readonly<Record<string, readonly number[]>>): number[] {
  const named = Object.entries(topics).filter(([, partitions]) => partitions.length > 0)
  return array(named.map(([topic, partitions]) => [...text(topic), ...array(partitions.map(int32))]))
}

function text(value: string): number[] {
  return [value.length >> 8, value.length & 0xff, ...Array.from(value, (one) => one.charCodeAt(0))]
}

function int32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]
}

function array(items: readonly (readonly number[])[]): number[] {
  return [...int32(items.length), ...items.flat()]
}
