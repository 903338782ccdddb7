import type { TopicsView } from '../seams.ts'
import type { TopicNames } from './topic-names.ts'
import { TopicPattern } from './topic-pattern.ts'

/** Steps of matching in one turn, summed over patterns: some hundredths of a second at worst. */
export interface Budget {
  steps: number
}

export const STEPS_PER_TURN = 5_000_000

/** The topics that a regular expression stands for, found by looking at every name once. */
export class Resolution {
  private readonly pattern: TopicPattern | null
  private readonly found = new Set<string>()
  private edition = -1
  private looked = 0

  /** A text that is no pattern here, as other software may have let pass, stands for no topic. */
  constructor(text: string) {
    const pattern = TopicPattern.compile(text)
    this.pattern = pattern instanceof TopicPattern ? pattern : null
  }

  /** Looks at names it has not seen yet; false when the budget ended before the names did. */
  advance(names: TopicNames, budget: Budget): boolean {
    const { pattern } = this
    if (pattern === null) return true
    if (names.edition !== this.edition) {
      this.edition = names.edition
      this.looked = 0
      this.found.clear()
    }
    while (this.looked < names.names.length) {
      if (budget.steps <= 0) return false
      const name = names.names[this.looked++] as string
      budget.steps -= name.length * pattern.stepsPerCharacter
      if (pattern.matches(name)) this.found.add(name)
    }
    return true
  }

  /** The topics there are among those found, in order. */
  topics(view: TopicsView): string[] {
    return [...this.found].filter((name) => view.byName(name) !== null).sort()
  }
}
