import type { World } from '@millrace/base'
import { encodeRecords, joinBatch } from '@millrace/metadata'
import type { Answer, Ask, ControllerMachine, MetadataRecord, QuestionKind } from '@millrace/metadata'
import type { Quorum } from './quorum/types.ts'

/** An answer once it holds: `index` is the last entry that it saw. Null: this controller was deposed, and nothing is known. */
export type Answered<R> = (response: R | null, index: number) => void

/** The quorum does not take an entry although this node led a moment ago. */
export type Rejected = () => void

/** Bytes of one entry, beyond which the decisions of a turn are split over several. */
const ENTRY_BYTES = 1024 * 1024
/** What one decision may take. The failure of a broker in the largest cluster that is allowed stays below it. */
const DECISION_BYTES = 14 * 1024 * 1024

/** The machine's answer to this question cannot become an entry; nothing was decided. */
export class Undecidable extends Error {
  override readonly name = 'Undecidable'
}

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
  private runs: Uint8Array[] = []
  private runBytes = 0
  private records = 0
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

  /** Decides now; answers at the end of this turn at the earliest. Throws {@link Undecidable}, and whatever the machine throws, unchanged. */
  ask<K extends QuestionKind>(request: Ask<K>, answered: Answered<Answer<K>>): void {
    // A registration takes its epoch from its entry, so that entry is proposed at once and holds nothing else.
    const alone = request.kind === 'registerBroker'
    if (alone) this.flush()
    if (this.over) return this.miss(answered)
    const { records, response } = this.machine.handle(request, this.world.clock.wallMs())
    // What cannot be written down must not be replayed either.
    const run = encodeRecords(records)
    if (run.length > DECISION_BYTES) throw new Undecidable(`a decision of ${run.length} bytes about ${request.kind}`)
    if (this.runBytes > 0 && this.runBytes + run.length > ENTRY_BYTES) this.flush()
    if (this.over) return this.miss(answered)
    this.undecided.push((held, index) => answered(held ? response : null, index))
    if (records.length > 0) this.add(records, run, alone)
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
    this.discard()
    for (const run of lost) run(false, -1)
  }

  private miss(answered: Answered<never>): void {
    this.world.timers.endOfTurn(() => answered(null, -1))
  }

  private scheduleFlush(): void {
    if (this.flushing) return
    this.flushing = true
    this.world.timers.endOfTurn(() => {
      this.flushing = false
      this.flush()
    })
  }

  private add(records: readonly MetadataRecord[], run: Uint8Array, alone: boolean): void {
    this.runs.push(run)
    this.runBytes += run.length
    this.records += records.length
    const index = alone ? this.propose() : this.lastIndex
    if (index === null) return
    for (const record of records) this.machine.replay(record, index)
    if (alone) this.queueAnswers()
  }

  /** Proposes what the turn decided, and puts its answers in line. */
  private flush(): void {
    if (this.over) return
    if (this.runs.length === 0 || this.propose() !== null) this.queueAnswers()
  }

  private propose(): number | null {
    const at = this.quorum.propose(joinBatch(this.runs, this.records))
    this.discard()
    if (at === null) {
      this.end()
      this.rejected()
      return null
    }
    this.lastIndex = at.index
    return at.index
  }

  private discard(): void {
    this.runs = []
    this.runBytes = 0
    this.records = 0
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
