/** What the broker counted since it started. Plain numbers; bytes are those of record batches. */
export interface BrokerCounters {
  producedBytes: number
  producedBatches: number
  /** Writes to logs as leader; one carries all batches that a partition got in a turn. */
  leaderAppends: number
  followerAppends: number
  followerBytes: number
  /** Bytes sent to followers from the buffers just written. */
  tailBytes: number
  /** Bytes sent to followers that were read from the log. */
  catchUpBytes: number
  /** Of both, what was sent under a rate. */
  throttledBytes: number
  fetchedBytes: number
  /** Rounds of group commit, over all directories. */
  syncRounds: number
  leaderFrames: number
  followerFrames: number
  refusedAppends: number
  /** Everything that happened to a replica: what its machine was told, and its end. */
  replicaSteps: number
  isrChanges: number
  truncations: number
  quarantines: number
  /** Ticks that came late, and by how much at most and in sum: how long the event loop was kept from its work. */
  stalls: number
  worstStallUs: number
  stalledUs: number
}

/** Fresh counters, all 0. */
export function brokerCounters(): BrokerCounters {
  return {
    producedBytes: 0,
    producedBatches: 0,
    leaderAppends: 0,
    followerAppends: 0,
    followerBytes: 0,
    tailBytes: 0,
    catchUpBytes: 0,
    throttledBytes: 0,
    fetchedBytes: 0,
    syncRounds: 0,
    leaderFrames: 0,
    followerFrames: 0,
    refusedAppends: 0,
    replicaSteps: 0,
    isrChanges: 0,
    truncations: 0,
    quarantines: 0,
    stalls: 0,
    worstStallUs: 0,
    stalledUs: 0,
  }
}

/** The broker at one moment. */
export interface BrokerStatus {
  readonly phase: 'new' | 'opening' | 'starting' | 'running' | 'draining' | 'stopped'
  /** Clients are served: registered, applied, and not paused. */
  readonly serving: boolean
  /** -1 before the first registration. */
  readonly brokerEpoch: number
  /** The active controller's node id, or -1 while there is no session. */
  readonly controllerId: number
  readonly fenced: boolean
  /** The last metadata entry that was applied. */
  readonly metadataIndex: number
  /** How often this node found that it had been paused. */
  readonly sleeps: number
  readonly partitions: {
    readonly creating: number
    readonly serving: number
    readonly quarantined: number
    readonly replacing: number
    readonly offline: number
    readonly leaders: number
    readonly underMinIsr: number
    readonly underReplicated: number
  }
  /** Produces that wait for the watermark. */
  readonly waitingProduces: number
  readonly streams: { readonly toLeaders: number; readonly ofFollowers: number; readonly inFlightBytes: number }
  readonly counters: Readonly<BrokerCounters>
}
