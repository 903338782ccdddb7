import type { NewOffset, TopicPartition } from '@millrace/client'
import { readFileSync } from 'node:fs'
import { UsageError } from '../failure.ts'
import { isoDuration, isoTime } from '../times.ts'

/** Where a group is to begin: a place that all partitions have, a time, or offsets one by one. */
export type Target =
  | { readonly kind: 'earliest' | 'latest' | 'current' }
  | { readonly kind: 'offset' | 'shift'; readonly by: number }
  | { readonly kind: 'time'; readonly timestamp: number }
  | { readonly kind: 'plan'; readonly offsets: readonly NewOffset[] }

/** What is to be reset: all that the group has committed, or these topics; without `partitions` all of the topic. */
export type Scope = 'committed' | readonly { readonly topic: string; readonly partitions: readonly number[] | null }[]

/** The options that say where to, as they were typed. */
export interface TargetOptions {
  readonly toEarliest?: boolean
  readonly toLatest?: boolean
  readonly toCurrent?: boolean
  readonly toOffset?: number
  readonly shiftBy?: number
  readonly byDuration?: string
  readonly toDatetime?: string
  readonly fromFile?: string
}

/** The options that say of what. */
export interface ScopeOptions {
  readonly allTopics?: boolean
  readonly topic?: readonly string[]
}

const TARGETS =
  '--to-earliest, --to-latest, --to-current, --to-offset N, --shift-by N, --by-duration PT1H, --to-datetime 2026-01-31T12:00:00Z or --from-file FILE'

/** The one target that was named. Throws `UsageError`. */
export function targetOf(options: TargetOptions, groupId: string, nowMs: number): Target {
  const { toEarliest, toLatest, toCurrent, toOffset, shiftBy, byDuration, toDatetime, fromFile } = options
  const targets: Target[] = []
  if (toEarliest === true) targets.push({ kind: 'earliest' })
  if (toLatest === true) targets.push({ kind: 'latest' })
  if (toCurrent === true) targets.push({ kind: 'current' })
  if (toOffset !== undefined) targets.push({ kind: 'offset', by: toOffset })
  if (shiftBy !== undefined) targets.push({ kind: 'shift', by: shiftBy })
  if (byDuration !== undefined) targets.push({ kind: 'time', timestamp: timeAgo(byDuration, nowMs) })
  if (toDatetime !== undefined) targets.push({ kind: 'time', timestamp: timeAt(toDatetime) })
  if (fromFile !== undefined) targets.push({ kind: 'plan', offsets: planOf(fromFile, groupId) })
  const [target] = targets
  if (target === undefined) throw new UsageError('Where to?', `Name one of ${TARGETS}.`)
  if (targets.length > 1) throw new UsageError('There is more than one place to go to.', `Name only one of ${TARGETS}.`)
  return target
}

function timeAgo(text: string, nowMs: number): number {
  const duration = isoDuration(text)
  if (Number.isNaN(duration))
    throw new UsageError(`--by-duration: "${text}" is no duration`, 'Write PnDTnHnMnS, such as P1D or PT2H30M.')
  return Math.max(0, nowMs - duration)
}

function timeAt(text: string): number {
  const timestamp = isoTime(text)
  if (!(timestamp >= 0))
    throw new UsageError(
      `--to-datetime: "${text}" is no time since 1970`,
      'Write 2026-01-31T12:00:00Z, or an offset from UTC instead of the Z; without either it is UTC.',
    )
  return timestamp
}

/** The one scope that was named; null for that of a plan. Throws `UsageError`. */
export function scopeOf({ allTopics, topic }: ScopeOptions, target: Target): Scope | null {
  const given = topic ?? []
  if (target.kind === 'plan') {
    if (allTopics === true || given.length > 0)
      throw new UsageError('A file says itself which partitions it is about.', 'Leave out --all-topics and --topic.')
    return null
  }
  if ((allTopics === true) !== (given.length === 0))
    throw new UsageError(
      'Of which topics?',
      'Name --all-topics (all that the group has committed), or --topic NAME or --topic NAME:0,1, which may be repeated.',
    )
  return allTopics === true ? 'committed' : given.map(topicScope)
}

/** `orders`, or `orders:0,1`. Throws `UsageError`. */
export function topicScope(text: string): { topic: string; partitions: readonly number[] | null } {
  const match = /^([^:]+)(?::(\d{1,9}(?:,\d{1,9})*))?$/.exec(text)
  if (match === null) throw new UsageError(`--topic: "${text}" is no topic with partitions`, 'Write NAME, or NAME:0,1.')
  return { topic: match[1] as string, partitions: match[2]?.split(',').map(Number) ?? null }
}

/** The lines of a file that are about this group: `topic,partition,offset`, with the group before them where there are several. */
function planOf(file: string, groupId: string): readonly NewOffset[] {
  const plan = new Map<string, NewOffset & TopicPartition>()
  for (const [at, line] of readLines(file).entries()) {
    if (line.trim() === '') continue
    const [, group, topic, partition, offset] =
      /^(?:(.*),)?"?([^,"]+)"?,"?(\d{1,9})"?,"?(\d{1,15})"?\s*$/.exec(line) ?? []
    if (topic === undefined)
      throw new UsageError(
        `--from-file: line ${at + 1} of ${file} is "${line.slice(0, 100)}"`,
        'Write topic,partition,offset, or group,topic,partition,offset.',
      )
    if (group !== undefined && unquoted(group) !== groupId) continue
    const key = `${topic}/${partition}`
    if (plan.has(key))
      throw new UsageError(
        `--from-file: line ${at + 1} of ${file} is the second for topic ${topic} partition ${partition}`,
        'Say once what each partition is to get.',
      )
    plan.set(key, { topic, partition: Number(partition), offset: Number(offset) })
  }
  if (plan.size === 0)
    throw new UsageError(`--from-file: ${file} says nothing of group ${groupId}`, 'Look at its first column.')
  return [...plan.values()]
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    throw new UsageError(`--from-file: ${(error as Error).message}`, 'Name a file that can be read.')
  }
}

function unquoted(text: string): string {
  return /^".*"$/.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text
}
