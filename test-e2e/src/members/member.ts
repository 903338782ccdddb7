import type { Reading } from './readings.ts'

/** `platformatic` speaks the newer protocol of groups (KIP-848), `kafkajs` the classic one. */
export type MemberClient = 'kafkajs' | 'platformatic'

export interface MemberOptions {
  readonly client: MemberClient
  readonly bootstrap: readonly string[]
  readonly group: string
  readonly topic: string
  readonly clientId: string
  /** Where the readings go. */
  readonly file: string
}

/** What a member tells whoever started it. */
export type MemberReport =
  | { readonly kind: 'started' }
  /** The client ended its stream, and the application opened another. */
  | { readonly kind: 'reopened'; readonly error: string }
  /** The client gave up, or threw where it should not. */
  | { readonly kind: 'failed'; readonly error: string }

/** What a client is given to join with. */
export interface MemberEnds {
  /** Before this returns the record counts as read. */
  read(reading: Reading): void
  tell(report: MemberReport): void
  failed(error: unknown): void
}

/** Commits what was read and leaves the group. */
export type Leave = () => Promise<void>
/** Resolves once the client is on its way; it joins the group by itself. */
export type Join = (options: MemberOptions, ends: MemberEnds) => Promise<Leave>

/** The times of the classic protocol, in milliseconds; the session is the shortest that Kafka's defaults allow. */
export const CLASSIC_TIMES = { sessionTimeout: 6_000, rebalanceTimeout: 10_000, heartbeatInterval: 300 }
/** A fetch that finds nothing holds up the client's end and its next join. */
export const FETCH_WAIT_MS = 100
/** How often a client commits that does so by the clock, in milliseconds. */
export const COMMIT_MS = 500
