import type { Operation } from '../seams.ts'
import { DAMAGED } from '../workload/values.ts'

/**
 * The history as the checkers are to see it where disks were made to rot: a batch with another CRC is damage that the client found, not a value. What came
 * with it does not count as read, and the client's next poll of the partition does not go on from there.
 */
export function withoutDamage(history: readonly Operation[], damageWasDone: boolean): readonly Operation[] {
  if (!damageWasDone) return history
  const astray = new Set<string>()
  return history.map((operation) => {
    if (operation.kind !== 'poll') return operation
    const reader = `${operation.client} ${operation.topic}-${operation.partition}`
    const moved = astray.delete(reader) || operation.moved === true
    const bad = operation.values.findIndex(({ value }) => value.startsWith(DAMAGED))
    if (bad >= 0) astray.add(reader)
    const values = bad < 0 ? operation.values : operation.values.slice(0, bad)
    return { ...operation, values, moved }
  })
}
