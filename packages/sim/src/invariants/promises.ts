import type { PartitionImage } from '@millrace/metadata'
import { demand } from './demand.ts'
import { partitionText } from './metadata-checks.ts'
import type { ReplicaWatch } from './partition-model.ts'

/** What a broker has acknowledged to the leader that it followed last. */
interface Promised {
  readonly leaderEpoch: number
  readonly brokerEpoch: number
  end: number
}

/**
 * Who told which leader what. A leader counts only what a follower told it in its own epoch (KIP-320), the ISR holds nobody that its
 * leader does not wait for (KIP-497), and whoever enters it has acknowledged as the incarnation that is registered (KIP-903).
 */
export class Promises {
  private readonly name: string
  private readonly made = new Map<number, Promised>()

  constructor(name: string) {
    this.name = name
  }

  /** An event of a follower is over. */
  followed({ replica, mirror, brokerEpoch }: ReplicaWatch): void {
    const { leaderEpoch, inspection } = replica.machine
    const { acknowledged } = inspection
    if (acknowledged < 0) return
    const known = this.made.get(mirror.node)
    if (known?.leaderEpoch === leaderEpoch && known.brokerEpoch === brokerEpoch)
      known.end = Math.max(known.end, acknowledged)
    else this.made.set(mirror.node, { leaderEpoch, brokerEpoch, end: acknowledged })
  }

  /** An event of a leader is over. */
  counted({ replica, name }: ReplicaWatch): void {
    const { leaderEpoch, inspection } = replica.machine
    for (const { brokerId, brokerEpoch, durableEnd } of inspection.promises) {
      if (durableEnd < 0) continue
      const made = this.made.get(brokerId)
      // It may have gone on to a later leader, or begun another life, of which this leader does not know yet.
      if (made !== undefined && made.leaderEpoch > leaderEpoch) continue
      const same = made?.leaderEpoch === leaderEpoch
      if (same && made.brokerEpoch > brokerEpoch) continue
      demand(
        same && made.brokerEpoch === brokerEpoch && durableEnd <= made.end,
        'PromiseIsMade',
        () =>
          `${name} leads epoch ${leaderEpoch} and counts ${durableEnd} of n${brokerId}.${brokerEpoch}, which acknowledged ${promisedText(made)}`,
      )
    }
  }

  /** The controller's decision, beside what the leader of that epoch, if it lives, takes for possible. */
  decided(now: PartitionImage, old: PartitionImage, parts: DecidedParts): void {
    const { leader } = parts
    const maximal = leader?.replica.machine.inspection.maximalIsr ?? now.isr
    demand(
      now.isr.every((id) => maximal.includes(id)),
      'IsrWithinMaximal',
      () => `the leader of ${this.name} waits for ${maximal.join()}; ${partitionText(now)} after ${partitionText(old)}`,
    )
    if (now.leader !== old.leader || now.leaderEpoch !== old.leaderEpoch) return
    for (const id of now.isr) {
      const epoch = parts.brokerEpoch(id)
      if (id === now.leader || old.isr.includes(id) || epoch === undefined) continue
      const made = this.made.get(id)
      demand(
        made?.leaderEpoch === now.leaderEpoch && made.brokerEpoch === epoch,
        'JoinIsEarned',
        () =>
          `n${id}.${epoch} enters the ISR of ${this.name} and acknowledged ${promisedText(made)}; ${partitionText(now)}`,
      )
    }
  }
}

export interface DecidedParts {
  /** The replica that leads the epoch, if its process lives. */
  readonly leader: ReplicaWatch | undefined
  /** Of the incarnation that is registered. */
  brokerEpoch(id: number): number | undefined
}

function promisedText(made: Promised | undefined): string {
  return made === undefined ? 'nothing' : `${made.end} in epoch ${made.leaderEpoch} as incarnation ${made.brokerEpoch}`
}
