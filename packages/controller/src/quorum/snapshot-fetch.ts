import {
  publishFile,
  readSmallFile,
  tryAppend,
  type Address,
  type Done,
  type File,
  type IoError,
  type PeerStream,
  type Timer,
  type World,
} from '@millrace/base'
import { RpcDecodeError, SnapshotFrame } from '@millrace/rpc'
import { removeQuietly, type SnapshotFiles, type SnapshotPoint } from './snapshot-files.ts'
import { decodeSnapshot, type Snapshot } from './snapshot-format.ts'

/** Who offers which snapshot. */
export interface SnapshotSource extends SnapshotPoint {
  readonly from: number
}

export interface SnapshotFetchHooks {
  addressOf(id: number): Address | null
  hello(): Uint8Array
  /** The snapshot is durable under its name. */
  arrived(snapshot: Snapshot): void
}

const RETRY_US = 200_000
/** A holder that sends nothing for this long is asked anew. */
const STALL_US = 5_000_000
/** A snapshot is held in memory when it is applied: more than this is refused. */
const MAX_BYTES = 2 ** 30

/**
 * Fetches one snapshot at a time over the bulk lane into a `.part` file. A broken stream goes on where the file ends, in this
 * incarnation or the next; the checksum at the end tells whether all pieces were what they should be.
 */
export class SnapshotFetch {
  readonly #world: World
  readonly #files: SnapshotFiles
  readonly #hooks: SnapshotFetchHooks
  #target: SnapshotSource | null = null
  /** Changes with every attempt: answers to an older one are dropped. */
  #attempt = 0
  #stream: PeerStream | null = null
  #file: File | null = null
  #timer: Timer | null = null

  constructor(world: World, files: SnapshotFiles, hooks: SnapshotFetchHooks) {
    this.#world = world
    this.#files = files
    this.#hooks = hooks
  }

  /** What the leader offers now; null: nothing is needed any more. */
  want(source: SnapshotSource | null): void {
    const target = this.#target
    if (target === null && source === null) return
    if (target?.index === source?.index && target?.term === source?.term && target?.from === source?.from) return
    const replaced = target !== null && (source?.index !== target.index || source.term !== target.term)
    this.#end()
    if (replaced) removeQuietly(this.#world.disk, this.#files.partPath(target))
    this.#target = source
    if (source !== null) this.#begin(source)
  }

  stop(): void {
    this.#end()
    this.#target = null
  }

  #begin(target: SnapshotSource): void {
    const attemptNumber = ++this.#attempt
    this.#world.disk.open(this.#files.partPath(target), 'append', (error, file) => {
      if (attemptNumber !== this.#attempt) return error === null ? file.close(() => {}) : undefined
      if (error !== null) return this.#again(`the file cannot be opened: ${error.message}`)
      this.#file = file
      this.#connect(target, attemptNumber)
    })
  }

  #connect(target: SnapshotSource, attemptNumber: number): void {
    const address = this.#hooks.addressOf(target.from)
    if (address === null) return this.#again(`node ${target.from} has no address`)
    const current = (run: () => void): void => {
      if (attemptNumber === this.#attempt) run()
    }
    this.#stream = this.#world.peers.open(address, 'bulk', this.#hooks.hello(), {
      opened: () => current(() => this.#request(target)),
      frame: (bytes) => current(() => this.#received(target, bytes)),
      drained: () => {},
      closed: (_why, detail) => current(() => this.#again(`the stream ended: ${detail}`)),
    })
    this.#watch()
  }

  #request({ index, term }: SnapshotSource): void {
    const position = this.#file?.size ?? 0
    this.#stream?.send(SnapshotFrame.encode({ kind: 'request', index, term, position }))
  }

  #received(target: SnapshotSource, bytes: Uint8Array): void {
    let frame: SnapshotFrame
    try {
      frame = SnapshotFrame.decode(bytes)
    } catch (error) {
      if (!(error instanceof RpcDecodeError)) throw error
      return this.#again(`a frame does not decode: ${error.message}`)
    }
    if (frame.kind === 'request' || frame.index !== target.index || frame.term !== target.term) return
    if (frame.kind === 'gone') return this.#discard(target, 'the holder has it no more')
    this.#chunk(target, frame)
  }

  #chunk(target: SnapshotSource, chunk: { position: number; totalBytes: number; data: Uint8Array }): void {
    const file = this.#file as File
    if (chunk.totalBytes > MAX_BYTES) return this.#discard(target, `it has ${chunk.totalBytes} bytes`)
    if (chunk.position !== file.size) return this.#discard(target, 'its pieces do not fit')
    const failed = tryAppend(file, [chunk.data])
    if (failed !== null) return this.#again(failed.message)
    if (file.size > chunk.totalBytes) return this.#discard(target, 'it is longer than announced')
    this.#watch()
    if (file.size === chunk.totalBytes) this.#complete(target)
  }

  /** Everything is here: the content is checked before it becomes a snapshot. */
  #complete(target: SnapshotSource): void {
    const attemptNumber = ++this.#attempt // The stream has nothing more to say.
    this.#timer?.cancel()
    this.#stream?.close('complete')
    this.#stream = null
    const read: Done<Uint8Array | null> = (error, content) => {
      if (attemptNumber !== this.#attempt) return
      if (error !== null) return this.#again(error.message)
      const reading = decodeSnapshot(content ?? new Uint8Array(0))
      if (reading.kind !== 'valid') return this.#discard(target, `it is ${reading.kind}`)
      const { snapshot } = reading
      if (snapshot.index !== target.index || snapshot.term !== target.term)
        return this.#discard(target, 'it is of another point')
      this.#adopt(target, snapshot, attemptNumber)
    }
    readSmallFile(this.#world.disk, this.#files.partPath(target), read, MAX_BYTES)
  }

  #adopt(target: SnapshotSource, snapshot: Snapshot, attemptNumber: number): void {
    const file = this.#file as File
    this.#file = null
    publishFile(this.#world.disk, file, this.#files.pathOf(target), (error: IoError | null) => {
      if (attemptNumber !== this.#attempt) return
      if (error !== null) return this.#again(error.message)
      this.#target = null
      this.#hooks.arrived(snapshot)
    })
  }

  #discard(target: SnapshotSource, reason: string): void {
    removeQuietly(this.#world.disk, this.#files.partPath(target))
    this.#again(reason)
  }

  #again(reason: string): void {
    const target = this.#target
    this.#end()
    if (target === null) return
    this.#world.log.warn({ peer: target.from, index: target.index, reason }, 'fetching a snapshot starts again')
    this.#timer = this.#world.timers.after(RETRY_US, () => this.#begin(target))
  }

  #watch(): void {
    this.#timer?.cancel()
    this.#timer = this.#world.timers.after(STALL_US, () => this.#again('nothing came for too long'))
  }

  #end(): void {
    this.#attempt++
    this.#timer?.cancel()
    this.#timer = null
    this.#stream?.close('not needed any more')
    this.#stream = null
    this.#file?.close(() => {})
    this.#file = null
  }
}
