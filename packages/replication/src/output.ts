import type { AlterPartition, PartitionMessage, PartitionOutput } from './types.ts'

const NO_MESSAGES: readonly PartitionMessage[] = Object.freeze([])

/** The one output object of a machine: a step that has nothing to say allocates nothing. */
export class Output implements PartitionOutput {
  truncateTo: number | null = null
  restartAt: number | null = null
  beginEpoch: number | null = null
  highWatermark = 0
  logStart = 0
  send: readonly PartitionMessage[] = NO_MESSAGES
  alter: AlterPartition | null = null
  failWaitersOfEpoch: number | null = null
  quarantine: string | null = null
  private outgoing: PartitionMessage[] | null = null

  clear(): void {
    this.truncateTo = null
    this.restartAt = null
    this.beginEpoch = null
    this.send = NO_MESSAGES
    this.outgoing = null
    this.alter = null
    this.failWaitersOfEpoch = null
    this.quarantine = null
  }

  message(message: PartitionMessage): void {
    if (this.outgoing !== null) {
      this.outgoing.push(message)
      return
    }
    this.outgoing = [message]
    this.send = this.outgoing
  }
}
