import { array, int32, nullableString, string, struct, tagged } from '@millrace/schema'

/** The value of an authorized-operations field when the request did not ask for it (0 would mean "none allowed"). */
export const OPERATIONS_NOT_ASKED = -2_147_483_648

/** Where a partition's leader is now (KIP-951), so that a client need not ask for metadata. */
export const leaderIdAndEpoch = struct({ leaderId: int32, leaderEpoch: int32 })
export const NO_LEADER = { leaderId: -1, leaderEpoch: -1 } as const

/** The addresses of the leaders named in a response (KIP-951). */
export const nodeEndpoints = (since: number) =>
  tagged(0, since, array(struct({ nodeId: int32, host: string, port: int32, rack: nullableString })), [])
