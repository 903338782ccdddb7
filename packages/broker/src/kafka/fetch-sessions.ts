import { brokerConfigValue } from '@millrace/base'
import type { Clock, Random } from '@millrace/base'
import { FetchSession } from './fetch-session.ts'

/** A session that nobody used for so long makes way for any other one, and one that is as old for a larger one. */
const EVICTION_US = 120_000_000
/** Partitions of all sessions, which clients can name without end; a session that goes beyond is none. */
const MOST_PARTITIONS = 1_000_000
const SLOTS = 'max.incremental.fetch.session.cache.slots'
const MOST_ID = 0x7fff_ffff

/** `max.incremental.fetch.session.cache.slots` of the broker's settings. */
export function sessionSlots(properties: ReadonlyMap<string, string>): number {
  return Number(brokerConfigValue(properties, SLOTS))
}

/** A session that is about to be granted: what it would be. */
export interface SessionWish {
  readonly partitions: number
  readonly usesTopicIds: boolean
}

/**
 * The fetch sessions of a broker, with Kafka's rules: at most so many; when they are used up, a new one takes the place of the one that was not used
 * for longest if that is two minutes, else of a smaller one that is two minutes old, else it is not granted.
 */
export class FetchSessions {
  private readonly clock: Clock
  private readonly random: Random
  private readonly slots: number
  private readonly mostPartitions: number
  /** The one that was not used for longest first. */
  private readonly sessions = new Map<number, FetchSession>()
  /** What each session counts for, and all of them. */
  private readonly counted = new Map<FetchSession, number>()
  private total = 0

  constructor(
    world: { readonly clock: Clock; readonly random: Random },
    slots: number,
    mostPartitions = MOST_PARTITIONS,
  ) {
    this.clock = world.clock
    this.random = world.random
    this.slots = slots
    this.mostPartitions = mostPartitions
  }

  get size(): number {
    return this.sessions.size
  }

  /** Partitions of all sessions. */
  get partitions(): number {
    return this.total
  }

  get(id: number): FetchSession | null {
    return this.sessions.get(id) ?? null
  }

  /** A new session, still without partitions; null when none is granted. */
  grant({ partitions, usesTopicIds }: SessionWish): FetchSession | null {
    const now = this.clock.monotonicUs()
    if (!this.makeRoom(partitions, now)) return null
    const session = new FetchSession(this.freshId(), usesTopicIds, now)
    this.sessions.set(session.id, session)
    this.count(session, partitions)
    return session
  }

  /** Whether a session may grow by so many partitions. */
  mayGrow(partitions: number): boolean {
    return this.total + partitions <= this.mostPartitions
  }

  /** The session is used now; its size may have changed. */
  touch(session: FetchSession): void {
    session.lastUsedUs = this.clock.monotonicUs()
    if (!this.sessions.delete(session.id)) return
    this.sessions.set(session.id, session)
    this.count(session, session.size)
  }

  remove(id: number): void {
    const session = this.sessions.get(id)
    if (session === undefined) return
    this.sessions.delete(id)
    this.count(session, 0)
    this.counted.delete(session)
  }

  private makeRoom(partitions: number, now: number): boolean {
    while (this.sessions.size >= this.slots || !this.mayGrow(partitions)) {
      const victim = this.stale(now) ?? (this.sessions.size >= this.slots ? this.smaller(partitions, now) : null)
      if (victim === null) return false
      this.remove(victim.id)
    }
    return true
  }

  private stale(now: number): FetchSession | null {
    for (const session of this.sessions.values()) return now - session.lastUsedUs > EVICTION_US ? session : null
    return null
  }

  /** The smallest of those that are old enough, if it is smaller. */
  private smaller(partitions: number, now: number): FetchSession | null {
    let found: FetchSession | null = null
    for (const session of this.sessions.values()) {
      if (now - session.createdUs <= EVICTION_US || session.size >= partitions) continue
      if (found === null || session.size < found.size) found = session
    }
    return found
  }

  private freshId(): number {
    for (;;) {
      const id = this.random.uint32() & MOST_ID
      if (id !== 0 && !this.sessions.has(id)) return id
    }
  }

  private count(session: FetchSession, partitions: number): void {
    this.total += partitions - (this.counted.get(session) ?? 0)
    this.counted.set(session, partitions)
  }
}
