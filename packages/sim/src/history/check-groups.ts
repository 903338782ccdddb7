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
  for (const partition of partitions.values()) {
    checkOrder(partition, findings)
    checkCommitted(partition, findings)
  }
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

/** Whoever gets a partition goes on where the group is, and who had it commits no more: commits move forward. */
function checkOrder({ name, commits }: GroupPartition, findings: Findings): void {
  const begun = commits.filter(isDone).sort((a, b) => a.invokedUs - b.invokedUs)
  const before = latest(begun)
  for (const commit of begun) {
    const last = before(commit.invokedUs)
    if (last !== null && offsetOf(commit) < offsetOf(last))
      findings.add('commit-moved-back', `${name} was committed at ${offsetOf(last)} and then at less`, last, commit)
  }
}

/** What was acknowledged, or told once, is what is told from then on, or what was committed later. */
function checkCommitted({ name, commits, committed }: GroupPartition, findings: Findings): void {
  const before = latest([...commits.filter(isDone), ...committed])
  const known = new Map<number, number>()
  for (const commit of commits)
    known.set(offsetOf(commit), Math.min(known.get(offsetOf(commit)) ?? Infinity, commit.invokedUs))
  for (const told of committed.toSorted((a, b) => a.invokedUs - b.invokedUs)) {
    const { answer = -1 } = told
    const last = before(told.invokedUs)
    if (last !== null && answer < offsetOf(last))
      findings.add(
        answer === -1 ? 'commit-forgotten' : 'commit-lost',
        `${name} was ${last.kind} at ${offsetOf(last)}, told is ${answer}`,
        last,
        told,
      )
    if (answer >= 0 && (known.get(answer) ?? Infinity) > told.endedUs)
      findings.add('phantom-commit', `nobody committed ${answer} for ${name}`, told)
  }
}

function isDone({ outcome }: Operation): boolean {
  return outcome === 'ok'
}

/** What was committed, or told to be. */
function offsetOf({ from = -1, answer = from }: Operation): number {
  return answer
}

/** Tells the operation of the largest offset that ended before a time; to be asked with times that rise. */
function latest(commits: readonly Operation[]): (beforeUs: number) => Operation | null {
  const ended = commits.toSorted((a, b) => a.endedUs - b.endedUs)
  let at = 0
  let last: Operation | null = null
  return (beforeUs) => {
    for (; (ended[at]?.endedUs ?? Infinity) < beforeUs; at++)
      if (last === null || offsetOf(ended[at] as Operation) > offsetOf(last)) last = ended[at] as Operation
    return last
  }
}
