import { exact, type VoterId } from '@millrace/base'
import { becomeLeader } from './leader.ts'
import type { RaftNode } from './node.ts'
import type { RaftMessage } from './types.ts'
import { sameVoter, tally, voterKey } from './voters.ts'

type Message<K extends RaftMessage['kind']> = Extract<RaftMessage, { kind: K }>

/** The clock of every role but the leader's. */
export function tickElection(node: RaftNode): void {
  node.electionElapsed++
  if (node.earlyElectionPause > 0) node.earlyElectionPause--
  if (node.electable && node.electionElapsed >= node.electionDeadline) startElection(node)
}

/**
 * Asks the others whether they would vote, before anything changes: a node that cannot win does not disturb the others with
 * a higher term. A single voter has nobody to ask.
 */
export function startElection(node: RaftNode): void {
  if (!node.electable || node.role === 'leader') return
  if (node.others.length === 0) {
    campaign(node, false)
    return
  }
  node.role = 'precandidate'
  node.leader = null
  beginPolling(node)
  node.votes.set(voterKey(node.config.self), true)
  poll(node, 'preVote', exact(node.term + 1), false)
}

/** A real election. The own vote counts once it is on disk, see `countOwnVote`. */
export function campaign(node: RaftNode, transfer: boolean): void {
  node.setTerm(exact(node.term + 1), node.config.self)
  node.role = 'candidate'
  node.leader = null
  beginPolling(node)
  poll(node, 'vote', node.term, transfer)
}

function beginPolling(node: RaftNode): void {
  node.votes.clear()
  node.wantedSnapshot = null
  node.drawElectionDeadline()
}

function poll(node: RaftNode, kind: 'preVote' | 'vote', term: number, transfer: boolean): void {
  const { lastIndex, lastTerm } = node.log
  for (const voter of node.others) {
    const message: RaftMessage =
      kind === 'vote' ? { kind, term, lastIndex, lastTerm, transfer } : { kind, term, lastIndex, lastTerm }
    node.outbox.send(voter, message, kind === 'vote' ? lastIndex : 0)
  }
}

/** The candidate's hard state is durable: its vote for itself counts like any other. */
export function countOwnVote(node: RaftNode): void {
  if (node.role !== 'candidate' || node.votes.has(voterKey(node.config.self))) return
  countVote(node, node.config.self, true)
}

export function handlePreVote(node: RaftNode, from: VoterId, message: Message<'preVote'>): void {
  const granted =
    node.mayVote &&
    message.term > node.term &&
    !node.hearsLeader &&
    upToDate(node, message.lastIndex, message.lastTerm) &&
    !comesFirst(node, from, message)
  // Who would elect another one stands back, or both would campaign and split the votes.
  if (granted && node.role === 'precandidate') node.becomeFollower(node.term, null)
  node.outbox.send(from, { kind: 'preVoteReply', term: granted ? message.term : node.term, granted })
}

/**
 * When a leader fails, all others notice at the same moment and their questions cross. Of two that just asked and have equal
 * logs the one with the lower id goes on. Only for a moment: a node whose questions lead to nothing must not hold up others.
 */
function comesFirst(node: RaftNode, other: VoterId, { lastIndex, lastTerm }: Message<'preVote'>): boolean {
  const { config, log } = node
  if (node.role !== 'precandidate' || node.electionElapsed > config.heartbeatTicks) return false
  return lastIndex === log.lastIndex && lastTerm === log.lastTerm && config.self.id < other.id
}

export function handleVote(node: RaftNode, from: VoterId, message: Message<'vote'>): void {
  const free = node.votedFor === null ? node.leader === null : sameVoter(node.votedFor, from)
  const granted =
    node.mayVote && message.term === node.term && free && upToDate(node, message.lastIndex, message.lastTerm)
  if (granted && node.votedFor === null) {
    node.setTerm(node.term, from)
    node.drawElectionDeadline()
  }
  node.outbox.send(from, { kind: 'voteReply', term: node.term, granted }, granted ? node.log.lastIndex : 0)
}

/** A voter that hears a leader takes no part in electing another, whatever the term, unless that leader asked for it. */
export function ignoresVote(node: RaftNode, message: Message<'vote'>): boolean {
  return message.term > node.term && !message.transfer && node.hearsLeader
}

export function handlePreVoteReply(node: RaftNode, from: VoterId, message: Message<'preVoteReply'>): void {
  if (node.role !== 'precandidate') return
  if (message.granted && message.term !== node.term + 1) return
  countVote(node, from, message.granted)
}

export function handleVoteReply(node: RaftNode, from: VoterId, message: Message<'voteReply'>): void {
  if (node.role !== 'candidate' || message.term !== node.term) return
  countVote(node, from, message.granted)
}

export function handleTimeoutNow(node: RaftNode): void {
  if (node.electable && node.role !== 'leader') campaign(node, true)
}

/** A break of the connection to the leader is news: the voter need not wait for a timeout, but it rolls dice first. */
export function handleConnectionBroken(node: RaftNode, peer: VoterId): void {
  if (!sameVoter(node.leader, peer) || node.role !== 'follower') return
  node.leaderReachable = false
  if (!node.electable || node.earlyElectionPause > 0) return
  node.earlyElectionPause = node.config.electionTicks
  const early = node.electionElapsed + node.config.random(node.config.brokenTicks + 1)
  node.electionDeadline = Math.min(node.electionDeadline, early)
}

function countVote(node: RaftNode, from: VoterId, granted: boolean): void {
  const key = voterKey(from)
  if (!node.votes.has(key)) node.votes.set(key, granted)
  const outcome = tally(node.membership.voters, node.votes)
  if (outcome === 'lost') node.becomeFollower(node.term, null)
  if (outcome !== 'won') return
  if (node.role === 'precandidate') campaign(node, false)
  else becomeLeader(node)
}

/** Section 5.4.1 of the paper: the log with the later last term, or the longer one of two with the same. */
function upToDate(node: RaftNode, lastIndex: number, lastTerm: number): boolean {
  const own = node.log.lastTerm
  return lastTerm > own || (lastTerm === own && lastIndex >= node.log.lastIndex)
}
