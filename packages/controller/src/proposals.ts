import type { World } from '@millrace/base'
import { encodeBatch } from '@millrace/metadata'
import type { Answer, Ask, ControllerMachine, MetadataRecord, QuestionKind } from '@millrace/metadata'
import type { Quorum } from './quorum/types.ts'

/** An answer once it holds: `index` is the last entry that it saw. Null: this controller was deposed, and nothing is known. */
export type Answered<R> = (response: R | null, index: number) => void

/** The quorum does not take an entry although this node led a moment ago. */
export type Rejected = () => void

/** Records in one entry, beyond which the decisions of a turn are split over several. */
const RECORDS_PER_ENTRY = 4000

interface Waiting {
  readonly index: number
  readonly run: (held: boolean) => void
}

/**
 * Asks the machine, puts the decisions of a turn into few entries, and holds every answer back until the last record that it saw is
 * committed. The records of one decision are never split.
 */
export class Proposals {
  private readonly world: World
  private readonly quorum: Quorum
  private readonly machine: ControllerMachine
  private readonly rejected: Rejected
  private records: MetadataRecord[] = []
  private undecided: ((held: boolean, index: number) => void)[] = []
  private waiting: Waiting[] = []
  private lastIndex: number
  private committedIndex: number
  private flushing = false
  private over = false

  constructor(parts: { world: World; quorum: Quorum; machine: ControllerMachine; index: number; rejected: Rejected }) {
    this.world = parts.world
    this.quorum = parts.quorum
    this.machine = parts.machine
    this.rejected = parts.rejected
    this.lastIndex = parts.index
    this.committedIndex = parts.index
  }

  /** The last entry that holds a decision, committed or not. */
  get proposedIndex(): number {
    return this.lastIndex
  }

  /** Decides now; answers at the end of this turn at the earliest. */
  ask<K extends QuestionKind>(request: Ask<K>, answered: Answered<Answer<K>>): void {
    // A registration takes its epoch from its entry, so that entry is proposed at once and holds nothing else.
    if (request.kind === 'registerBroker') this.flush()
    if (this.over) {
      this.world.timers.endOfTurn(() => answered(null, -1))
      return
    }
    const { records, response } = this.machine.handle(request, this.world.clock.wallMs())
    this.undecided.push((held, index) => answered(held ? response : null, index))
    if (request.kind === 'registerBroker' && records.length > 0) this.propose(records)
    else {
      for (const record of records) {
        this.machine.replay(record, this.lastIndex)
        this.records.push(record)
      }
      if (this.records.length >= RECORDS_PER_ENTRY) this.flush()
    }
    this.scheduleFlush()
  }

  committed(index: number): void {
    this.committedIndex = index
    let at = 0
    for (; at < this.waiting.length && (this.waiting[at] as Waiting).index <= index; at++);
    for (const { run } of this.waiting.splice(0, at)) run(true)
  }

  /** Nothing that is waiting will be answered: another controller decides from here on. */
  end(): void {
    if (this.over) return
    this.over = true
    const lost = [...this.waiting.map(({ run }) => run), ...this.undecided]
    this.waiting = []
    this.undecided = []
    this.records = []
    for (const run of lost) run(false, -1)
  }

  private scheduleFlush(): void {
    if (this.flushing) return
    this.flushing = true
    this.world.timers.endOfTurn(() => {
      this.flushing = false
      this.flush()
    })
  }

  /** Proposes what the turn decided, and puts its answers in line. */
  private flush(): void {
    if (this.over) return
    if (this.records.length > 0) {
      const records = this.records
      this.records = []
      const index = this.proposed(records)
      if (index === null) return
    }
    this.queueAnswers()
  }

  private propose(records: readonly MetadataRecord[]): void {
    const index = this.proposed(records)
    if (index === null) return
    for (const record of records) this.machine.replay(record, index)
    this.queueAnswers()
  }

  private proposed(records: readonly MetadataRecord[]): number | null {
    const at = this.quorum.propose(encodeBatch(records))
    if (at === null) {
      this.end()
      this.rejected()
      return null
    }
    this.lastIndex = at.index
    return at.index
  }

  private queueAnswers(): void {
    const index = this.lastIndex
    const answers = this.undecided
    this.undecided = []
    for (const run of answers)
      if (index <= this.committedIndex) run(true, index)
      else this.waiting.push({ index, run: (held) => run(held, index) })
  }
}
