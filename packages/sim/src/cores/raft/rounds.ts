import { voterName, type Group, type Member } from '@millrace/raft/model'

interface Round {
  readonly leader: Member
  readonly term: number
  readonly round: number
  readonly commitIndex: number
  /** Entries that anyone knew to be committed when the round began. */
  readonly committed: number
}

/** Read-index: a confirmed round proves that nobody had committed more than this leader when the round began. */
export class Rounds {
  confirmed = 0
  private readonly group: Group
  private open: Round[] = []

  constructor(group: Group) {
    this.group = group
  }

  begin(leader: Member): void {
    if (leader.machine === null || leader.output?.role !== 'leader') return
    const { commitIndex, term } = leader.machine.view
    if (leader.memory.term(commitIndex) !== term) return // Read-index needs a commit of the own term first.
    leader.step({ kind: 'startRound' })
    const { round } = leader.machine.status()
    const committed = this.group.invariants.committedEntries.length
    this.open.push({ leader, term, round, commitIndex, committed })
  }

  check(): void {
    if (this.open.length === 0) return
    this.open = this.open.filter((read) => {
      const status = read.leader.machine?.status()
      if (status?.role !== 'leader' || status.term !== read.term) return false
      if (status.confirmedRound < read.round) return true
      this.confirmed++
      if (read.commitIndex < read.committed)
        throw new Error(
          `invariant: ${voterName(read.leader.voter)} confirmed a round and missed entry ${read.committed}`,
        )
      return false
    })
  }
}
