export { createPartition } from './partition.ts'
export type * from './types.ts'
