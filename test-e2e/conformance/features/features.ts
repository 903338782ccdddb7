import { adminFeatures } from './admin.ts'
import { assignmentFeature, timeFeature } from './consume.ts'
import type { Feature } from './feature.ts'
import { groupFeatures } from './group.ts'
import { acksFeatures, codecFeatures, idempotenceFeature, shapesFeature } from './produce.ts'
import { toolFeatures } from './tools.ts'

/** Every row of the table, in its order. */
export const FEATURES: readonly Feature[] = [
  ...codecFeatures,
  ...acksFeatures,
  shapesFeature,
  idempotenceFeature,
  assignmentFeature,
  timeFeature,
  ...groupFeatures,
  ...adminFeatures,
  ...toolFeatures,
]
