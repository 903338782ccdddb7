import { INTERNAL_TOPICS } from '@millrace/base'
import type { TopicsView } from '../seams.ts'

/**
 * The names that topics had, in the order in which they were first seen, so that whoever has looked at some of them looks at new ones only.
 * Names of topics that are gone stay until they are the larger part; then the list begins again, in a new edition. Internal topics are not in it:
 * whoever reads all topics and commits would read its own commits for ever.
 */
export class TopicNames {
  private readonly view: TopicsView
  private version = Number.NaN
  private seen = new Set<string>()
  /** Rises when the list began again: places in an older edition mean nothing. */
  edition = 0
  names: readonly string[] = []

  constructor(view: TopicsView) {
    this.view = view
  }

  /** Looks at the topics if they changed. */
  refresh(): void {
    if (this.view.version === this.version) return
    this.version = this.view.version
    const now = [...this.view.names()].filter((name) => !INTERNAL_TOPICS.has(name))
    const known = now.reduce((count, name) => count + (this.seen.has(name) ? 1 : 0), 0)
    if (this.names.length - known > now.length) {
      this.edition++
      this.seen = new Set()
      this.names = []
    }
    const fresh = now.filter((name) => !this.seen.has(name))
    for (const name of fresh) this.seen.add(name)
    if (fresh.length > 0) this.names = [...this.names, ...fresh]
  }
}
