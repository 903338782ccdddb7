import type { ErrorCode } from '@millrace/base'

export type * from '../src/index.ts'

export interface HeartbeatResponse {
  readonly error: ErrorCode
}
