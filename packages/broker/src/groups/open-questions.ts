import { ErrorCode, type World } from '@millrace/base'
import type { GroupAnswer, Reply } from '@millrace/groups'
import type { GroupQuestion } from '../seams.ts'
import { Patience } from './patience.ts'
import { type PendingAppend, PendingAppends } from './pending-appends.ts'
import { coordinatorError } from './write-errors.ts'

interface Open {
  readonly groupId: string
  readonly failed: (error: ErrorCode) => void
}

/**
 * The questions that a shard was asked and that are not answered: those that it keeps to itself until something happens, and those whose
 * answer is decided and waits for the commit of records. Each is answered once, or dropped.
 */
export class OpenQuestions {
  private readonly pending = new PendingAppends()
  private readonly patience: Patience
  /** By who is answered, as the shard has it. */
  private readonly open = new Map<GroupAnswer['reply'], Open>()

  constructor(world: World, commitTimeoutMs: number) {
    this.patience = new Patience(world, commitTimeoutMs)
  }

  /** Whom the shard answers; the question is open once it was `asked`. */
  replyTo<R>(question: GroupQuestion<R>): Reply<R> {
    const reply = (response: R): void => {
      if (this.open.delete(reply)) question.answered(response)
    }
    return reply
  }

  asked<R>(reply: Reply<R>, question: GroupQuestion<R>): void {
    this.open.set(reply, { groupId: question.groupId, failed: (error) => question.failed(error) })
  }

  drop(reply: GroupAnswer['reply']): void {
    this.open.delete(reply)
  }

  /** Records of a group, or with null of several, are on their way in so many batches. */
  appending(groupId: string | null, batches: number): PendingAppend {
    return this.pending.begin(groupId, batches)
  }

  /** Gives the answer, or lets it wait for what was decided for its group before. */
  decided(answer: GroupAnswer): void {
    const append = this.pending.of(answer.groupId)
    if (append === null) return answer.reply(answer.response)
    append.answers.add(answer)
    this.patience.add({
      get over() {
        return !append.answers.has(answer)
      },
      tooLate: () => {
        append.answers.delete(answer)
        this.tooLate(answer)
      },
    })
  }

  /** One more batch of the append is committed; with the last one go those who waited. */
  committed(append: PendingAppend): void {
    if (--append.batches > 0) return
    this.pending.committed(append)
    for (const { reply, response } of append.answers) reply(response)
    append.answers.clear()
    this.patience.moved()
  }

  /** Tells everybody. An error that is about one group is the others' only as far as they have to come again. */
  failAll(error: ErrorCode, groupId: string | null): void {
    this.pending.clear()
    this.patience.clear()
    const others = error === ErrorCode.UNKNOWN_SERVER_ERROR ? ErrorCode.COORDINATOR_NOT_AVAILABLE : error
    const open = [...this.open.values()]
    this.open.clear()
    for (const one of open) one.failed(groupId === null || one.groupId === groupId ? error : others)
  }

  /** The records may still be committed; whoever waits for that comes again. */
  private tooLate({ reply }: GroupAnswer): void {
    const open = this.open.get(reply)
    this.open.delete(reply)
    open?.failed(coordinatorError(ErrorCode.REQUEST_TIMED_OUT))
  }
}
