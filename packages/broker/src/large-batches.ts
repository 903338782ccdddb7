import { gathered } from '@millrace/base'
import type { AppendMessage, TypeOf } from '@millrace/rpc'

type Append = TypeOf<typeof AppendMessage>

/** No batch is larger: a client's request that carried it would not have been taken. */
const MOST_BYTES = 512 << 20

interface Begun {
  readonly first: Append
  readonly pieces: Uint8Array[]
  bytes: number
}

/** Puts batches together that came in pieces because they are too large for a frame. One at a time for each session. */
export class LargeBatches {
  private readonly begun = new Map<number, Begun>()

  /** The message as it is to be appended: null while more of it is to come, text where it is wrong. */
  take(message: Append): Append | string | null {
    const begun = this.begun.get(message.session)
    if (begun === undefined && !message.more) return message
    const now = begun ?? { first: message, pieces: [], bytes: 0 }
    if (now.first.baseOffset !== message.baseOffset)
      return `a piece at ${message.baseOffset} does not go on with the batch at ${now.first.baseOffset}`
    for (const piece of message.batches) {
      now.pieces.push(piece)
      now.bytes += piece.length
    }
    if (now.bytes > MOST_BYTES) return `a batch of more than ${MOST_BYTES} bytes`
    if (message.more) {
      this.begun.set(message.session, now)
      return null
    }
    this.begun.delete(message.session)
    return { ...message, batches: [gathered(now.pieces)] }
  }

  forget(session: number): void {
    this.begun.delete(session)
  }

  clear(): void {
    this.begun.clear()
  }
}
