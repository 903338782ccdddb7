import type { BrokerReplica } from './replica.ts'

/** The replicas that have something to do at the end of this turn. */
export class TurnWork {
  private readonly schedule: () => void
  private staged: BrokerReplica[] = []
  private inbound: BrokerReplica[] = []
  private touched = new Set<BrokerReplica>()

  constructor(schedule: () => void) {
    this.schedule = schedule
  }

  /** Clients asked for appends. */
  addStaged(replica: BrokerReplica): void {
    this.staged.push(replica)
    this.schedule()
  }

  /** The leader sent batches. */
  addInbound(replica: BrokerReplica): void {
    this.inbound.push(replica)
    this.schedule()
  }

  /** Those who watch the replica should look again. */
  addTouched(replica: BrokerReplica): void {
    this.touched.add(replica)
    this.schedule()
  }

  /** One write for each partition. */
  write(): void {
    const { inbound, staged } = this
    this.inbound = []
    this.staged = []
    for (const replica of inbound) replica.flushInbound()
    for (const replica of staged) replica.flushStaged()
  }

  notify(): void {
    if (this.touched.size === 0) return
    const { touched } = this
    this.touched = new Set()
    for (const replica of touched) replica.notify()
  }
}
