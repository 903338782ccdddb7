import { type Address, ErrorCode } from '@millrace/base'
import { FindCoordinatorApi, type FindCoordinatorResponse } from '@millrace/protocol'
import type { SimClient } from '../client.ts'
import type { Connections } from '../connections.ts'
import type { WireConnection } from '../wire.ts'

const PAUSE_US = 100_000
/** The first version that asks for several groups at once. */
const SEVERAL_SINCE = 4

/** Where a group's coordinator is, as far as a member knows, and the connection to it, which is for the group alone. */
export class Coordinator {
  private readonly client: SimClient
  private readonly group: string
  private readonly connections: Connections
  private address: Address | null = null
  private asking = false
  private askedAtUs = Number.NEGATIVE_INFINITY

  constructor(client: SimClient, group: string) {
    this.client = client
    this.group = group
    this.connections = client.newConnections()
  }

  /** The connection when it can take a request now; else null, and it is looked for. */
  connection(): WireConnection | null {
    if (this.address !== null) return this.connections.to(this.address)
    this.find()
    return null
  }

  /** It is not there any more, or does not answer. */
  doubt(): void {
    this.address = null
  }

  private find(): void {
    const { client, group } = this
    if (this.asking || client.nowUs - this.askedAtUs < PAUSE_US) return
    const connection = client.connections.to(client.view.anyAddress())
    if (connection === null) return
    this.asking = true
    this.askedAtUs = client.nowUs
    const version = connection.version(FindCoordinatorApi)
    const request =
      version >= SEVERAL_SINCE ? { key: '', coordinatorKeys: [group] } : { key: group, coordinatorKeys: [] }
    connection.ask(FindCoordinatorApi, version, { ...request, keyType: 0 }, (response) => {
      this.asking = false
      if (response !== null) this.take(response.coordinators[0] ?? response)
    })
  }

  private take({
    errorCode,
    host,
    port,
  }: FindCoordinatorResponse['coordinators'][number] | FindCoordinatorResponse): void {
    if (errorCode === ErrorCode.NONE) this.address = { host, port }
  }
}
