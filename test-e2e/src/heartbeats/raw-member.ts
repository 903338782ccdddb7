import { RawConnection } from './raw-connection.ts'
import type { Tally } from './tally.ts'

export interface RawMemberOptions {
  readonly port: number
  readonly groupId: string
  readonly topic: string
  readonly topicId: string
  readonly partitions: number
  /** Of the classic protocol, where the member decides; in milliseconds. */
  readonly heartbeatMs: number
  readonly tally: Tally
}

const AGAIN_MS = 1_000

/** A member of a group that does nothing but belong to it. What goes wrong is counted, and it joins again. */
export abstract class RawMember {
  protected readonly options: RawMemberOptions
  private connection: RawConnection | null = null
  private timer: NodeJS.Timeout | null = null
  private isSteady = false
  private closed = false

  constructor(options: RawMemberOptions) {
    this.options = options
  }

  /** Resolves once the connection is there; joining goes on from there. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      const again = (error: Error): void => {
        this.options.tally.error(error.message)
        this.steady(false)
        this.later(AGAIN_MS, () => void this.open())
        resolve()
      }
      this.connection = new RawConnection(this.options.port, {
        opened: () => {
          resolve()
          this.join()
        },
        ended: again,
      })
    })
  }

  close(): void {
    this.closed = true
    if (this.timer !== null) clearTimeout(this.timer)
    this.connection?.close()
  }

  protected abstract join(): void

  protected get wire(): RawConnection {
    if (this.connection === null) throw new Error('not open')
    return this.connection
  }

  protected later(ms: number, act: () => void): void {
    if (this.closed) return
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = setTimeout(act, Math.max(0, ms))
  }

  protected refused(what: string, code: number): void {
    this.options.tally.error(`${what} ${code}`)
    this.steady(false)
    this.later(AGAIN_MS, () => this.join())
  }

  protected steady(isSteady: boolean): void {
    if (this.isSteady === isSteady) return
    this.isSteady = isSteady
    this.options.tally.steady += isSteady ? 1 : -1
  }
}
