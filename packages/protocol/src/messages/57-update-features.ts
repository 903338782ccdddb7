import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableString,
  since,
  string,
  struct,
  until,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/**
 * Sets the finalized levels of the cluster's features (KIP-584); a level below 1 removes one. From version 1 on an upgrade type says what is
 * allowed: only up (1), down without loss (2), down with loss (3). Version 2 answers for all features at once.
 */
export const UpdateFeaturesRequest = message({
  key: 57,
  name: 'UpdateFeaturesRequest',
  versions: [0, 2],
  flexible: 0,
  fields: {
    timeoutMs: int32,
    featureUpdates: array(
      struct({
        feature: string,
        maxVersionLevel: int16,
        allowDowngrade: until(0, bool, false),
        upgradeType: since(1, int8, 1),
      }),
    ),
    validateOnly: since(1, bool, false),
  },
})
export type UpdateFeaturesRequest = TypeOf<typeof UpdateFeaturesRequest>

/** The answer to {@link UpdateFeaturesRequest}; of the same version. */
export const UpdateFeaturesResponse = message({
  key: 57,
  name: 'UpdateFeaturesResponse',
  versions: [0, 2],
  flexible: 0,
  fields: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    results: ignorable(
      until(1, array(struct({ feature: string, errorCode: int16, errorMessage: nullableString })), []),
    ),
  },
})
export type UpdateFeaturesResponse = TypeOf<typeof UpdateFeaturesResponse>

/** {@link UpdateFeaturesRequest} and {@link UpdateFeaturesResponse}, as the registry has them. */
export const UpdateFeaturesApi = api(UpdateFeaturesRequest, UpdateFeaturesResponse)
