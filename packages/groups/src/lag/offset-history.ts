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
