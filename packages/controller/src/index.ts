export { createQuorum } from './quorum/quorum.ts'
export { createController, PROTOCOL_VERSION } from './controller.ts'
export type { Controller, ControllerConfig, QuorumFactory } from './controller.ts'
export type * from './quorum/types.ts'
