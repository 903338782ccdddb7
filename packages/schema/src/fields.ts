import type { Field, Type } from './type.ts'

const ALWAYS = 0
const FOR_EVER = 0x7fff

/** A field that versions from `min` on have. Older versions decode to `fallback`, a primitive, null or an empty array. */
export function since<T>(min: number, type: Type<T>, fallback: NoInfer<T>): Field<T> {
  return between(min, FOR_EVER, type, fallback)
}

/** A field that versions up to `max`, inclusive, have. */
export function until<T>(max: number, type: Type<T>, fallback: NoInfer<T>): Field<T> {
  return between(ALWAYS, max, type, fallback)
}

/** A field that the versions from `min` to `max`, both inclusive, have. */
export function between<T>(min: number, max: number, type: Type<T>, fallback: NoInfer<T>): Field<T> {
  return Object.freeze({
    kind: 'field' as const,
    type,
    min,
    max,
    fallback: frozen(fallback),
    tag: null,
    ignorable: false,
  })
}

/** A tagged field, in versions from `min` on, all of which must be flexible. A value equal to `fallback` is not written. */
export function tagged<T>(tag: number, min: number, type: Type<T>, fallback: NoInfer<T>): Field<T> {
  return Object.freeze({ ...since(min, type, fallback), tag })
}

/** Lets a version that lacks the field drop its value when writing, because nothing depends on it. */
export function ignorable<T>(field: Field<T>): Field<T> {
  return Object.freeze({ ...field, ignorable: true })
}

/** Fallbacks are shared by every value decoded, so nobody may change one. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}

/** Whether a value says the same as a fallback. Structural, because a fallback may be a struct or a list. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && sameItems(a, b)
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameItems(a, b)
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  return Object.keys(right).every((key) => sameValue(left[key], right[key]))
}

function sameItems(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!sameValue(a[i], b[i])) return false
  return true
}
