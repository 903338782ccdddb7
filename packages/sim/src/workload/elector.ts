import { ErrorCode } from '@millrace/base'
import { ElectLeadersApi } from '@millrace/protocol'
import type { Role, SimClient } from './client.ts'

const UNCLEAN = 1
const TIMEOUT_MS = 5_000
const AGAIN_US = 500_000

/** Has a partition led again, though its leader may lack records: asks until somebody has done it, and then is gone. */
export class Elector implements Role {
  private readonly client: SimClient
  private readonly topic: string
  private readonly partition: number

  constructor(client: SimClient, topic: string, partition: number) {
    this.client = client
    this.topic = topic
    this.partition = partition
    client.after(0, () => this.ask())
  }

  wake(): void {
    // It asks at its own pace.
  }

  private ask(): void {
    const { client, topic, partition } = this
    const again = (): void => client.after(AGAIN_US, () => this.ask())
    const connection = client.connections.to(client.view.anyAddress())
    if (connection === null) return again()
    const request = {
      electionType: UNCLEAN,
      topicPartitions: [{ topic, partitions: [partition] }],
      timeoutMs: TIMEOUT_MS,
    }
    connection.ask(ElectLeadersApi, connection.version(ElectLeadersApi, UNCLEAN), request, (response) => {
      const error = response?.replicaElectionResults[0]?.partitionResult[0]?.errorCode
      if (error !== ErrorCode.NONE && error !== ErrorCode.ELECTION_NOT_NEEDED) return again()
      client.schedule.post(0, client.life, () => client.schedule.end(client.life))
    })
  }
}
