import type { Operation } from '../seams.ts'
import { DAMAGED } from '../workload/values.ts'

interface Origin {
  readonly log: string
  readonly offset: number
}

/**
 * The history as the checkers are to see it where disks were made to rot: a batch with another CRC is damage that the client found, not a value; and
 * a batch of another partition, whole and at its own offset, is one that the disk wrote to the wrong place, which nothing in a batch tells. What
 * came with it does not count as read, and the client's next poll of the partition does not go on from there. A coordinator may have read such a batch as well, so
 * that nothing is asked of what groups were told.
 */
export function withoutDamage(history: readonly Operation[], damageWasDone: boolean): readonly Operation[] {
  if (!damageWasDone) return history
  const origins = originsOf(history)
  const astray = new Set<string>()
  return history
    .filter(({ group }) => group === undefined)
    .map((operation) => {
      if (operation.kind !== 'poll') return operation
      const reader = `${operation.client} ${logOf(operation)}`
      const moved = astray.delete(reader) || operation.moved === true
      const bad = operation.values.findIndex(({ value, offset }) => {
        const origin = origins.get(value)
        return value.startsWith(DAMAGED) || (origin !== undefined && isMisplaced(origin, logOf(operation), offset))
      })
      if (bad >= 0) astray.add(reader)
      const values = bad < 0 ? operation.values : operation.values.slice(0, bad)
      return { ...operation, values, moved }
    })
}

/** Where values were sent to, by value. */
function originsOf(history: readonly Operation[]): ReadonlyMap<string, Origin> {
  const origins = new Map<string, Origin>()
  for (const operation of history)
    if (operation.kind === 'send')
      for (const { value, offset } of operation.values) origins.set(value, { log: logOf(operation), offset })
  return origins
}

/** A producer that got no answer does not know the offset. */
function isMisplaced(origin: Origin, log: string, offset: number): boolean {
  return origin.log !== log && (origin.offset === offset || origin.offset === -1)
}

function logOf({ topic, partition }: Operation): string {
  return `${topic}-${partition}`
}
