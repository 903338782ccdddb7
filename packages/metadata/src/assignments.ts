import { ErrorCode } from '@millrace/base'
import type { MachineContext } from './machine.ts'
import { Refused } from './outcome.ts'
import { Placement } from './placement.ts'
import { isActive } from './rules.ts'
import type { ImageState } from './state.ts'

interface Order {
  readonly count: number
  readonly factor: number
  /** The replicas of the partitions that the topic has already. */
  readonly existing: readonly (readonly number[])[]
}

/**
 * Replicas for new partitions: led by brokers that are alive; fenced ones follow where there are too few others, and catch up when they come back.
 * Who is shutting down gets nothing new.
 */
export function placed({ state, config }: MachineContext, order: Order): readonly (readonly number[])[] {
  if (order.factor < 1)
    throw new Refused(
      ErrorCode.INVALID_REPLICATION_FACTOR,
      `a partition has at least one replica, not ${order.factor} (-1 is the default)`,
    )
  const brokers = [...state.brokers.values()].filter((broker) => !broker.shuttingDown && broker.directories.length > 0)
  if (brokers.length < order.factor)
    throw new Refused(
      ErrorCode.INVALID_REPLICATION_FACTOR,
      `${order.factor} replicas need as many brokers, and ${brokers.length} ${brokers.length === 1 ? 'is' : 'are'} registered`,
    )
  if (!brokers.some(isActive)) throw new Refused(ErrorCode.INVALID_REPLICATION_FACTOR, 'no broker is alive')
  const placement = new Placement(state, brokers, config.random)
  for (const replicas of order.existing) placement.count(replicas)
  return Array.from({ length: order.count }, () => placement.next(order.factor))
}

/** Replicas as a client assigned them, refused unless every partition can exist as it says. */
export function checkedAssignments(
  state: ImageState,
  assignments: readonly (readonly number[])[],
  factor: number,
): readonly (readonly number[])[] {
  for (const [at, replicas] of assignments.entries()) {
    const problem = assignmentProblem(state, replicas, factor)
    if (problem !== null) throw new Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, `assignment ${at}: ${problem}`)
  }
  return assignments
}

function assignmentProblem(state: ImageState, replicas: readonly number[], factor: number): string | null {
  if (replicas.length === 0) return 'it names no broker'
  if (new Set(replicas).size !== replicas.length) return 'it names a broker twice'
  if (replicas.length !== factor) return `it has ${replicas.length} replicas where the others have ${factor}`
  const unknown = replicas.find((id) => !state.brokers.has(id))
  if (unknown !== undefined) return `broker ${unknown} is not registered`
  const alive = replicas.some((id) => {
    const broker = state.brokers.get(id)
    return broker !== undefined && isActive(broker)
  })
  return alive ? null : 'all its brokers are fenced or shutting down'
}
