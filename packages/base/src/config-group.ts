import { brokerConfigValue } from './config-effective.ts'
import type { Properties } from './config-effective.ts'
import { BROKER_KEYS } from './config-broker.ts'
import { int, parseWhole } from './config-values.ts'
import type { ConfigKey } from './config.ts'

const SESSION_TIMEOUT = 'consumer.session.timeout.ms'
const HEARTBEAT_INTERVAL = 'consumer.heartbeat.interval.ms'
const ASSIGNMENT_INTERVAL = 'consumer.assignment.interval.ms'

/** What a group of the newer protocol may have of its own: each key stands before the broker's of the same meaning. */
export const GROUP_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  [ASSIGNMENT_INTERVAL, HEARTBEAT_INTERVAL, SESSION_TIMEOUT].map((name) => [name, groupKey(name)]),
)

/** The settings of a group of the newer protocol. Milliseconds. */
export interface GroupTimes {
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** The least time between two assignments. */
  readonly assignmentIntervalMs: number
}

/** What counts for a group that has these settings of its own, on a broker with those. */
export function effectiveGroupTimes(overrides: Properties, brokerProperties: Properties): GroupTimes {
  const whole = (name: string): number =>
    parseWhole(overrides.get(name) ?? brokerConfigValue(brokerProperties, brokerKeyOf(name)))
  return {
    sessionTimeoutMs: whole(SESSION_TIMEOUT),
    heartbeatIntervalMs: whole(HEARTBEAT_INTERVAL),
    assignmentIntervalMs: whole(ASSIGNMENT_INTERVAL),
  }
}

/** Null when `value` can be the setting `name` of a group within the bounds that the broker's settings draw, else what is wrong. */
export function groupConfigProblem(name: string, value: string, brokerProperties: Properties): string | null {
  const key = GROUP_KEYS.get(name)
  if (key === undefined) return `there is no group setting named ${JSON.stringify(name.slice(0, 200))}`
  const problem = key.problem(value)
  if (problem !== null) return `${name}: ${problem}`
  const given = parseWhole(value)
  for (const bound of ['min', 'max'] as const) {
    const boundKey = brokerKeyOf(name).replace('group.consumer.', `group.consumer.${bound}.`)
    const limit = parseWhole(brokerConfigValue(brokerProperties, boundKey))
    if (bound === 'min' ? given < limit : given > limit)
      return `${name}: ${given} is ${bound === 'min' ? 'less' : 'more'} than ${limit}, the broker's ${boundKey}`
  }
  return null
}

/** What is wrong with a group's settings together, each of them being right by itself; null when nothing is. */
export function groupConfigsProblem(overrides: Properties, brokerProperties: Properties): string | null {
  const { sessionTimeoutMs, heartbeatIntervalMs } = effectiveGroupTimes(overrides, brokerProperties)
  return sessionTimeoutMs > heartbeatIntervalMs
    ? null
    : `${SESSION_TIMEOUT} (${sessionTimeoutMs}) must be more than ${HEARTBEAT_INTERVAL} (${heartbeatIntervalMs})`
}

function groupKey(name: string): ConfigKey {
  const { default: fallback, documentation } = BROKER_KEYS.get(brokerKeyOf(name)) as ConfigKey
  const { type, problem } = int({ min: name === ASSIGNMENT_INTERVAL ? 0 : 1 })
  return {
    name,
    type,
    default: fallback,
    documentation,
    scope: 'group',
    effect: 'yes',
    dynamic: true,
    brokerKeys: [{ name: brokerKeyOf(name), factor: 1 }],
    problem,
  }
}

function brokerKeyOf(name: string): string {
  return `group.${name}`
}
