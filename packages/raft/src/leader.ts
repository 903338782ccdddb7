import { assert, type Entry, type EntryKind, type VoterId } from '@millrace/base'
import type { Leadership } from './leadership.ts'
import type { RaftNode } from './node.ts'
import { Progress } from './progress.ts'
import { peerAnswered } from './replication.ts'
import type { LogPosition, RaftMessage, RaftRefusal } from './types.ts'
import { includesVoter, majority, quorumValue, sameVoter, voterKey } from './voters.ts'

type Reply = Extract<RaftMessage, { kind: 'appendReply' }>

const NO_PAYLOAD = new Uint8Array(0)

/** Section 5.2 and 8 of the paper: the term begins with a no-op, because only entries of the own term are counted. */
export function becomeLeader(node: RaftNode): void {
  assert(node.role === 'candidate', `a ${node.role} cannot win an election`)
  node.role = 'leader'
  node.leader = node.config.self
  node.votes.clear()
  node.leadership = {
    firstIndex: node.log.lastIndex + 1,
    progress: new Map(),
    heartbeatEnd: node.log.lastIndex,
    heartbeatElapsed: 0,
    round: 1,
    confirmedRound: 0,
    uncommitted: [],
    uncommittedBytes: 0,
    transfer: null,
  }
  appendOwn(node, 'noop', NO_PAYLOAD)
  syncPeers(node)
  confirmRounds(node, node.leadership)
}

export function stepDown(node: RaftNode): void {
  node.becomeFollower(node.term, null)
}

/** One progress for every voter and learner but this node; what is known of a peer outlives a change of the set. */
export function syncPeers(node: RaftNode): void {
  const leadership = node.leadership as Leadership
  const wanted = [...node.membership.voters, ...node.learners.values()].filter((peer) => !node.isSelf(peer))
  const keys = new Set(wanted.map(voterKey))
  for (const key of leadership.progress.keys()) if (!keys.has(key)) leadership.progress.delete(key)
  for (const peer of wanted) {
    const key = voterKey(peer)
    if (!leadership.progress.has(key)) leadership.progress.set(key, new Progress(peer, leadership.firstIndex))
  }
}

export function tickLeader(node: RaftNode): void {
  const leadership = node.leadership as Leadership
  leadership.heartbeatElapsed++
  for (const progress of leadership.progress.values()) progress.silentTicks++
  tickTransfer(node, leadership)
  if (!hasQuorum(node, leadership, node.membership.voters)) {
    stepDown(node)
    return
  }
  if (leadership.heartbeatElapsed < node.config.heartbeatTicks) return
  leadership.heartbeatElapsed = 0
  for (const progress of leadership.progress.values()) progress.caughtUp = progress.match >= leadership.heartbeatEnd
  leadership.heartbeatEnd = node.log.lastIndex
  startRound(node)
}

/** Everyone is asked anew; see `confirmedRound`. */
export function startRound(node: RaftNode): void {
  const { leadership } = node
  if (leadership === null) return
  leadership.round++
  for (const progress of leadership.progress.values()) {
    progress.heartbeatDue = true
    progress.probed = false
  }
  confirmRounds(node, leadership)
}

/** Check-quorum: a leader that a majority no longer answers steps down. A removed leader does not count itself. */
function hasQuorum(node: RaftNode, leadership: Leadership, voters: readonly VoterId[]): boolean {
  let heard = 0
  for (const voter of voters) {
    const silentTicks = leadership.progress.get(voterKey(voter))?.silentTicks ?? node.config.electionTicks
    if (node.isSelf(voter) || silentTicks < node.config.electionTicks) heard++
  }
  return heard >= majority(voters.length)
}

export function handleAppendReply(node: RaftNode, from: VoterId, message: Reply): void {
  const { leadership } = node
  const progress = leadership?.progress.get(voterKey(from))
  if (leadership === null || progress === undefined) return
  progress.forgetful = message.forgetful
  if (!progress.forgetful) progress.silentTicks = 0
  if (!progress.forgetful && message.round <= leadership.round && message.round > progress.ackedRound) {
    progress.ackedRound = message.round
    confirmRounds(node, leadership)
  }
  peerAnswered(node, progress, message)
  advanceLeaderCommit(node)
}

export function propose(node: RaftNode, payload: Uint8Array): LogPosition | RaftRefusal {
  const { leadership } = node
  if (leadership === null) return 'not-leader'
  if (leadership.transfer !== null) return 'transferring'
  const bytes = payload.length
  const full = leadership.uncommittedBytes + bytes > node.config.maxUncommittedBytes
  if (full && leadership.uncommitted.length > 0) return 'too-much-uncommitted'
  const position = appendOwn(node, 'data', payload)
  leadership.uncommitted.push({ index: position.index, bytes })
  leadership.uncommittedBytes += bytes
  return position
}

/**
 * One voter at a time, one change at a time, and only after something of this term is committed: otherwise two leaders could
 * each hold an uncommitted set whose majorities do not overlap (the flaw of single-server changes found after the thesis).
 */
export function changeVoters(
  node: RaftNode,
  change: { readonly add: VoterId } | { readonly remove: VoterId },
): LogPosition | RaftRefusal {
  const { leadership, membership } = node
  if (leadership === null) return 'not-leader'
  if (leadership.transfer !== null) return 'transferring'
  if (node.commitIndex < leadership.firstIndex || membership.index > node.commitIndex) return 'change-in-flight'
  const { voters } = membership
  if ('add' in change) {
    if (includesVoter(voters, change.add)) return 'no-change'
    if (leadership.progress.get(voterKey(change.add))?.caughtUp !== true) return 'not-caught-up'
    return appendOwn(node, 'voters', membership.encode([...voters, change.add]))
  }
  if (!includesVoter(voters, change.remove) || voters.length === 1) return 'no-change'
  const left = voters.filter((voter) => !sameVoter(voter, change.remove))
  if (!hasQuorum(node, leadership, left)) return 'quorum-would-be-lost'
  // A removed peer goes on as a learner until its connection ends, so that it hears of its removal.
  if (!node.isSelf(change.remove)) node.learners.set(voterKey(change.remove), change.remove)
  return appendOwn(node, 'voters', membership.encode(left))
}

function appendOwn(node: RaftNode, kind: EntryKind, payload: Uint8Array): LogPosition {
  const entry: Entry = { index: node.log.lastIndex + 1, term: node.term, kind, payload }
  node.log.append(entry)
  if (kind === 'voters') {
    node.membership.append(entry)
    syncPeers(node)
  }
  return { index: entry.index, term: entry.term }
}

/** Counts replicas, itself among them only as far as its own disk is. Entries of older terms are never counted. */
export function advanceLeaderCommit(node: RaftNode): void {
  const { leadership, log } = node
  if (leadership === null) return
  const matches = node.membership.voters.map((voter) => {
    const progress = leadership.progress.get(voterKey(voter))
    return node.isSelf(voter) ? log.durableIndex : (progress?.counted ?? 0)
  })
  const reached = quorumValue(matches)
  if (reached > node.knownCommit && log.term(reached) === node.term) node.knownCommit = reached
  node.advanceCommit()
  while (leadership.uncommitted.length > 0 && (leadership.uncommitted[0]?.index as number) <= node.commitIndex)
    leadership.uncommittedBytes -= leadership.uncommitted.shift()?.bytes as number
  const removed = !node.membership.has(node.config.self) && node.membership.index <= node.commitIndex
  if (removed) leaveAfterRemoval(node, leadership)
}

/** The set without this leader is committed: the voter that is furthest along is asked to take over. */
function leaveAfterRemoval(node: RaftNode, leadership: Leadership): void {
  const heir = furthestVoter(node, leadership)
  if (heir !== null) node.outbox.send(heir.peer, { kind: 'timeoutNow', term: node.term })
  stepDown(node)
}

function furthestVoter(node: RaftNode, leadership: Leadership): Progress | null {
  let best: Progress | null = null
  for (const voter of node.others) {
    const progress = leadership.progress.get(voterKey(voter))
    if (progress === undefined || progress.silentTicks >= node.config.electionTicks) continue
    if (best === null || progress.match > best.match) best = progress
  }
  return best
}

function confirmRounds(node: RaftNode, leadership: Leadership): void {
  const rounds = node.membership.voters.map((voter) =>
    node.isSelf(voter) ? leadership.round : (leadership.progress.get(voterKey(voter))?.ackedRound ?? 0),
  )
  leadership.confirmedRound = Math.max(leadership.confirmedRound, quorumValue(rounds))
}

/** Hands leadership over: no more proposals, the heir gets the whole log, then it is told not to wait for a timeout. */
export function startTransfer(node: RaftNode, to: VoterId | null): void {
  const { leadership } = node
  if (leadership === null) return
  const heir = to ?? furthestVoter(node, leadership)?.peer ?? null
  if (heir === null || node.isSelf(heir) || !node.membership.has(heir)) return
  if (leadership.transfer !== null && sameVoter(leadership.transfer.to, heir)) return
  leadership.transfer = { to: heir, elapsed: 0, asked: false }
}

/** An heir that does not take over within an election timeout is given up on. */
function tickTransfer(node: RaftNode, leadership: Leadership): void {
  const { transfer } = leadership
  if (transfer === null) return
  transfer.elapsed++
  if (transfer.elapsed >= node.config.electionTicks || !node.membership.has(transfer.to)) leadership.transfer = null
}
