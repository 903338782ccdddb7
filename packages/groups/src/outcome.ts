import { encodeGroupRecord } from './records/codec.ts'
import type { GroupRecord } from './records/kinds.ts'
import type { GroupAnswer, GroupLogRecord, Outcome, Rebalance, Reply } from './seams.ts'

/** Collects what one call of the machine decides. */
export class OutcomeBuilder {
  private readonly records: GroupLogRecord[] = []
  private readonly answers: GroupAnswer[] = []
  private readonly rebalances: Rebalance[] = []
  private readonly apply: (record: GroupRecord) => void

  /** `apply` is the way in which records that the log holds change the state. */
  constructor(apply: (record: GroupRecord) => void) {
    this.apply = apply
  }

  /**
   * Decides a record: it counts as written from here on, and has changed the state when this returns. The one way in which durable state
   * changes, so that the log, replayed, gives the same state.
   */
  record(record: GroupRecord): void {
    this.records.push(encodeGroupRecord(record))
    this.apply(record)
  }

  /** Answers once; the answer leaves when what was decided for the group before is committed. */
  answer<R>(groupId: string, reply: Reply<R>, response: R): void {
    const answer: GroupAnswer<R> = { groupId, reply, response }
    // What answers have in common is all that a list of them is used for: each response goes to its own reply.
    this.answers.push(answer as unknown as GroupAnswer)
  }

  rebalanced(rebalance: Rebalance): void {
    this.rebalances.push(rebalance)
  }

  done(): Outcome {
    return { records: this.records, answers: this.answers, rebalances: this.rebalances }
  }
}
