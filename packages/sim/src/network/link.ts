import type { Random } from '@millrace/base'
import type { Life, NetworkFaults, Schedule } from '../seams.ts'

/** Bytes that a link carries in a microsecond: 1 Gbit/s. */
const BYTES_PER_US = 125
/** What a message to the own machine takes. */
const LOOPBACK: NetworkFaults = {
  delayMinUs: 5,
  delayMeanUs: 20,
  breakPer10k: 0,
  retransmitPer10k: 0,
  retransmitMeanUs: 0,
  deliverAfterBreakPercent: 100,
}
/** The longest that a transport waits before it sends again what was lost while a link was cut. */
const LONGEST_BACKOFF_US = 3_000_000

/** The way of messages from one host to another. */
export class Link {
  readonly from: string
  readonly to: string
  /** Since when nothing passes; null when the link is whole. */
  cutSinceUs: number | null = null
  clogUntilUs = 0
  readonly random: Random
  private readonly schedule: Schedule
  private readonly faultsOfNetwork: () => NetworkFaults
  /** How long transports may wait that send again. */
  private backoffUs = 0
  /** Packets of no stream that wait until the link is healed. */
  private parked: { readonly life: Life; readonly run: () => void }[] = []

  constructor(from: string, to: string, parts: { schedule: Schedule; random: Random; faults: () => NetworkFaults }) {
    this.from = from
    this.to = to
    this.schedule = parts.schedule
    this.random = parts.random
    this.faultsOfNetwork = from === to ? () => LOOPBACK : parts.faults
  }

  get faults(): NetworkFaults {
    return this.faultsOfNetwork()
  }

  /** Nothing passes now. */
  get holds(): boolean {
    return this.cutSinceUs !== null
  }

  /** Nothing passes now, or it waits. */
  get isSilent(): boolean {
    return this.cutSinceUs !== null || this.clogUntilUs > this.schedule.nowUs
  }

  /** How long a packet of this size takes when nothing goes wrong. */
  delayUs(bytes = 0): number {
    const { delayMinUs, delayMeanUs } = this.faults
    const spread = Math.max(0, delayMeanUs - delayMinUs)
    const wait = Math.max(0, this.clogUntilUs - this.schedule.nowUs)
    return wait + delayMinUs + this.random.below(2 * spread + 1) + Math.ceil(bytes / BYTES_PER_US)
  }

  /** The same with the faults of the network; null when the message is lost for good. */
  fateUs(bytes: number): number | null {
    const { breakPer10k, retransmitPer10k, retransmitMeanUs } = this.faults
    const delayUs = this.delayUs(bytes)
    if (breakPer10k + retransmitPer10k === 0) return delayUs
    const fate = this.random.below(10_000)
    if (fate < breakPer10k) return null
    if (fate >= breakPer10k + retransmitPer10k) return delayUs
    return delayUs + (retransmitMeanUs >> 1) + this.random.below(retransmitMeanUs + 1)
  }

  /** Carries a packet of no stream: what it does, it does in an event of that life. */
  carry(life: Life, run: () => void, delayUs = this.delayUs()): void {
    this.schedule.post(delayUs, life, () => {
      if (this.holds) this.parked.push({ life, run })
      else run()
    })
  }

  cut(): void {
    if (this.from !== this.to) this.cutSinceUs ??= this.schedule.nowUs
  }

  /** Things pass again; true when they did not. Transports find that out by sending again, ever more seldom the longer it took. */
  heal(): boolean {
    const { cutSinceUs } = this
    if (cutSinceUs === null) return false
    this.backoffUs = Math.min(this.schedule.nowUs - cutSinceUs, LONGEST_BACKOFF_US)
    this.cutSinceUs = null
    for (const { life, run } of this.parked.splice(0)) this.carry(life, run, this.resendUs())
    return true
  }

  /** When a transport sends again what was lost before the link was healed. */
  resendUs(): number {
    return this.delayUs() + this.random.below(this.backoffUs + 1)
  }
}
