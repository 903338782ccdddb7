/** More points than this are not kept. */
const MAX_POINTS = 60

interface Point {
  readonly offset: number
  readonly atMs: number
}

/**
 * When a log's end (or start) was where: points of a line that never falls. It goes as far back as was looked, finer the nearer to now: the
 * point that goes when there are too many is the one whose neighbours are closest for its age.
 */
export class OffsetHistory {
  private readonly points: Point[] = []

  get isEmpty(): boolean {
    return this.points.length === 0
  }

  /** The offset of the last look; null before the first. */
  get last(): number | null {
    return this.points.at(-1)?.offset ?? null
  }

  /** Each look later than the one before. A log that is shorter than it was forgets what it lost. */
  add(offset: number, atMs: number): void {
    while ((this.points.at(-1)?.offset ?? 0) > offset) this.points.pop()
    const { points } = this
    const last = points.at(-1)
    // A flat stretch is its two ends.
    if (last?.offset === offset && points.at(-2)?.offset === offset) points.pop()
    points.push({ offset, atMs })
    if (points.length > MAX_POINTS) points.splice(this.leastMissed(atMs), 1)
  }

  /** Offsets below this one are not asked for any more. */
  forgetBelow(offset: number): void {
    let before = 0
    while (before + 1 < this.points.length && (this.points[before + 1] as Point).offset <= offset) before++
    if (before > 0) this.points.splice(0, before)
  }

  /**
   * The line went past `offset` at this time, as its records say. It still never falls: a time that contradicts a look is moved between the
   * looks around it. Not for offsets that were not seen to be passed.
   */
  learn(offset: number, atMs: number): void {
    const { points } = this
    const above = points.findIndex((point) => point.offset > offset)
    if (above === -1) return
    const after = points[above] as Point
    const before = points[above - 1]
    const between = Math.max(Math.min(atMs, after.atMs), before?.atMs ?? Number.NEGATIVE_INFINITY)
    if (before?.offset === offset && before.atMs === between) return
    points.splice(above, 0, { offset, atMs: between })
    if (points.length > MAX_POINTS) points.splice(this.leastMissed((points.at(-1) as Point).atMs), 1)
  }

  /** By how much `timeOf` may be wrong: the time between the looks around the offset; Infinity before the first. */
  doubtMs(offset: number): number {
    const { points } = this
    const above = points.findIndex((point) => point.offset > offset)
    if (above === -1) return 0
    const before = points[above - 1]
    if (before === undefined) return Number.POSITIVE_INFINITY
    return before.offset === offset ? 0 : (points[above] as Point).atMs - before.atMs
  }

  private leastMissed(nowMs: number): number {
    let best = 1
    let least = Number.POSITIVE_INFINITY
    for (let at = 1; at < this.points.length - 1; at++) {
      const gapMs = this.atMs(at + 1) - this.atMs(at - 1)
      const missed = gapMs / (nowMs - this.atMs(at))
      if (missed >= least) continue
      best = at
      least = missed
    }
    return best
  }

  private atMs(at: number): number {
    return (this.points[at] as Point).atMs
  }

  /**
   * When the line went past `offset`: between two points as if it had risen evenly, before the first as evenly as from there to now. For an offset that it
   * has not gone past it is the last look; null while nothing is known to tell from.
   */
  timeOf(offset: number): number | null {
    const { points } = this
    const last = points.at(-1)
    if (last === undefined) return null
    if (offset >= last.offset) return last.atMs
    const first = points[0] as Point
    if (offset < first.offset) return between(first, last, offset)
    const above = points.findIndex((point) => point.offset > offset)
    return between(points[above - 1] as Point, points[above] as Point, offset)
  }

  /** Offsets a millisecond over all that is known; null while that is one look. */
  rate(): number | null {
    const first = this.points[0]
    const last = this.points.at(-1)
    if (first === undefined || last === undefined || last.atMs === first.atMs) return null
    return (last.offset - first.offset) / (last.atMs - first.atMs)
  }
}

function between(a: Point, b: Point, offset: number): number | null {
  if (b.offset === a.offset) return null
  return a.atMs + ((offset - a.offset) * (b.atMs - a.atMs)) / (b.offset - a.offset)
}
