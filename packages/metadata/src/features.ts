/** A feature of the whole cluster, and the levels of it that this software can have. */
export interface SupportedFeature {
  readonly name: string
  readonly min: number
  readonly max: number
}

/**
 * What clients and `kafka-features` are told of. Every cluster is at the highest level of each: there is no older form to fall back to, so
 * nothing can be raised or lowered. (One whose levels begin at 0 must not be shown below version 4 of ApiVersions: KAFKA-17011.)
 */
export const FEATURES: readonly SupportedFeature[] = [
  { name: 'eligible.leader.replicas.version', min: 1, max: 1 },
  { name: 'group.version', min: 1, max: 1 },
]
