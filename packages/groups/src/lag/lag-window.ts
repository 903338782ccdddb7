/** How a group gets on with a partition, as Burrow names it. */
export type LagStatus = 'OK' | 'WARN' | 'STOP' | 'STALL' | 'REWIND'

/** What a look found: the group's last commit for the partition, and the log's end. */
export interface LagLook {
  readonly offset: number
  readonly commitMs: number
  readonly logEnd: number
  readonly nowMs: number
}

interface SeenCommit {
  readonly offset: number
  readonly commitMs: number
  /** As of when it was seen first. */
  readonly lag: number
}

/** Commits that the window holds. */
const WINDOW = 10
/** A group that committed once is not known by its pace; this long it may be silent. */
const LONE_COMMIT_MS = 300_000

/**
 * The last commits of a group for a partition, and what they say about it. The rules are Burrow's (its wiki, "Consumer Lag Evaluation
 * Rules"), on looks instead of the commits themselves:
 *
 *   OK      nothing is left to read, or in the window at some time nothing was
 *   STOP    silent for longer than the window's commits took, with something left to read
 *   REWIND  a commit went back
 *   STALL   commits come, always of the same offset, and the lag does not shrink
 *   WARN    offsets rise, but the lag never shrinks
 *
 * The last two judge a trend and need a full window. A window that is not full is taken to go on at its pace when silence is judged.
 */
export class LagWindow {
  private readonly commits: SeenCommit[] = []
  /** The log's end at the last looks since the last commit: a group that had read all at one of them has had no time to be late. */
  private ends: number[] = []

  /** Counts a commit once, however often it is seen. */
  look({ offset, commitMs, logEnd }: LagLook): void {
    const last = this.commits.at(-1)
    if (last?.commitMs === commitMs && last.offset === offset) {
      push(this.ends, logEnd)
      return
    }
    this.ends = [logEnd]
    push(this.commits, { offset, commitMs, lag: lagOf(offset, logEnd) })
  }

  /** Records that are left to read, as of the last look; null before the first. */
  get records(): number | null {
    const last = this.commits.at(-1)
    const end = this.ends.at(-1)
    return last === undefined || end === undefined ? null : lagOf(last.offset, end)
  }

  /** How full the window is, 0 to 1. */
  get complete(): number {
    return this.commits.length / WINDOW
  }

  status(nowMs: number): LagStatus {
    if ((this.records ?? 0) === 0) return 'OK'
    if (this.isSilent(nowMs) && !this.hadReadAll()) return 'STOP'
    if (this.commits.some(({ lag }) => lag === 0)) return 'OK'
    if (this.ever((before, after) => after.offset < before.offset)) return 'REWIND'
    if (this.commits.length < WINDOW || this.ever((before, after) => after.lag < before.lag)) return 'OK'
    return this.ever((before, after) => after.offset !== before.offset) ? 'WARN' : 'STALL'
  }

  private isSilent(nowMs: number): boolean {
    const first = this.commits[0] as SeenCommit
    const last = this.commits.at(-1) as SeenCommit
    const steps = this.commits.length - 1
    const paceMs = steps === 0 ? LONE_COMMIT_MS : ((last.commitMs - first.commitMs) / steps) * (WINDOW - 1)
    return nowMs - last.commitMs > paceMs
  }

  private hadReadAll(): boolean {
    const { offset } = this.commits.at(-1) as SeenCommit
    return this.ends.some((end) => end <= offset)
  }

  private ever(holds: (before: SeenCommit, after: SeenCommit) => boolean): boolean {
    return this.commits.some((after, at) => at > 0 && holds(this.commits[at - 1] as SeenCommit, after))
  }
}

function push<T>(window: T[], one: T): void {
  window.push(one)
  if (window.length > WINDOW) window.shift()
}

function lagOf(offset: number, logEnd: number): number {
  return Math.max(0, logEnd - offset)
}

/** From the least to the most worrying. */
const SEVERITY: readonly LagStatus[] = ['OK', 'WARN', 'REWIND', 'STALL', 'STOP']

/** What a group's partitions come to: the worst of them. */
export function worstStatus(statuses: Iterable<LagStatus>): LagStatus {
  let worst = 0
  for (const status of statuses) worst = Math.max(worst, SEVERITY.indexOf(status))
  return SEVERITY[worst] as LagStatus
}
