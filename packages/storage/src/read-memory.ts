import type { ReadMemory } from './types.ts'

/** Memory of a read's own, for as long as somebody holds it. */
export const OWN_MEMORY: ReadMemory = Object.freeze({ take: (bytes: number) => Buffer.allocUnsafeSlow(bytes) })
