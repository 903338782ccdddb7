import { assert, type Entry, type VoterId } from '@millrace/base'
import type { RaftNode } from './node.ts'
import type { RaftMessage } from './types.ts'

type Append = Extract<RaftMessage, { kind: 'append' }>
type Reply = Extract<RaftMessage, { kind: 'appendReply' }>
type Offer = Extract<RaftMessage, { kind: 'snapshotOffer' }>

/** An append of this term: its sender is the leader, and the log is made to match the leader's. */
export function handleAppend(node: RaftNode, from: VoterId, message: Append): void {
  if (!wellFormed(message)) return
  hear(node, from)
  const { prevIndex, prevTerm, entries } = message
  // Everything up to the commit index is in every leader's log: there the logs agree without a look.
  if (prevIndex >= node.knownCommit && node.log.term(prevIndex) !== prevTerm) {
    refuse(node, from, message)
    return
  }
  for (const entry of entries) if (entry.index > node.knownCommit) takeEntry(node, entry)
  const last = Math.max(prevIndex + entries.length, node.knownCommit)
  node.knownCommit = Math.max(node.knownCommit, Math.min(message.commitIndex, last))
  node.advanceCommit()
  accept(node, from, message, last)
}

/** The entries that this node needs are gone at the leader. */
export function handleSnapshotOffer(node: RaftNode, from: VoterId, message: Offer): void {
  hear(node, from)
  const { index, snapshotTerm, round } = message
  const known = index <= node.knownCommit
  node.wantedSnapshot = known ? null : { from, index, term: snapshotTerm }
  if (known) node.outbox.send(from, reply(node, round, { success: true, index }), index)
  else node.outbox.send(from, reply(node, round, { index: node.commitIndex }))
}

/** The sender leads an older term. It must learn so, or it would never hear from this node again. */
export function answerStaleLeader(node: RaftNode, to: VoterId, message: Append | Offer): void {
  node.outbox.send(to, reply(node, message.round, {}))
}

function reply(node: RaftNode, round: number, fields: Partial<Reply>): Reply {
  const forgetful = !node.mayVote
  const { term } = node
  return {
    kind: 'appendReply',
    term,
    success: false,
    index: 0,
    hintTerm: 0,
    refusedIndex: 0,
    round,
    forgetful,
    ...fields,
  }
}

/** A snapshot is durable on this node, and everything it covers is applied. */
export function snapshotInstalled(node: RaftNode, index: number, term: number, voters: readonly VoterId[]): void {
  assert(node.role !== 'leader', 'a leader never loads a snapshot')
  node.wantedSnapshot = null
  if (index <= node.commitIndex) {
    node.log.snapshotTaken(index, term, 0)
    return
  }
  if (node.log.term(index) === term) node.log.snapshotTaken(index, term, 0)
  else {
    node.log.restart(index, term)
    node.membership.restart(index, voters)
  }
  node.knownCommit = Math.max(node.knownCommit, index)
  node.advanceCommit()
}

function hear(node: RaftNode, from: VoterId): void {
  node.leader = from
  node.leaderReachable = true
  node.electionElapsed = 0
}

function takeEntry(node: RaftNode, entry: Entry): void {
  const held = node.log.term(entry.index)
  if (held === entry.term) return
  if (held !== null) {
    assert(entry.index > node.knownCommit, `entry ${entry.index} conflicts with a committed one`)
    node.log.truncate(entry.index)
    node.membership.truncate(entry.index)
  }
  node.log.append(entry)
  if (entry.kind === 'voters') node.membership.append(entry)
}

/**
 * With entries, the answer waits until they are durable. Without, it says at once how far durability has come: a slow disk
 * must not look like a dead node.
 */
function accept(node: RaftNode, from: VoterId, message: Append, matched: number): void {
  const index = message.entries.length === 0 ? Math.min(matched, node.log.durableIndex) : matched
  node.outbox.send(from, reply(node, message.round, { success: true, index }), index)
}

/** Tells where the logs may agree, so that the leader skips a whole term at a time instead of an entry. */
function refuse(node: RaftNode, from: VoterId, message: Append): void {
  const { index, term: hintTerm } = node.log.agreement(message.prevIndex, message.prevTerm)
  node.outbox.send(from, reply(node, message.round, { index, hintTerm, refusedIndex: message.prevIndex }))
}

/** Consecutive entries whose terms do not fall and are none of the future. */
function wellFormed(message: Append): boolean {
  let { prevIndex: index, prevTerm: term } = message
  for (const entry of message.entries) {
    if (entry.index !== index + 1 || entry.term < term || entry.term > message.term) return false
    index = entry.index
    term = entry.term
  }
  return true
}
