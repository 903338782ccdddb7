import { assert } from './assert.ts'

/** Kafka's Long.MAX_VALUE, which decodes to this constant (the nearest double); it means "unlimited" or "unknown", never a position. */
export const LONG_MAX = 2 ** 63
/** Kafka's Long.MIN_VALUE. */
export const LONG_MIN = -(2 ** 63)

/** An int64 that is a position, a time or a count: it must be exact. Throws `BrokenInvariant` when it is not. */
export function exact(value: number): number {
  assert(Number.isSafeInteger(value), `${value} is not an exact integer`)
  return value
}
