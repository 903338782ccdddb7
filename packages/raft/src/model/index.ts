/** A group of machines with disks and messages, and the invariants over them: for the scenarios here and for the simulator. */
export * from './disk.ts'
export * from './group.ts'
export * from './invariants.ts'
export * from './member.ts'
export * from './voters-codec.ts'
