import type { Entry } from '@millrace/base'
import { entryBytes } from './entry-tail.ts'
import type { Leadership } from './leadership.ts'
import type { RaftNode } from './node.ts'
import type { Progress } from './progress.ts'
import type { RaftMessage } from './types.ts'
import { sameVoter } from './voters.ts'

type Reply = Extract<RaftMessage, { kind: 'appendReply' }>

/** A peer's answer moves what is known of its log. */
export function peerAnswered(node: RaftNode, progress: Progress, reply: Reply): void {
  if (reply.success) {
    if (reply.index > node.log.lastIndex) return // Nobody can match what was never in this log.
    progress.confirm(reply.index)
    if (reply.index < progress.match) return
    progress.caughtUp ||= progress.match >= (node.leadership as Leadership).heartbeatEnd
  } else if (progress.state !== 'snapshot') refused(node, progress, reply)
}

/** Backs off to where the logs may agree, unless the refusal is older than what is known by now. */
function refused(node: RaftNode, progress: Progress, reply: Reply): void {
  const stale =
    progress.state === 'replicate' ? reply.refusedIndex <= progress.match : reply.refusedIndex !== progress.next - 1
  if (stale) return
  const hint = node.log.agreement(reply.index, reply.hintTerm)
  const next = Math.min(hint.index + 1, reply.refusedIndex)
  const futile = progress.state === 'probe' && Math.max(next, progress.match + 1) === progress.next
  progress.becomeProbe(next)
  // A peer that refuses what it once vouched for is not asked again before the next heartbeat: no ping-pong.
  progress.probed = futile
}

/** Everything that the peers should get this turn. */
export function replicate(node: RaftNode): void {
  const leadership = node.leadership as Leadership
  for (const progress of leadership.progress.values()) replicateTo(node, leadership, progress)
  askHeir(node, leadership)
}

function replicateTo(node: RaftNode, leadership: Leadership, progress: Progress): void {
  let sent = false
  while (wantsEntries(node, progress)) {
    if (node.log.term(progress.next - 1) === null || progress.next < node.log.firstIndex) {
      progress.becomeSnapshot()
      break
    }
    const entries = node.log.recent(progress.next, node.config.maxBytesPerAppend)
    if (entries === null) {
      progress.reading = node.outbox.read(progress.next, node.log.lastIndex)
      break
    }
    sendEntries(node, leadership, progress, entries)
    sent = true
  }
  if (sent) return
  const news = progress.state === 'replicate' && progress.toldCommit < node.commitIndex
  if (progress.heartbeatDue || news) heartbeat(node, leadership, progress)
}

function wantsEntries(node: RaftNode, progress: Progress): boolean {
  if (progress.state === 'snapshot' || progress.reading !== 0 || progress.next > node.log.lastIndex) return false
  return progress.state === 'probe' ? !progress.probed : progress.inflight.length < node.config.maxInflightAppends
}

/** The store answered: the entries go out unless the peer moved on meanwhile. */
export function entriesRead(node: RaftNode, request: number, entries: readonly Entry[]): void {
  const { leadership } = node
  if (leadership === null) return
  for (const progress of leadership.progress.values()) {
    if (progress.reading !== request) continue
    progress.reading = 0
    const first = entries[0]
    if (first === undefined) {
      progress.becomeProbe(progress.next)
      progress.probed = true
    } else if (first.index === progress.next && node.log.term(first.index) === first.term)
      sendEntries(node, leadership, progress, bounded(entries, node.config.maxBytesPerAppend))
  }
}

function bounded(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let bytes = 0
  const fits = entries.findIndex((entry, at) => {
    bytes += entryBytes(entry)
    return at > 0 && bytes > maxBytes
  })
  return fits === -1 ? entries : entries.slice(0, fits)
}

function sendEntries(node: RaftNode, leadership: Leadership, progress: Progress, entries: readonly Entry[]): void {
  const prevIndex = progress.next - 1
  const prevTerm = node.log.term(prevIndex)
  if (prevTerm === null) {
    progress.becomeSnapshot()
    return
  }
  const { term, commitIndex } = node
  const { round } = leadership
  node.outbox.send(progress.peer, { kind: 'append', term, prevIndex, prevTerm, entries, commitIndex, round })
  progress.heartbeatDue = false
  progress.toldCommit = commitIndex
  if (entries.length > 0) progress.sent(prevIndex + entries.length)
}

/** An append without entries at the point where the peer should be: if something was lost, the refusal tells. */
function heartbeat(node: RaftNode, leadership: Leadership, progress: Progress): void {
  if (progress.state !== 'snapshot' && node.log.term(progress.next - 1) === null) progress.becomeSnapshot()
  if (progress.state !== 'snapshot') {
    sendEntries(node, leadership, progress, [])
    return
  }
  progress.heartbeatDue = false
  const { snapshotIndex: index, snapshotTerm } = node.log
  const { round } = leadership
  node.outbox.send(progress.peer, { kind: 'snapshotOffer', term: node.term, index, snapshotTerm, round })
}

function askHeir(node: RaftNode, leadership: Leadership): void {
  const { transfer } = leadership
  if (transfer === null || transfer.asked) return
  for (const progress of leadership.progress.values()) {
    if (!sameVoter(progress.peer, transfer.to) || progress.match !== node.log.lastIndex) continue
    transfer.asked = true
    node.outbox.send(progress.peer, { kind: 'timeoutNow', term: node.term })
  }
}
