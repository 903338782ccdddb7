import { gathered, type Logger } from '@millrace/base'
import { type FollowedImage, MetadataDecodeError } from '@millrace/metadata'
import type { ControllerFrame } from '@millrace/rpc'
import { CollectedChanges } from './image-changes.ts'

type MetadataFrame = Extract<ControllerFrame, { kind: 'records' | 'snapshot' }>

/** A snapshot larger than this is no snapshot of ours. */
const MOST_SNAPSHOT_BYTES = 2 ** 30

/** Feeds the image with what the controller streams: committed entries in order, or a snapshot in chunks that replaces everything. */
export class ImageFeed {
  private readonly image: FollowedImage
  private readonly log: Logger
  private chunks: Uint8Array[] = []
  private chunkBytes = 0
  private chunkIndex = -1
  /** Nothing more can be applied before a snapshot replaced the image. */
  broken = false

  constructor(image: FollowedImage, log: Logger) {
    this.image = image
    this.log = log
  }

  /** A new stream begins: chunks of the last one are worth nothing. */
  restart(): void {
    this.chunks = []
    this.chunkBytes = 0
    this.chunkIndex = -1
  }

  /** What changed; null when the frame was only a part of it, or nothing new. */
  take(frame: MetadataFrame): CollectedChanges | 'unreadable' | null {
    try {
      return frame.kind === 'records' ? this.records(frame) : this.snapshot(frame)
    } catch (error) {
      if (!(error instanceof MetadataDecodeError)) throw error
      this.log.error({ index: this.image.index, error }, 'metadata not readable, asking for a snapshot')
      this.broken = true
      return 'unreadable'
    }
  }

  private records(frame: Extract<MetadataFrame, { kind: 'records' }>): CollectedChanges | null {
    let changes: CollectedChanges | null = null
    for (const { index, payload } of frame.entries) {
      // A stream that was resumed may repeat what is applied.
      if (index <= this.image.index) continue
      changes ??= new CollectedChanges()
      changes.add(this.image.apply(index, payload))
    }
    return changes
  }

  private snapshot({ index, data, last }: Extract<MetadataFrame, { kind: 'snapshot' }>): CollectedChanges | null {
    if (index !== this.chunkIndex) this.restart()
    this.chunkIndex = index
    this.chunkBytes += data.length
    if (this.chunkBytes > MOST_SNAPSHOT_BYTES)
      throw new MetadataDecodeError(`a snapshot of more than ${MOST_SNAPSHOT_BYTES} bytes`)
    this.chunks.push(data)
    if (!last) return null
    const whole = gathered(this.chunks)
    this.restart()
    // An image never goes back: a controller that is behind sends what is already applied.
    if (index < this.image.index && !this.broken) return null
    const changes = new CollectedChanges()
    changes.add(this.image.load(index, whole))
    this.broken = false
    this.log.info({ index, bytes: whole.length }, 'metadata snapshot loaded')
    return changes
  }
}
