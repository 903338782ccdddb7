import type { Random } from '@millrace/base'
import type { Carrier, Envelope } from '@millrace/raft/model'
import type { Agenda } from '../agenda.ts'
import { chance, pick } from '../chance.ts'

/** Of 100 messages so many. */
export interface LinkFaults {
  readonly lost: number
  readonly doubled: number
  readonly reordered: number
}

/** Between two members, both ways. Another one takes its place when it breaks. */
interface Connection {
  broken: boolean
  /** When the last message arrives: to the member with the larger id, and to the other. */
  upUs: number
  downUs: number
}

const NO_FAULTS: LinkFaults = { lost: 0, doubled: 0, reordered: 0 }
/** How late at most what a broken connection carried arrives: while an election goes on, or long after it. */
const LATE_US = [20_000, 1_000_000]
/** Member ids are below it. */
const IDS = 16

/**
 * Connections that keep the order of what they carry, as long as they hold. What was on its way when one broke is lost, or arrives much later, among the
 * messages of the next one. By the rates messages are also lost, doubled and reordered within one, which is more than a real one does.
 */
export class Links implements Carrier {
  /** Mean delay of a message. */
  delayUs: number
  private faults: LinkFaults
  private readonly agenda: Agenda
  private readonly random: Random
  private readonly deliver: (envelope: Envelope) => void
  private readonly connections: (Connection | undefined)[] = []

  constructor(
    { agenda, random }: { agenda: Agenda; random: Random },
    { delayUs, ...faults }: LinkFaults & { readonly delayUs: number },
    deliver: (envelope: Envelope) => void,
  ) {
    this.agenda = agenda
    this.random = random
    this.delayUs = delayUs
    this.faults = faults
    this.deliver = deliver
  }

  /** From now on messages arrive, in their order. */
  calm(): void {
    this.delayUs = 1000
    this.faults = NO_FAULTS
  }

  send(envelope: Envelope): void {
    const { faults, random } = this
    if (faults.lost > 0 && chance(random, faults.lost)) return
    this.post(envelope)
    if (faults.doubled > 0 && chance(random, faults.doubled)) this.post(envelope)
  }

  private post(envelope: Envelope): void {
    const { agenda, random } = this
    const { from, to } = envelope
    const connection = this.between(from.id, to.id)
    const slow = chance(random, 1) ? random.below(100_000) : 0
    let atUs = agenda.nowUs + 1 + random.below(2 * this.delayUs) + slow
    if (this.faults.reordered === 0 || !chance(random, this.faults.reordered)) {
      if (from.id < to.id) atUs = connection.upUs = Math.max(atUs, connection.upUs + 1)
      else atUs = connection.downUs = Math.max(atUs, connection.downUs + 1)
    }
    agenda.at(atUs, () => this.arrive(connection, envelope))
  }

  private arrive(connection: Connection, envelope: Envelope): void {
    if (!connection.broken) return this.deliver(envelope)
    if (chance(this.random, 50)) return
    this.agenda.after(this.random.below(pick(this.random, LATE_US)), () => this.deliver(envelope))
  }

  broken(a: number, b: number): void {
    const key = keyOf(a, b)
    const connection = this.connections[key]
    if (connection !== undefined) connection.broken = true
    this.connections[key] = undefined
  }

  private between(a: number, b: number): Connection {
    return (this.connections[keyOf(a, b)] ??= { broken: false, upUs: 0, downUs: 0 })
  }
}

function keyOf(a: number, b: number): number {
  return a < b ? a * IDS + b : b * IDS + a
}
