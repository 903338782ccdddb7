export type * from './quorum/types.ts'
