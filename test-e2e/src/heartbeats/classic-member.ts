import { HeartbeatApi, JoinGroupApi, type JoinGroupResponse, SyncGroupApi } from '@millrace/protocol'
import { frameOf } from './raw-connection.ts'
import { RawMember } from './raw-member.ts'

/** The last version in which a member without an id is let in at once. */
const JOIN_VERSION = 3
const SYNC_VERSION = 2
const HEARTBEAT_VERSION = 2
const SESSION_MS = 45_000
const REBALANCE_MS = 60_000
const ASSIGNOR = 'range'
const UNKNOWN_MEMBER_ID = 25
const REBALANCE_IN_PROGRESS = 27

/** Of the classic protocol; whoever leads gives everybody one partition. */
export class ClassicMember extends RawMember {
  private memberId = ''
  private heartbeat: Uint8Array = new Uint8Array()

  protected join(): void {
    const { groupId, topic } = this.options
    const request = {
      groupId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      memberId: this.memberId,
      groupInstanceId: null,
      protocolType: 'consumer',
      protocols: [{ name: ASSIGNOR, metadata: subscription(topic) }],
      reason: null,
    }
    this.wire.send(JoinGroupApi, JOIN_VERSION, frameOf(JoinGroupApi, JOIN_VERSION, request), (response) => {
      this.memberId = response.errorCode === UNKNOWN_MEMBER_ID ? '' : response.memberId
      if (response.errorCode === 0) this.sync(response)
      else this.refused('JoinGroup', response.errorCode)
    })
  }

  private sync({ generationId, members }: JoinGroupResponse): void {
    const { groupId, topic, partitions } = this.options
    const { memberId } = this
    const assignments = members.map((member, at) => ({
      memberId: member.memberId,
      assignment: assignment(topic, at % partitions),
    }))
    const who = { groupId, generationId, memberId, groupInstanceId: null }
    const request = { ...who, protocolType: null, protocolName: null, assignments }
    this.wire.send(SyncGroupApi, SYNC_VERSION, frameOf(SyncGroupApi, SYNC_VERSION, request), ({ errorCode }) => {
      if (errorCode !== 0) return this.outOfStep('SyncGroup', errorCode)
      this.heartbeat = frameOf(HeartbeatApi, HEARTBEAT_VERSION, who)
      this.steady(true)
      // Not all members of all groups at the same time.
      this.later(Math.random() * this.options.heartbeatMs, () => this.beat())
    })
  }

  private beat(): void {
    const sentMs = performance.now()
    this.wire.send(HeartbeatApi, HEARTBEAT_VERSION, this.heartbeat, ({ errorCode }) => {
      if (errorCode !== 0) return this.outOfStep('Heartbeat', errorCode)
      const tookMs = performance.now() - sentMs
      this.options.tally.answered(tookMs)
      this.later(this.options.heartbeatMs - tookMs, () => this.beat())
    })
  }

  private outOfStep(what: string, code: number): void {
    if (code === UNKNOWN_MEMBER_ID) this.memberId = ''
    if (code !== REBALANCE_IN_PROGRESS) return this.refused(what, code)
    this.steady(false)
    this.join()
  }
}

const NO_USER_DATA = Buffer.from([0xff, 0xff, 0xff, 0xff])

/** Version 0 of the consumers' own format. */
function subscription(topic: string): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1]), named(topic), NO_USER_DATA])
}

function assignment(topic: string, partition: number): Buffer {
  const partitions = Buffer.from([0, 0, 0, 1, 0, 0, 0, partition])
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1]), named(topic), partitions, NO_USER_DATA])
}

function named(topic: string): Buffer {
  return Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)])
}
