import { MillraceError } from '@millrace/base'
import type { Admin, CommittedOffset, GroupDescription, NewOffset, TopicPartition } from '@millrace/client'
import { type ClusterOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { kafkaLines, printJson } from '../output.ts'
import { type Scope, type ScopeOptions, scopeOf, type Target, type TargetOptions, targetOf } from './group-targets.ts'

interface ResetOptions extends ClusterOptions, TargetOptions, ScopeOptions {
  readonly dryRun?: boolean
  /** What happens anyhow; scripts for Kafka's tool say it. */
  readonly execute?: boolean
  /** The plan as lines for `--from-file`. */
  readonly export?: boolean
}

/** Commits other offsets for a group without members and prints them; with `dryRun` it only prints. */
export async function resetOffsets(groupId: string, options: ResetOptions): Promise<void> {
  const target = targetOf(options, groupId, Date.now())
  const scope = scopeOf(options, target)
  if (options.dryRun === true && options.execute === true)
    throw new UsageError('--dry-run and --execute contradict each other.', 'Say one of them.')
  await withClient(options, async ({ admin }) => {
    const [group] = await admin.groups.describe([groupId])
    refuseActive(group as GroupDescription)
    const committed = await admin.groups.offsets(groupId)
    const places = scope === null ? [] : await placesIn(admin, groupId, { scope, committed })
    const plan = await planned(admin, target, { places, committed })
    if (options.dryRun !== true) await admin.groups.alterOffsets(groupId, plan)
    print(groupId, plan, options)
  })
}

function refuseActive({ groupId, state, members }: GroupDescription): void {
  if (state === 'Empty' || state === 'Dead') return
  throw new MillraceError(
    'REQUEST_REFUSED',
    `Group ${groupId} is in use: it has ${members.length} members and is in state ${state}, and they would not notice.`,
    {
      fix: `Stop its consumers (millrace group describe ${groupId} --members tells who they are) or wait until their sessions end, then try again.`,
    },
  )
}

interface Known {
  readonly committed: readonly CommittedOffset[]
}

async function placesIn(
  admin: Admin,
  groupId: string,
  { scope, committed }: Known & { readonly scope: Scope },
): Promise<readonly TopicPartition[]> {
  if (scope !== 'committed') {
    const named = await Promise.all(
      scope.map(async ({ topic, partitions }) => {
        const all = partitions ?? (await admin.describeTopic(topic)).partitions.map(({ partition }) => partition)
        return all.map((partition) => ({ topic, partition }))
      }),
    )
    return [...new Map(named.flat().map((place) => [text(place), place])).values()]
  }
  if (committed.length > 0) return committed
  throw new MillraceError('REQUEST_REFUSED', `Group ${groupId} has committed nothing.`, {
    fix: 'Look at its name (millrace group list), or name the topics with --topic to give it its first offsets.',
  })
}

function text({ topic, partition }: TopicPartition): string {
  return `topic ${topic} partition ${partition}`
}

async function planned(
  admin: Admin,
  target: Target,
  { places, committed }: Known & { readonly places: readonly TopicPartition[] },
): Promise<readonly NewOffset[]> {
  const present = new Map(committed.map((offset) => [text(offset), offset.offset]))
  switch (target.kind) {
    case 'earliest':
    case 'latest':
      return edges(admin, places, target.kind)
    case 'time':
      return atTime(admin, places, target.timestamp)
    case 'offset':
      return inRange(
        admin,
        places.map(({ topic, partition }) => ({ topic, partition, offset: target.by })),
      )
    case 'shift':
      return inRange(
        admin,
        places.map((place) => shifted(place, present.get(text(place)), target.by)),
      )
    case 'plan':
      return inRange(admin, target.offsets)
    default:
      return current(admin, places, present)
  }
}

/** Where the group is, and the end of what it has not begun. */
async function current(
  admin: Admin,
  places: readonly TopicPartition[],
  present: ReadonlyMap<string, number>,
): Promise<readonly NewOffset[]> {
  const open = places.filter((place) => !present.has(text(place)))
  const ends = new Map((await edges(admin, open, 'latest')).map((end) => [text(end), end]))
  return places.map((place) => ends.get(text(place)) ?? withOffset(place, present.get(text(place)) as number))
}

function withOffset({ topic, partition }: TopicPartition, offset: number): NewOffset {
  return { topic, partition, offset }
}

function shifted(place: TopicPartition, present: number | undefined, by: number): NewOffset {
  if (present !== undefined) return withOffset(place, present + by)
  throw new MillraceError('REQUEST_REFUSED', `There is nothing to shift: nothing is committed for ${text(place)}.`, {
    fix: 'Name partitions that have an offset (--all-topics takes those), or begin with --to-earliest or --to-latest.',
  })
}

/** The first offsets, or the ends. Throws for a partition that has none to tell. */
async function edges(
  admin: Admin,
  places: readonly TopicPartition[],
  edge: 'earliest' | 'latest',
): Promise<readonly NewOffset[]> {
  const offsets = await admin.partitionOffsets(places, edge)
  return places.map((place, at) => {
    const offset = offsets[at] ?? null
    if (offset !== null) return withOffset(place, offset)
    throw new MillraceError('REQUEST_REFUSED', `There is no ${text(place)}, or it has no leader now.`, {
      fix: `Look at it (millrace topic describe ${place.topic}), or leave it out: --topic NAME:0,1 names single partitions.`,
    })
  })
}

/** The end where no record is that young. */
async function atTime(
  admin: Admin,
  places: readonly TopicPartition[],
  timestamp: number,
): Promise<readonly NewOffset[]> {
  const offsets = await admin.partitionOffsets(places, { timestamp })
  const ends = await edges(
    admin,
    places.filter((_, at) => offsets[at] === null),
    'latest',
  )
  for (const place of ends) warn(`no record of ${text(place)} is that young: its end is taken.`)
  const byPlace = new Map(ends.map((end) => [text(end), end]))
  return places.map((place, at) => byPlace.get(text(place)) ?? withOffset(place, offsets[at] as number))
}

/** What is outside of a log becomes its nearest end. */
async function inRange(admin: Admin, wanted: readonly NewOffset[]): Promise<readonly NewOffset[]> {
  const [earliest, latest] = await Promise.all([edges(admin, wanted, 'earliest'), edges(admin, wanted, 'latest')])
  return wanted.map((place, at) => {
    const [first, end] = [earliest[at]?.offset ?? 0, latest[at]?.offset ?? 0]
    const offset = Math.min(end, Math.max(first, place.offset))
    if (offset !== place.offset)
      warn(`${place.offset} is outside of ${text(place)}, which has ${first} to ${end}: ${offset} is taken.`)
    return withOffset(place, offset)
  })
}

function warn(message: string): void {
  process.stderr.write(`Warning: ${message}\n`)
}

function print(groupId: string, plan: readonly NewOffset[], options: ResetOptions): void {
  const sorted = plan.toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
  const dryRun = options.dryRun === true
  if (options.json === true)
    for (const { topic, partition, offset } of sorted)
      printJson({ group: groupId, topic, partition, newOffset: offset, done: !dryRun })
  else if (options.export === true)
    process.stdout.write(sorted.map(({ topic, partition, offset }) => `${topic},${partition},${offset}\n`).join(''))
  else process.stdout.write(`\n${table(groupId, sorted).join('\n')}\n`)
  if (dryRun) process.stderr.write('Nothing was changed, because of --dry-run.\n')
}

function table(groupId: string, plan: readonly NewOffset[]): readonly string[] {
  const columns = [
    { title: 'GROUP', width: 15, grows: true },
    { title: 'TOPIC', width: 15, grows: true },
    { title: 'PARTITION', width: 10 },
    { title: 'NEW-OFFSET' },
  ]
  return kafkaLines(
    columns,
    plan.map(({ topic, partition, offset }) => [groupId, topic, partition, offset]),
  )
}
