export { Violation } from './seams.ts'
export type * from './seams.ts'
