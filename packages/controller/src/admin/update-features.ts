import { ErrorCode } from '@millrace/base'
import { FEATURES } from '@millrace/metadata'
import type { UpdateFeaturesRequest, UpdateFeaturesResponse } from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'

type Update = UpdateFeaturesRequest['featureUpdates'][number]

/** What is wrong with an update, or with all of them together. */
interface Problem {
  readonly error: ErrorCode
  readonly message: string
}

/** The first version that has one answer for all features. */
const ONE_ANSWER_SINCE = 2
/** 1 upgrades, 2 downgrades without loss, 3 with loss. */
const UPGRADE_TYPES: ReadonlySet<number> = new Set([1, 2, 3])

/** All or nothing. A feature may be set to the level that it has, which is the only one; any other is refused, as one that nobody knows. */
export const updateFeatures: AdminHandler<UpdateFeaturesRequest, UpdateFeaturesResponse> = (
  _parts,
  { featureUpdates },
  reply,
  version,
) => {
  const problem = problemOf(featureUpdates)
  const done = problem === null && version < ONE_ANSWER_SINCE ? featureUpdates : []
  const results = done.map(({ feature }) => ({ feature, errorCode: ErrorCode.NONE, errorMessage: null }))
  const { error, message } = problem ?? { error: ErrorCode.NONE, message: null }
  reply({ throttleTimeMs: 0, errorCode: error, errorMessage: message, results }, -1)
}

function problemOf(updates: readonly Update[]): Problem | null {
  if (new Set(updates.map(({ feature }) => feature)).size < updates.length)
    return { error: ErrorCode.INVALID_REQUEST, message: 'a feature is named twice' }
  for (const update of updates) {
    const problem = updateProblem(update)
    if (problem !== null) return problem
  }
  return null
}

function updateProblem({ feature, maxVersionLevel, upgradeType }: Update): Problem | null {
  const refused = (message: string): Problem => ({
    error: ErrorCode.INVALID_UPDATE_VERSION,
    message: `no feature was changed: ${message}`,
  })
  if (!UPGRADE_TYPES.has(upgradeType)) return refused(`there is no upgrade type ${upgradeType}`)
  const supported = FEATURES.find(({ name }) => name === feature)
  if (supported === undefined) return refused(`this cluster has no feature ${JSON.stringify(feature.slice(0, 100))}`)
  const { min, max } = supported
  if (maxVersionLevel >= min && maxVersionLevel <= max) return null
  return refused(`${feature} can be at levels ${min} to ${max} here, not at ${maxVersionLevel}`)
}
