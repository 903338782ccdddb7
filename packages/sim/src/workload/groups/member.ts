import { ErrorCode } from '@millrace/base'
import type { Api } from '@millrace/protocol'
import type { Role, SimClient } from '../client.ts'
import type { WireConnection } from '../wire.ts'
import { Coordinator } from './coordinator.ts'
import { Holdings, type Membership } from './holdings.ts'
import type { Place } from './subscription.ts'

const STEP_US = 100_000
const S = 1_000_000
/** Whoever was not awake for so long commits what it read before it hears what became of the group. */
const LATE_US = 1 * S

/** How a member behaves, beside what its protocol says. */
export interface MemberHabits {
  readonly commitUs: number
  /** Between two changes of what it subscribes to. */
  readonly changeUs: number
  /** Between two times that it leaves. */
  readonly leaveUs: number
}

/** Who is a member of which group. */
export interface MemberShape {
  readonly group: string
  /** A static member keeps its place over its lives; null for the others. */
  readonly instanceId: string | null
}

/**
 * A member of a group, whatever its protocol: does one thing at a time with its coordinator, and reads what it was assigned meanwhile. It begins when it has seen
 * all brokers: the topic of the groups gets the replicas that there are when it is first asked for.
 */
export abstract class Member implements Role {
  protected readonly client: SimClient
  protected readonly shape: MemberShape
  protected readonly coordinator: Coordinator
  protected readonly holdings: Holdings
  protected readonly habits: MemberHabits
  protected topics: readonly string[] = []
  private asking = false
  private dueUs = 0
  protected commitDueUs = 0
  private changeDueUs: number
  private leaveDueUs: number
  private tickedUs = 0
  private late = false

  constructor(client: SimClient, shape: MemberShape) {
    const { draw } = client
    this.client = client
    this.shape = shape
    this.coordinator = new Coordinator(client, shape.group)
    this.holdings = new Holdings(client, shape.group)
    this.habits = {
      commitUs: draw.pick([200_000, 1 * S]),
      changeUs: draw.pick([0, 0, 10]) * S,
      leaveUs: draw.pick([0, 0, 15]) * S,
    }
    this.changeDueUs = this.nextAfter(this.habits.changeUs)
    this.leaveDueUs = this.nextAfter(this.habits.leaveUs)
    client.after(0, () => this.tick())
  }

  get busy(): boolean {
    return this.asking || this.holdings.consumer.busy
  }

  /** What the group is to read at least, as long as this member is in it. */
  get wants(): readonly Place[] {
    return this.client.view.partitions.filter(({ topic }) => this.topics.includes(topic))
  }

  get group(): string {
    return this.shape.group
  }

  wake(): void {
    this.holdings.consumer.wake()
  }

  private tick(): void {
    const { client } = this
    client.after(STEP_US, () => this.tick())
    const { nowUs, view, crowd } = client
    if (nowUs - this.tickedUs > LATE_US) this.late = true
    this.tickedUs = nowUs
    if (crowd.quiet || this.asking || nowUs < this.dueUs || view.brokersSeen < crowd.bootstrap.length) return
    if (this.topics.length === 0) this.subscribe()
    const connection = this.topics.length === 0 ? null : this.coordinator.connection()
    if (connection !== null) this.step(connection)
  }

  /** Does what is to be done next, which is one request at most. */
  protected abstract step(connection: WireConnection): void

  protected abstract get membership(): Membership

  /** The coordinator answered with this error. */
  protected abstract refused(error: number): void

  /** Commits what was read since the last time; `then` is called whatever comes of it. */
  protected commit(connection: WireConnection, then: () => void): void {
    this.commitDueUs = this.client.nowUs + this.habits.commitUs
    this.begin()
    this.holdings.commit(connection, this.membership, (error) => {
      this.end()
      if (error === null) this.coordinator.doubt()
      else if (error !== ErrorCode.NONE) this.refused(error)
      then()
    })
  }

  /** Whether it was asleep since it was last asked this. */
  protected wasAsleep(): boolean {
    const { late } = this
    this.late = false
    return late
  }

  /** Draws what it reads from now on; false when there is nothing yet. */
  private subscribe(): void {
    const { draw, view, crowd } = this.client
    const known = crowd.topics.map(({ name }) => name).filter((name) => view.partitionsOf(name).length > 0)
    const some = draw.chance(60) ? known : draw.subset(known, 60)
    this.topics = some.length > 0 || known.length === 0 ? some : [draw.pick(known)]
  }

  /** Whether it is time to subscribe to something else; it is done. */
  protected changes(): boolean {
    if (this.client.nowUs < this.changeDueUs) return false
    this.changeDueUs = this.nextAfter(this.habits.changeUs)
    const before = this.topics.join()
    this.subscribe()
    return this.topics.join() !== before
  }

  /** Whether it is time to leave. */
  protected leaves(): boolean {
    if (this.client.nowUs < this.leaveDueUs) return false
    this.leaveDueUs = this.nextAfter(this.habits.leaveUs)
    return true
  }

  protected rest(forUs: number): void {
    this.dueUs = this.client.nowUs + forUs
  }

  protected begin(): void {
    this.asking = true
  }

  protected end(): void {
    this.asking = false
  }

  /** Asks, and goes on when the answer has come. Without one the coordinator may be elsewhere. */
  // oxlint-disable-next-line max-params -- a request, and what becomes of its answer.
  protected ask<Q, R>(
    connection: WireConnection,
    api: Api<Q, R>,
    leastVersion: number,
    request: Q,
    done: (response: R) => void,
    moreUs = 0,
  ): void {
    this.begin()
    const answered = (response: R | null): void => {
      this.end()
      if (response === null) this.coordinator.doubt()
      else done(response)
    }
    connection.ask(api, connection.version(api, leastVersion), request, answered, moreUs)
  }

  private nextAfter(meanUs: number): number {
    return meanUs === 0 ? Number.POSITIVE_INFINITY : this.client.nowUs + this.client.draw.around(meanUs)
  }
}
