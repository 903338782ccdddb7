import { createRaft, type RaftInput, type RaftMachine, type RaftMessage, type RaftOutput } from '@millrace/raft'
import { bentMachine } from '../bent.ts'

type Create = typeof createRaft

const Bent = bentMachine<RaftMachine>()

/** Messages reach the machine as `change` makes them; null is a lost one. */
function hears(change: (message: RaftMessage, inner: RaftMachine) => RaftMessage | null): Create {
  return (config, start) =>
    new (class extends Bent {
      override step(input: RaftInput): void {
        if (input.kind !== 'message') return this.inner.step(input)
        const message = change(input.message, this.inner)
        if (message !== null) this.inner.step({ ...input, message })
      }
    })(createRaft(config, start))
}

function says(change: (output: RaftOutput, inner: RaftMachine) => RaftOutput): Create {
  return (config, start) =>
    new (class extends Bent {
      override ready(): RaftOutput {
        return change(this.inner.ready(), this.inner)
      }
    })(createRaft(config, start))
}

/** Where a bug needs a rare coincidence: weights of faults under which it is less rare. */
export const PROVOKED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'a vote is forgotten in a crash': { brokenElection: 60 },
}

/** Bugs that the storm has to find: each is one of the rules, broken. */
export const PLANTED: Readonly<Record<string, Create>> = {
  'messages do not wait for the write that they vouch for': says((output) => ({
    ...output,
    send: output.send.map((send) => ({ ...send, after: 0 })),
  })),

  'a vote is forgotten in a crash': (config, start) =>
    createRaft(config, {
      ...start,
      hardState: start.hardState === null ? null : { ...start.hardState, votedFor: null },
    }),

  'a candidate whose log is behind is elected': hears((message) =>
    message.kind === 'vote' || message.kind === 'preVote' ? { ...message, lastTerm: Number.MAX_SAFE_INTEGER } : message,
  ),

  'an acknowledgement counts for all that the leader holds': hears((message, inner) =>
    message.kind === 'appendReply' && message.success ? { ...message, index: inner.view.lastIndex } : message,
  ),

  'a follower commits all that it holds': hears((message, inner) =>
    message.kind === 'append'
      ? { ...message, commitIndex: Math.max(message.commitIndex, inner.view.lastIndex) }
      : message,
  ),

  'entries are appended whatever is before them': hears((message, inner) =>
    message.kind === 'append'
      ? { ...message, prevTerm: inner.view.termAt(message.prevIndex) ?? message.prevTerm }
      : message,
  ),

  'a follower acknowledges a log that nobody compared': says((output, inner) => ({
    ...output,
    send: output.send.map((send) =>
      send.message.kind === 'appendReply' && send.message.success
        ? { ...send, message: { ...send.message, index: Math.max(send.message.index, inner.view.durableIndex) } }
        : send,
    ),
  })),

  'a write counts as durable when it is handed over': says((output, inner) => {
    if (output.write !== null) inner.step({ kind: 'persisted', token: output.write.token })
    return output
  }),

  'a refusal is not listened to': hears((message) =>
    message.kind === 'appendReply' && !message.success ? null : message,
  ),

  'a vote is granted to whoever asks': says((output) => ({
    ...output,
    send: output.send.map((send) =>
      send.message.kind === 'voteReply' ? { ...send, message: { ...send.message, granted: true } } : send,
    ),
  })),
}
