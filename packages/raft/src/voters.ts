import type { VoterId } from '@millrace/base'

/** A text that two identities share only when they are the same voter: a wiped node is another one. */
export function voterKey(voter: VoterId): string {
  return `${voter.id}/${voter.directoryId}`
}

export function sameVoter(a: VoterId | null, b: VoterId | null): boolean {
  if (a === null || b === null) return a === b
  return a.id === b.id && a.directoryId === b.directoryId
}

export function includesVoter(voters: readonly VoterId[], voter: VoterId): boolean {
  return voters.some((other) => sameVoter(other, voter))
}

/** How many of `count` voters are a majority. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1
}

/** The largest value that a majority of `values` reaches; 0 without values. */
export function quorumValue(values: readonly number[]): number {
  if (values.length === 0) return 0
  const falling = values.toSorted((a, b) => b - a)
  return falling[majority(falling.length) - 1] as number
}

/** Whether the votes cast decide the election: a majority for it, a majority that can no longer be reached, or neither. */
export function tally(voters: readonly VoterId[], votes: ReadonlyMap<string, boolean>): 'won' | 'lost' | 'open' {
  let granted = 0
  let refused = 0
  for (const voter of voters) {
    const vote = votes.get(voterKey(voter))
    if (vote === true) granted++
    else if (vote === false) refused++
  }
  const needed = majority(voters.length)
  if (voters.length > 0 && granted >= needed) return 'won'
  return voters.length - refused < needed ? 'lost' : 'open'
}
