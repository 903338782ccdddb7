import type { Address } from '@millrace/base'
import { WireConnection, type WireParts } from './wire.ts'

interface Slot {
  connection: WireConnection | null
  /** Not dialled before this time. */
  retryAtUs: number
  failures: number
}

const FIRST_BACKOFF_US = 50_000
const LONGEST_BACKOFF_US = 1_000_000

/** Who is told of a client's connections. */
export interface ConnectionsOwner {
  /** A connection can be used, or it may be tried again to open one. */
  wake(): void
  /** A connection ended. */
  lost(): void
}

/** A client's connections, one to each broker at most. */
export class Connections {
  private readonly parts: WireParts
  private readonly owner: ConnectionsOwner
  private readonly slots = new Map<string, Slot>()
  private nextId: number

  /** `firstId` makes the numbers of its connections differ from those of other clients. */
  constructor(parts: WireParts, firstId: number, owner: ConnectionsOwner) {
    this.parts = parts
    this.nextId = firstId
    this.owner = owner
  }

  /** The connection to this broker when it can take a request now; else null, and it is being opened. */
  to(address: Address): WireConnection | null {
    const key = `${address.host}:${address.port}`
    let slot = this.slots.get(key)
    if (slot === undefined) {
      slot = { connection: null, retryAtUs: 0, failures: 0 }
      this.slots.set(key, slot)
    }
    if (slot.connection === null && slot.retryAtUs <= this.parts.schedule.nowUs) this.open(address, slot)
    return slot.connection?.ready === true ? slot.connection : null
  }

  closeAll(): void {
    for (const { connection } of this.slots.values()) connection?.close()
  }

  private open(address: Address, slot: Slot): void {
    const { schedule, life, draw } = this.parts
    slot.connection = new WireConnection(this.nextId++, address, this.parts, {
      ready: () => {
        slot.failures = 0
        this.owner.wake()
      },
      closed: () => {
        slot.connection = null
        const longest = Math.min(LONGEST_BACKOFF_US, FIRST_BACKOFF_US * 2 ** slot.failures++)
        const waitUs = draw.between(Math.ceil(longest / 2), longest)
        slot.retryAtUs = schedule.nowUs + waitUs
        schedule.post(waitUs, life, () => this.owner.wake())
        this.owner.lost()
      },
    })
  }
}
