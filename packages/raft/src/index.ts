export { EntryTail } from './entry-tail.ts'
export { createRaft } from './machine.ts'
export type * from './types.ts'
export { includesVoter, sameVoter, voterKey } from './voters.ts'
