import type { ValueOf } from '../records/kinds.ts'
import { ClassicMember } from './member.ts'
import type { MemberTerms } from './member.ts'
import type { Roster } from './roster.ts'

/** What one record may hold: a generation that can not be written must not be begun. */
const MAX_RECORD_BYTES = 15 * 1024 * 1024

type Recorded = ValueOf<'groupMetadata'>
type RecordedMember = Recorded['members'][number]

/** What of a classic group is durable. */
interface Durable extends Omit<Recorded, 'leader' | 'members'> {
  readonly roster: Roster
  readonly isUndivided: boolean
}

/** The value of the record that tells a group as it is now. */
export function recorded({ protocolType, generation, protocol, stateMs, roster, isUndivided }: Durable): Recorded {
  const members = Array.from(roster, (member) => recordedMember(member, protocol))
  const leader = isUndivided ? null : roster.leader
  return { protocolType, generation, protocol, leader, stateMs, members }
}

function recordedMember(member: ClassicMember, protocol: string | null): RecordedMember {
  const { memberId, groupInstanceId, terms, assignment } = member
  const { clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = terms
  const subscription = member.metadata(protocol)
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    subscription,
    assignment,
  }
}

/** Whether the record of a group could be too large to be written, in the worst case. */
export function mayExceedRecord({ protocol, roster }: Durable): boolean {
  let bytes = 0
  for (const member of roster) {
    const { memberId, groupInstanceId, terms, assignment } = member
    const text = memberId.length + (groupInstanceId?.length ?? 0) + terms.clientId.length + terms.clientHost.length
    // A UTF-16 unit takes three bytes of UTF-8 at most.
    bytes += 64 + 3 * text + member.metadata(protocol).length + assignment.length
  }
  return bytes > MAX_RECORD_BYTES
}

/** Makes the roster what a record says; members that it knows already stay who they are. */
export function restore(roster: Roster, { members, leader, protocol }: Recorded): void {
  const told = new Set(members.map(({ memberId }) => memberId))
  for (const member of roster) if (!told.has(member.memberId)) roster.remove(member)
  for (const one of members) restoreMember(roster, one, protocol ?? '')
  if (leader !== null && roster.get(leader) !== null) roster.leader = leader
}

function restoreMember(roster: Roster, told: RecordedMember, protocol: string): void {
  const known = roster.get(told.memberId)
  const member = known ?? new ClassicMember(told.memberId, told.groupInstanceId, recordedTerms(told, protocol))
  member.assignment = told.assignment
  if (known === null) {
    member.synced = true
    roster.add(member)
  } else if (!isJustDecided(known, told, protocol)) roster.setTerms(known, recordedTerms(told, protocol))
}

/** Of the protocols that a member supports the record keeps the one that was chosen. */
function recordedTerms(told: RecordedMember, protocol: string): MemberTerms {
  const { clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = told
  const protocols = [{ name: protocol, metadata: told.subscription }]
  // Records of version 0 know one timeout.
  const timeoutMs = rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs
  return { clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs: timeoutMs, protocols }
}

/** A record that was just decided holds the member's own bytes, and the member knows more than the record tells. */
function isJustDecided(member: ClassicMember, told: RecordedMember, protocol: string): boolean {
  return member.supports(protocol) && member.metadata(protocol) === told.subscription
}
