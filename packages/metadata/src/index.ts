export { OLDEST_PROTOCOL } from './brokers.ts'
export { FEATURES } from './features.ts'
export type { SupportedFeature } from './features.ts'
export type * from './image.ts'
export { UNASSIGNED } from './image.ts'
export { createControllerMachine } from './machine.ts'
export type { ControllerMachine, MachineConfig } from './machine.ts'
export { isReassigning, neededInSync, originOf, targetOf } from './reassignment.ts'
export { decodeBatch, encodeBatch, encodeRecords, joinBatch, MetadataDecodeError } from './records.ts'
export type { MetadataRecord, RecordName, RecordValue } from './records.ts'
export type * from './requests.ts'
export { minInsyncReplicas } from './settings.ts'
import type { FollowedImage } from './image.ts'
import { ImageState } from './state.ts'

/** An empty image, ready to load a snapshot or to apply a log from its first entry. */
export function createImage(): FollowedImage {
  return new ImageState()
}
