interface Note {
  atUs: number
  readonly endOffset: number
}

const NOTES_PER_WINDOW = 64

/**
 * Where the leader's log ended at which time: a follower whose ack covers a noted end had, at that time, all there was. An idle log
 * needs one note; a busy one at most {@link NOTES_PER_WINDOW} and a few.
 */
export class LogEndNotes {
  private readonly notes: Note[] = []
  private readonly windowUs: number

  constructor(windowUs: number) {
    this.windowUs = windowUs
  }

  note(nowUs: number, endOffset: number): void {
    const last = this.notes.at(-1)
    if (last !== undefined && last.endOffset === endOffset) {
      last.atUs = nowUs
      return
    }
    if (last !== undefined && nowUs - last.atUs < this.windowUs / NOTES_PER_WINDOW) return
    this.notes.push({ atUs: nowUs, endOffset })
    // Whoever covers only what is older than the window is out of sync whether it is noted or not.
    while (this.notes.length > 1 && (this.notes[0] as Note).atUs < nowUs - 2 * this.windowUs) this.notes.shift()
  }

  /** The newest time at which `durableEnd` was all there was; -Infinity when none is noted. */
  caughtUpUs(durableEnd: number): number {
    for (let at = this.notes.length - 1; at >= 0; at--) {
      const note = this.notes[at] as Note
      if (note.endOffset <= durableEnd) return note.atUs
    }
    return -Infinity
  }
}
