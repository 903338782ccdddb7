import type { ClusterImage } from '@millrace/metadata'
import { boundsOfFollower, boundsOfLeader, type LogBounds } from './log-bounds.ts'
import { askLeader, type OffsetStreamsHost, type PartitionId } from './offset-streams.ts'

/** More partitions than this are not asked for in one question. */
const MOST_PARTITIONS = 10_000

export interface SurveyHost extends OffsetStreamsHost {
  readonly config: { readonly nodeId: number }
  readonly image: ClusterImage
}

/**
 * Finds out where logs begin and end: from the own copy where this broker leads or is in sync, which is all there is to it in a cluster that
 * keeps every partition on every broker, else from the leaders, each asked once.
 */
export class Survey {
  private readonly host: SurveyHost
  private readonly told: (id: PartitionId, bounds: LogBounds) => void
  private readonly remote = new Map<number, PartitionId[]>()
  private giveUps: (() => void)[] = []

  constructor(host: SurveyHost, told: (id: PartitionId, bounds: LogBounds) => void) {
    this.host = host
    this.told = told
  }

  /** Told at once where this broker knows it. */
  lookHere({ topicId, partition }: PartitionId): boolean {
    const { nodeId } = this.host.config
    const replica = this.host.local(topicId, partition)
    const bounds = boundsOfLeader(replica) ?? boundsOfFollower(replica, nodeId)
    if (bounds !== null) this.told({ topicId, partition }, bounds)
    return bounds !== null
  }

  /** Told at once, or by the leader once `ask` is called, or never. */
  look(id: PartitionId): void {
    const { host, remote } = this
    const leader = host.image.topics.get(id.topicId)?.partitions[id.partition]?.leader ?? -1
    if (leader === -1 || this.lookHere(id) || leader === host.config.nodeId) return
    const asked = remote.get(leader) ?? []
    if (asked.length < MOST_PARTITIONS) asked.push(id)
    remote.set(leader, asked)
  }

  /** Asks the leaders; `done` is called when all have answered, or took too long. */
  ask(done: () => void): void {
    let open = this.remote.size
    if (open === 0) return done()
    const { told } = this
    const answered = (): void => {
      if (--open > 0) return
      this.giveUps = []
      done()
    }
    this.giveUps = [...this.remote].map(([leader, partitions]) =>
      askLeader(this.host, leader, partitions, { told, done: answered }),
    )
    this.remote.clear()
  }

  end(): void {
    for (const giveUp of this.giveUps) giveUp()
    this.giveUps = []
  }
}
