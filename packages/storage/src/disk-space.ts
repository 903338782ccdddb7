import type { Timer, World } from '@millrace/base'

const POLL_US = 5_000_000
const POLL_WHEN_FULL_US = 1_000_000
/** Space must be back by this much more than the reserve before appends resume, so that one retention pass does not flap. */
const HYSTERESIS = 1.25

export interface DiskSpaceOptions {
  readonly world: World
  readonly path: string
  readonly reserveBytes: number
}

/** Watches the free space of a directory's disk, and says `full` while less than the reserve is left. */
export class DiskSpace {
  full = false
  /** Bytes, as last seen, less what was appended since. */
  freeBytes = Number.MAX_SAFE_INTEGER
  private readonly options: DiskSpaceOptions
  private timer: Timer | null = null
  private ended = false
  private asking = false

  constructor(options: DiskSpaceOptions) {
    this.options = options
  }

  start(): void {
    this.ask()
  }

  end(): void {
    this.ended = true
    this.timer?.cancel()
  }

  /** Counts an append; looks again at once when it may have reached the reserve. */
  wrote(bytes: number): void {
    this.freeBytes -= bytes
    if (!this.full && this.freeBytes < this.options.reserveBytes) this.ask()
  }

  /** The disk refused an append for want of space. */
  ranOut(): void {
    this.freeBytes = 0
    this.judge()
    this.ask()
  }

  private ask(): void {
    if (this.asking || this.ended) return
    this.asking = true
    this.timer?.cancel()
    this.options.world.disk.freeBytes(this.options.path, (error, bytes) => {
      this.asking = false
      if (this.ended) return
      if (error === null) {
        this.freeBytes = bytes
        this.judge()
      }
      const delay = this.full ? POLL_WHEN_FULL_US : POLL_US
      this.timer = this.options.world.timers.after(delay, () => this.ask())
    })
  }

  private judge(): void {
    const { reserveBytes, world, path } = this.options
    const full = this.freeBytes < (this.full ? reserveBytes * HYSTERESIS : reserveBytes)
    if (full === this.full) return
    this.full = full
    const fields = { path, freeBytes: this.freeBytes, reserveBytes }
    if (full) world.log.error(fields, 'log directory is full, appends are refused until space is back')
    else world.log.info(fields, 'log directory has space again')
  }
}
