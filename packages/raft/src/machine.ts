import { unreachable, type VoterId } from '@millrace/base'
import {
  countOwnVote,
  handleConnectionBroken,
  handlePreVote,
  handlePreVoteReply,
  handleTimeoutNow,
  handleVote,
  handleVoteReply,
  ignoresVote,
  startElection,
  tickElection,
} from './election.ts'
import { answerStaleLeader, handleAppend, handleSnapshotOffer, snapshotInstalled } from './follower.ts'
import {
  advanceLeaderCommit,
  changeVoters,
  handleAppendReply,
  propose,
  startRound,
  startTransfer,
  syncPeers,
  tickLeader,
} from './leader.ts'
import { RaftNode } from './node.ts'
import { entriesRead, replicate } from './replication.ts'
import { LiveView, raftStatus } from './status.ts'
import type { RaftConfig, RaftInput, RaftMachine, RaftMessage, RaftOutput, RaftStart } from './types.ts'
import { voterKey } from './voters.ts'

/** One member of a group. The machine starts as a follower; time passes with `tick` inputs only. */
export function createRaft(config: RaftConfig, start: RaftStart): RaftMachine {
  const node = new RaftNode(config, start)
  const tokens: Tokens = { last: 0, hardState: 0, persisted: 0 }
  return {
    step: (input) => step(node, tokens, input),
    propose: (payload) => propose(node, payload),
    changeVoters: (change) => changeVoters(node, change),
    ready: () => ready(node, tokens),
    status: () => raftStatus(node),
    view: new LiveView(node),
  }
}

interface Tokens {
  last: number
  /** The newest write that carried a hard state. */
  hardState: number
  persisted: number
}

function step(node: RaftNode, tokens: Tokens, input: RaftInput): void {
  switch (input.kind) {
    case 'tick':
      return node.role === 'leader' ? tickLeader(node) : tickElection(node)
    case 'message':
      return stepMessage(node, input.from, input.message)
    case 'persisted':
      return persisted(node, tokens, input.token)
    case 'learner':
      return learner(node, input.learner, input.present)
    case 'entries':
      return entriesRead(node, input.request, input.entries)
    case 'snapshotReady':
      return node.log.snapshotTaken(input.index, input.term, input.trimTo)
    case 'snapshotInstalled':
      return snapshotInstalled(node, input.index, input.term, input.voters)
    case 'connectionBroken':
      return connectionBroken(node, input.peer)
    case 'transferLeadership':
      return startTransfer(node, input.to)
    case 'campaign':
      return startElection(node)
    case 'startRound':
      return startRound(node)
    default:
      unreachable(input, 'raft input')
  }
}

function ready(node: RaftNode, tokens: Tokens): RaftOutput {
  if (node.role === 'leader') replicate(node)
  const hardState = node.hardStateDirty ? { term: node.term, votedFor: node.votedFor } : null
  const write = node.log.takeWrite(tokens.last + 1, hardState)
  if (write !== null) tokens.last = write.token
  if (hardState !== null) tokens.hardState = tokens.last
  node.hardStateDirty = false
  const hardStateToken = tokens.hardState > tokens.persisted ? tokens.hardState : 0
  return {
    write,
    send: node.outbox.takeSends(node.log, node.term, hardStateToken),
    read: node.outbox.takeReads(),
    commitIndex: node.commitIndex,
    role: node.visibleRole,
    term: node.term,
    leader: node.leader,
    fetchSnapshot: node.wantedSnapshot,
    voters: node.membership.voters,
  }
}

function persisted(node: RaftNode, tokens: Tokens, token: number): void {
  tokens.persisted = Math.max(tokens.persisted, token)
  node.log.persisted(token)
  if (!node.hardStateDirty && tokens.persisted >= tokens.hardState) countOwnVote(node)
  if (node.role === 'leader') advanceLeaderCommit(node)
  else node.advanceCommit()
}

function learner(node: RaftNode, peer: VoterId, present: boolean): void {
  if (present) node.learners.set(voterKey(peer), peer)
  else node.learners.delete(voterKey(peer))
  if (node.role === 'leader') syncPeers(node)
}

function connectionBroken(node: RaftNode, peer: VoterId): void {
  const progress = node.leadership?.progress.get(voterKey(peer))
  if (progress === undefined) handleConnectionBroken(node, peer)
  else progress.reconnect()
}

function stepMessage(node: RaftNode, from: VoterId, message: RaftMessage): void {
  if (message.kind === 'preVote') return handlePreVote(node, from, message)
  if (message.kind === 'vote' && ignoresVote(node, message)) return
  const promise = message.kind === 'preVoteReply' && message.granted
  if (message.term > node.term && !promise) node.becomeFollower(message.term, null)
  if (message.term < node.term) return answerStale(node, from, message)
  switch (message.kind) {
    case 'preVoteReply':
      return handlePreVoteReply(node, from, message)
    case 'vote':
      return handleVote(node, from, message)
    case 'voteReply':
      return handleVoteReply(node, from, message)
    case 'append':
    case 'snapshotOffer':
      return fromLeader(node, from, message)
    case 'appendReply':
      return handleAppendReply(node, from, message)
    case 'timeoutNow':
      return handleTimeoutNow(node)
    default:
      unreachable(message, 'raft message')
  }
}

function fromLeader(
  node: RaftNode,
  from: VoterId,
  message: Extract<RaftMessage, { kind: 'append' | 'snapshotOffer' }>,
): void {
  if (node.role === 'leader') return // Two leaders of one term cannot be; this is a forgery or an echo.
  if (node.role !== 'follower') node.becomeFollower(node.term, from)
  if (message.kind === 'append') handleAppend(node, from, message)
  else handleSnapshotOffer(node, from, message)
}

function answerStale(node: RaftNode, from: VoterId, message: RaftMessage): void {
  if (message.kind === 'append' || message.kind === 'snapshotOffer') answerStaleLeader(node, from, message)
  if (message.kind === 'vote') node.outbox.send(from, { kind: 'voteReply', term: node.term, granted: false })
}
