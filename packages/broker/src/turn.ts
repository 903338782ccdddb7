import type { Timers } from '@millrace/base'

/**
 * The broker's one batching point. Input of a turn only stages work; at the end of the turn the stages run in their order, each over
 * all that was staged: write, send, answer. Work that a stage causes for an earlier stage gets a turn of its own.
 */
export class Turn {
  private readonly timers: Timers
  private readonly stages: (() => void)[] = []
  private scheduled = false
  private ended = false

  constructor(timers: Timers) {
    this.timers = timers
  }

  /** Adds a stage; stages run in the order in which they were added. */
  stage(run: () => void): void {
    this.stages.push(run)
  }

  /** Asks for a run of the stages at the end of this turn. */
  schedule(): void {
    if (this.scheduled || this.ended) return
    this.scheduled = true
    this.timers.endOfTurn(this.run)
  }

  /** Nothing runs any more. */
  end(): void {
    this.ended = true
  }

  private readonly run = (): void => {
    this.scheduled = false
    if (this.ended) return
    for (const stage of this.stages) stage()
  }
}
