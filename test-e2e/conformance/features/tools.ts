import type { Feature } from './feature.ts'

export const toolFeatures: readonly Feature[] = []
