import type { GroupAnswer } from '@millrace/groups'

/** Records on their way to being committed, and who waits for them. */
export class PendingAppend {
  /** Rises with every append of a coordinator. */
  readonly sequence: number
  /** The group that the records are of; null for those of several. */
  readonly groupId: string | null
  /** In the order in which they were decided. */
  readonly answers = new Set<GroupAnswer>()
  /** Its batches that are not committed. */
  batches: number

  constructor(sequence: number, groupId: string | null, batches: number) {
    this.sequence = sequence
    this.groupId = groupId
    this.batches = batches
  }
}

/** What each group's answers wait for: the last append of its records that is not committed. Appends are committed in their order. */
export class PendingAppends {
  private readonly ofGroup = new Map<string, PendingAppend>()
  private ofSeveral: PendingAppend | null = null
  private sequence = 0

  begin(groupId: string | null, batches: number): PendingAppend {
    const append = new PendingAppend(++this.sequence, groupId, batches)
    if (groupId === null) this.ofSeveral = append
    else this.ofGroup.set(groupId, append)
    return append
  }

  /** The append that an answer of the group waits for; null when everything of it is committed. */
  of(groupId: string): PendingAppend | null {
    const own = this.ofGroup.get(groupId) ?? null
    const { ofSeveral } = this
    if (own === null || ofSeveral === null) return own ?? ofSeveral
    return own.sequence > ofSeveral.sequence ? own : ofSeveral
  }

  committed(append: PendingAppend): void {
    if (append.groupId === null) {
      if (this.ofSeveral === append) this.ofSeveral = null
    } else if (this.ofGroup.get(append.groupId) === append) this.ofGroup.delete(append.groupId)
  }

  clear(): void {
    this.ofGroup.clear()
    this.ofSeveral = null
  }
}
