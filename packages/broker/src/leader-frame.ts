import type { PartitionMessage } from '@millrace/replication'
import { LeaderFrame, type AppendMessage, type TypeOf } from '@millrace/rpc'

type MessageOf<K extends PartitionMessage['kind']> = Extract<PartitionMessage, { kind: K }>
export type ToFollower = MessageOf<'accepted' | 'diverging' | 'refused' | 'progress'>

/** Bytes of batches after which a frame is sent and the next one begins. */
export const FRAME_BYTES = 1 << 20

/** The frame that goes to one follower next. While the stream is held back it only grows by what replaces what it holds. */
export class OutgoingFrame {
  private refused: MessageOf<'refused'>[] = []
  private diverging: MessageOf<'diverging'>[] = []
  private accepted: MessageOf<'accepted'>[] = []
  private append: TypeOf<typeof AppendMessage>[] = []
  private readonly progress = new Map<number, MessageOf<'progress'>>()
  private bytes = 0

  get empty(): boolean {
    return (
      this.append.length === 0 &&
      this.progress.size === 0 &&
      this.accepted.length === 0 &&
      this.refused.length === 0 &&
      this.diverging.length === 0
    )
  }

  /** Whether a batch fits behind `waiting` bytes that are about to be added. The first batch of a frame always does. */
  fits(waiting: number, bytes: number): boolean {
    const before = this.bytes + waiting
    return before === 0 || before + bytes <= FRAME_BYTES
  }

  addMessage(message: ToFollower): void {
    if (message.kind === 'progress') this.progress.set(message.session, message)
    else if (message.kind === 'accepted') this.accepted.push(message)
    else if (message.kind === 'diverging') this.diverging.push(message)
    else this.refused.push(message)
  }

  addAppend(append: TypeOf<typeof AppendMessage>, bytes: number): void {
    this.append.push(append)
    this.bytes += bytes
  }

  /** The encoded frame; this one is empty afterwards. */
  take(): Uint8Array {
    const { refused, diverging, accepted, append } = this
    const encoded = LeaderFrame.encode({ refused, diverging, accepted, append, progress: [...this.progress.values()] })
    this.refused = []
    this.diverging = []
    this.accepted = []
    this.append = []
    this.progress.clear()
    this.bytes = 0
    return encoded
  }
}
