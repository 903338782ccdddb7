import type { JoinGroup, JoinGroupResponse, Reply, SyncGroupResponse } from '../seams.ts'

export interface SupportedProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** What a member tells when it joins. */
export type MemberTerms = Pick<JoinGroup, 'clientId' | 'clientHost' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs'> & {
  readonly protocols: readonly SupportedProtocol[]
}

const NOTHING = new Uint8Array(0)

/** A member of a classic group. */
export class ClassicMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  terms: MemberTerms
  assignment: Uint8Array = NOTHING
  /** When it is taken for dead, unless it is heard of before. Nothing is expected of a member that waits for an answer. */
  sessionDueMs = Number.POSITIVE_INFINITY
  /** It does not know its id yet, so that it can not heartbeat: it is given up even while it waits. */
  isNew = false
  /** The JoinGroup that is not answered yet. */
  join: Reply<JoinGroupResponse> | null = null
  /** The SyncGroup that is not answered yet. */
  sync: Reply<SyncGroupResponse> | null = null
  /** Whether it has asked for its assignment of this generation. */
  synced = false

  constructor(memberId: string, groupInstanceId: string | null, terms: MemberTerms) {
    this.memberId = memberId
    this.groupInstanceId = groupInstanceId
    this.terms = terms
  }

  /** Who this is across restarts of a static member. */
  get identity(): string {
    return this.groupInstanceId ?? this.memberId
  }

  get isWaiting(): boolean {
    return this.join !== null || this.sync !== null
  }

  supports(protocol: string): boolean {
    return this.terms.protocols.some(({ name }) => name === protocol)
  }

  metadata(protocol: string | null): Uint8Array {
    return this.terms.protocols.find(({ name }) => name === protocol)?.metadata ?? NOTHING
  }

  /** Whether these are the protocols that it told before, in the same order and byte by byte. */
  matches(protocols: readonly SupportedProtocol[]): boolean {
    return sameProtocols(this.terms.protocols, protocols)
  }

  /** The first of `candidates` that it prefers. */
  vote(candidates: ReadonlySet<string>): string | null {
    return this.terms.protocols.find(({ name }) => candidates.has(name))?.name ?? null
  }
}

/** The terms of a JoinGroup, with bytes of their own: a request's are views of a buffer that is larger. */
export function termsOf(request: JoinGroup): MemberTerms {
  const { clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols } = request
  return {
    clientId,
    clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    protocols: protocols.map(({ name, metadata }) => ({ name, metadata: metadata.slice() })),
  }
}

/** Whether these are the same, in the same order and byte by byte. */
export function sameProtocols(some: readonly SupportedProtocol[], others: readonly SupportedProtocol[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ name, metadata }, at) => {
      const other = others[at] as SupportedProtocol
      return name === other.name && sameBytes(metadata, other.metadata)
    })
  )
}

/** What a member of a group of the newer protocol may say of itself: its names are in the record once more, and the record is one of many. */
const MAX_METADATA_BYTES = 4 * 1024 * 1024

export function fitsRecord(protocols: readonly SupportedProtocol[]): boolean {
  return protocols.reduce((sum, { metadata }) => sum + metadata.length, 0) <= MAX_METADATA_BYTES
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}
