import type { Operation } from '../seams.ts'
import type { Findings } from './findings.ts'

/** What concerns one partition as one group reads it, in the order of the history. */
interface GroupPartition {
  readonly name: string
  readonly commits: Operation[]
  readonly committed: Operation[]
}

/** What coordinators told members, held against each other: who owns what, and what is committed. */
export function checkGroups(history: readonly Operation[], findings: Findings): void {
  const partitions = new Map<string, GroupPartition>()
  const owners = new Map<string, Operation>()
  for (const operation of history) {
    const { kind, group, topic, partition } = operation
    if (group === undefined) continue
    const name = `${topic}-${partition} of group ${group}`
    let known = partitions.get(name)
    if (known === undefined) partitions.set(name, (known = { name, commits: [], committed: [] }))
    if (kind === 'claim') checkOwner(owners, operation, { name, findings })
    else if (kind === 'commit') known.commits.push(operation)
    else if (kind === 'committed') known.committed.push(operation)
  }
  for (const partition of partitions.values()) checkCommitted(partition, findings)
}

/** In one generation a partition is one member's. */
function checkOwner(
  owners: Map<string, Operation>,
  claim: Operation,
  { name, findings }: { readonly name: string; readonly findings: Findings },
): void {
  const key = `${name} ${claim.generation}`
  const other = owners.get(key)
  if (other === undefined) owners.set(key, claim)
  else if (other.owner !== claim.owner)
    findings.add(
      'two-owners',
      `in generation ${claim.generation} ${name} is ${other.owner}'s and ${claim.owner}'s`,
      other,
      claim,
    )
}

/**
 * What was acknowledged, or told once, is what is told from then on, or what was committed later. Whoever gets a partition goes on where the group
 * is, and who had it commits no more: commits move forward.
 */
function checkCommitted({ name, commits, committed }: GroupPartition, findings: Findings): void {
  const certain = [...commits.filter(isDone), ...committed]
  const unknown = commits.filter(({ outcome, error }) => outcome === 'info' && error === undefined)
  const floor = new Floor(certain)
  for (const next of certain.toSorted((a, b) => a.invokedUs - b.invokedUs)) {
    const last = floor.before(next.invokedUs)
    if (last === null || offsetOf(next) >= offsetOf(last)) continue
    if (unknown.some((late) => cameLate(late, last, next))) floor.forget()
    else
      findings.add(
        next.kind === 'commit' ? 'commit-moved-back' : offsetOf(next) === -1 ? 'commit-forgotten' : 'commit-lost',
        `${name} was ${last.kind} at ${offsetOf(last)}, then it was ${next.kind} at ${offsetOf(next)}`,
        last,
        next,
      )
  }
  checkPhantoms({ name, commits, committed }, findings)
}

function checkPhantoms({ name, commits, committed }: GroupPartition, findings: Findings): void {
  const firstUs = new Map<number, number>()
  for (const commit of commits) {
    const offset = offsetOf(commit)
    firstUs.set(offset, Math.min(firstUs.get(offset) ?? Infinity, commit.invokedUs))
  }
  for (const told of committed) {
    const offset = offsetOf(told)
    if (offset >= 0 && (firstUs.get(offset) ?? Infinity) > told.endedUs)
      findings.add('phantom-commit', `nobody committed ${offset} for ${name}`, told)
  }
}

/**
 * A commit that its member gave up may come to its coordinator after the member's next one, by a connection that was not told to be broken: while the
 * generation lasts it counts.
 */
function cameLate(late: Operation, last: Operation, told: Operation): boolean {
  const stood = (late.generation ?? -1) >= (last.generation ?? -1)
  return told.kind === 'committed' && stood && offsetOf(late) === offsetOf(told) && late.invokedUs <= told.endedUs
}

function isDone({ outcome }: Operation): boolean {
  return outcome === 'ok'
}

/** What was committed, or told to be. */
function offsetOf({ from = -1, answer = from }: Operation): number {
  return answer
}

/** The largest offset of the operations that ended before a time; to be asked with times that rise. */
class Floor {
  private readonly ended: readonly Operation[]
  private at = 0
  private last: Operation | null = null

  constructor(operations: readonly Operation[]) {
    this.ended = operations.toSorted((a, b) => a.endedUs - b.endedUs)
  }

  before(timeUs: number): Operation | null {
    for (; this.at < this.ended.length; this.at++) {
      const next = this.ended[this.at] as Operation
      if (next.endedUs >= timeUs) break
      if (this.last === null || offsetOf(next) > offsetOf(this.last)) this.last = next
    }
    return this.last
  }

  /** What ended until then counts no more. */
  forget(): void {
    this.last = null
  }
}
