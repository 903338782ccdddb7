import type { PartitionMessage } from '@millrace/replication'
import { type AppendMessage, encodeLeaderFrame, type LeaderFrame, type TypeOf } from '@millrace/rpc'

type MessageOf<K extends PartitionMessage['kind']> = Extract<PartitionMessage, { kind: K }>
export type ToFollower = MessageOf<'accepted' | 'diverging' | 'refused' | 'progress'>

/** Bytes of batches after which a frame is sent and the next one begins. */
export const FRAME_BYTES = 1 << 20

/** The transport takes no frame of more than 16 MiB, so a batch larger than this travels in pieces. */
const PIECE_BYTES = 4 << 20

const NOTHING: LeaderFrame = { refused: [], diverging: [], accepted: [], append: [], progress: [] }

type Append = TypeOf<typeof AppendMessage>

/** The frame that goes to one follower next. While the stream is held back it only grows by what replaces what it holds. */
export class OutgoingFrame {
  private refused: MessageOf<'refused'>[] = []
  private diverging: MessageOf<'diverging'>[] = []
  private accepted: MessageOf<'accepted'>[] = []
  private append: Append[] = []
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

  /** Bytes of batches that still fit. A batch that is larger than a frame should be goes into one that holds none yet. */
  get room(): number {
    return FRAME_BYTES - this.bytes
  }

  get hasBatches(): boolean {
    return this.bytes > 0
  }

  addMessage(message: ToFollower): void {
    if (message.kind === 'progress') this.progress.set(message.session, message)
    else if (message.kind === 'accepted') this.accepted.push(message)
    else if (message.kind === 'diverging') this.diverging.push(message)
    else this.refused.push(message)
  }

  addAppend(append: Append, bytes: number): void {
    this.append.push(append)
    this.bytes += bytes
  }

  /** Everything, encoded: the pieces of one frame, and of more where a batch is too large for it. Empty afterwards. */
  take(): Uint8Array[][] {
    const { refused, diverging, accepted } = this
    const progress = [...this.progress.values()]
    const frames: Uint8Array[][] = []
    let next: LeaderFrame = { ...NOTHING, refused, diverging, accepted }
    let append: Append[] = []
    for (const message of this.append) {
      const size = message.batches.reduce((sum, part) => sum + part.length, 0)
      if (size <= PIECE_BYTES) append.push(message)
      else {
        frames.push(encodeLeaderFrame({ ...next, append }))
        next = NOTHING
        append = []
        for (const piece of piecesOf(message)) frames.push(encodeLeaderFrame({ ...NOTHING, append: [piece] }))
      }
    }
    frames.push(encodeLeaderFrame({ ...next, append, progress }))
    this.refused = []
    this.diverging = []
    this.accepted = []
    this.append = []
    this.progress.clear()
    this.bytes = 0
    return frames
  }
}

function* piecesOf(message: Append): Generator<Append> {
  let left = message.batches.reduce((sum, part) => sum + part.length, 0)
  for (const part of message.batches)
    for (let at = 0; at < part.length; at += PIECE_BYTES) {
      const piece = part.subarray(at, at + PIECE_BYTES)
      left -= piece.length
      yield { ...message, batches: [piece], more: left > 0 }
    }
}
