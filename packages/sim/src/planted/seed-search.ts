import type { RunReport } from '../run/report.ts'
import type { PlantedBug } from './bug.ts'

/** What broke in a seed. */
export interface Catch {
  readonly seed: number
  readonly invariant: string
}

/** Which seeds. */
export interface SeedRange {
  readonly first: number
  readonly most: number
}

/**
 * The seeds of one bug, given out in their order to the processes that look for it. Once one is caught no more are given out; those that
 * are under way end first, so that what is found does not depend on how many processes there are.
 */
export class SeedSearch {
  readonly bug: PlantedBug
  realMs = 0
  /** Nothing more is to be looked for. */
  over = false
  /** Somebody finds out whether the lowest catch counts. */
  settling = false
  private readonly range: SeedRange
  private given = 0
  private readonly open = new Set<number>()
  private readonly caught = new Map<number, string>()

  constructor(bug: PlantedBug, range: SeedRange) {
    this.bug = bug
    this.range = range
  }

  get seeds(): number {
    return this.given
  }

  get hasNext(): boolean {
    return this.given < this.range.most && this.caught.size === 0 && !this.over && !this.settling
  }

  /** No seed is under way. */
  get idle(): boolean {
    return this.open.size === 0
  }

  /** The next seed, or null. */
  readonly take = (): number | null => {
    if (!this.hasNext) return null
    const seed = this.range.first + this.given++
    this.open.add(seed)
    return seed
  }

  /** A process that ended or hung shows that the patch is broken, not that an invariant caught it. */
  readonly ran = ({ seed, violation, realMs }: RunReport): void => {
    this.open.delete(seed)
    this.realMs += realMs
    if (violation !== null && violation.invariant !== 'run-ended') this.caught.set(seed, violation.invariant)
  }

  /** What the lowest seed caught. */
  get lowest(): Catch | null {
    const seed = Math.min(...this.caught.keys())
    const invariant = this.caught.get(seed)
    return invariant === undefined ? null : { seed, invariant }
  }

  /** The seed breaks something without the bug too: it tells nothing. */
  drop(seed: number): void {
    this.caught.delete(seed)
  }

  /** Of the seeds up to this one, how many there were. */
  countTo(seed: number): number {
    return seed - this.range.first + 1
  }
}
