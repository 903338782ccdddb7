import type { Operation, Violation } from '../seams.ts'
import { checkEnd, checkLogStart } from './check-end.ts'
import { checkGroups } from './check-groups.ts'
import { checkLookups } from './check-lookups.ts'
import { checkNumbers, checkProducerIds } from './check-producers.ts'
import { checkReads } from './check-reads.ts'
import { checkWrites } from './check-writes.ts'
import { Findings } from './findings.ts'
import { HistoryIndex } from './history-index.ts'

/**
 * Everything that clients saw and that no order of events explains, in a time that is linear in the history (but for sorting). What was deleted is
 * derived from the history's own requests. Where fresh clients read everything (polls that are `final`), what they did not see counts as lost.
 */
export function checkHistory(history: readonly Operation[]): Violation[] {
  const index = new HistoryIndex(history)
  const findings = new Findings()
  checkProducerIds(index, findings)
  checkGroups(history, findings)
  for (const partition of index.partitions) {
    checkReads(index, partition, findings)
    checkWrites(partition, findings)
    checkNumbers(index, partition, findings)
    checkLookups(index, partition, findings)
    checkLogStart(partition, findings)
    if (index.complete) checkEnd(partition, findings)
  }
  return findings.violations
}
