import type { Address } from '@millrace/base'
import { addressText } from './address.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { ClosedError } from './errors.ts'

/**
 * At most one connection to each broker. A broker serves the requests of a connection one after the other, so a long poll or a
 * produce that waits for replicas holds up what is sent behind it: producers, consumers, admin and metadata have a pool each.
 */
export class ConnectionPool {
  private readonly options: ConnectionOptions
  private readonly connections = new Map<string, Connection>()
  private closed = false

  constructor(options: ConnectionOptions) {
    this.options = options
  }

  /** The open connection to the address, or a new one; all who ask share it. Rejects as `Connection.ready` does, or with `ClosedError`. */
  async to(address: Address): Promise<Connection> {
    if (this.closed) throw new ClosedError('the client was closed')
    const key = addressText(address)
    const known = this.connections.get(key)
    if (known?.open === true) return known.ready
    const opened = new Connection(address, this.options)
    this.connections.set(key, opened)
    return opened.ready
  }

  /** Closes every connection at once, with what is under way on it. */
  close(): void {
    this.closed = true
    for (const connection of this.connections.values()) connection.close()
    this.connections.clear()
  }
}
