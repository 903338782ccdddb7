import { OFFSETS_TOPIC } from '@millrace/base'
import type { Operation } from '../seams.ts'

/**
 * The history as the checkers are to see it where the operator had a partition led by whoever was there, in doubt whether that has everything: what was
 * acknowledged and read before that time may be gone, and others may have its offsets. From then on everything is promised again, but what concerns
 * positions that clients had before. `losses` are the times, by `topic-partition`.
 */
export function withoutAcceptedLoss(
  history: readonly Operation[],
  losses: ReadonlyMap<string, number>,
): readonly Operation[] {
  if (losses.size === 0) return history
  const offsetsLost = [...losses.keys()].some((name) => name.startsWith(`${OFFSETS_TOPIC}-`))
  return history.flatMap((operation) => {
    const lostUs = losses.get(`${operation.topic}-${operation.partition}`) ?? Number.NEGATIVE_INFINITY
    if (ofGroup(operation) && offsetsLost) return []
    if (lostUs >= 0 && (ofGroup(operation) || operation.asked === 'epoch-end')) return []
    if (operation.endedUs > lostUs) return [operation]
    switch (operation.kind) {
      case 'send':
        return [forgotten(operation)]
      case 'poll':
      case 'lookup':
        return []
      default:
        return [operation]
    }
  })
}

/** It tells where a group is. */
function ofGroup({ kind }: Operation): boolean {
  return kind === 'commit' || kind === 'committed'
}

/** What was acknowledged may be in the log or not, and anywhere; what was refused must not. */
function forgotten(send: Operation): Operation {
  const values = send.values.map(({ value }) => ({ value, offset: -1 }))
  return { ...send, outcome: send.outcome === 'ok' ? 'info' : send.outcome, values }
}
