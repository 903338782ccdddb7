import { MillraceError } from '@millrace/base'
import type { Client, CommittedOffset, GroupDescription, GroupMember, TopicPartition } from '@millrace/client'
import { type ClusterOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { type Column, kafkaLines, printJson } from '../output.ts'
import { isOfConsumers } from './group.ts'

interface DescribeOptions extends ClusterOptions {
  readonly all?: boolean
  readonly members?: boolean
  readonly state?: boolean
  readonly verbose?: boolean
}

/** Offsets and lag of groups, or their members, or their states; all of it with `--json`. Fails for names of no group after the others are shown. */
export async function describeGroups(names: readonly string[], options: DescribeOptions): Promise<void> {
  if ((names.length === 0) !== (options.all === true))
    throw new UsageError('Which groups?', 'Name them (millrace group list shows the names), or say --all.')
  if (options.members === true && options.state === true)
    throw new UsageError('--members and --state are two questions.', 'Ask one of them, or all with --json.')
  await withClient(options, async (client) => {
    const { groups } = client.admin
    const wanted =
      options.all === true ? (await groups.list()).filter(isOfConsumers).map(({ groupId }) => groupId) : names
    const described = await groups.describe([...new Set(wanted)].toSorted())
    for (const group of described) if (group.state !== 'Dead') await show(client, group, options)
    const missing = described.filter(({ state }) => state === 'Dead').map(({ groupId }) => groupId)
    if (missing.length === 0 || options.all === true) return
    throw new MillraceError('REQUEST_REFUSED', `There is no group ${missing.join(', ')}.`, {
      fix: 'Look at the names of the groups: millrace group list.',
    })
  })
}

async function show(client: Client, group: GroupDescription, options: DescribeOptions): Promise<void> {
  if (options.json === true) return printJson(asJson(group, await offsetRows(client, group)))
  const verbose = options.verbose === true
  if (options.members === true) return print(group, memberLines(group, verbose))
  if (options.state === true) return print(group, stateLines(group, verbose))
  const rows = await offsetRows(client, group)
  print(group, rows.length === 0 ? [] : offsetLines(group.groupId, rows, verbose))
}

const REBALANCING = new Set(['PreparingRebalance', 'CompletingRebalance', 'Assigning', 'Reconciling'])

function print({ groupId, state }: GroupDescription, lines: readonly string[]): void {
  if (state === 'Empty') process.stderr.write(`\nConsumer group '${groupId}' has no active members.\n`)
  if (REBALANCING.has(state)) process.stderr.write(`\nWarning: Consumer group '${groupId}' is rebalancing.\n`)
  if (lines.length > 0) process.stdout.write(`\n${lines.join('\n')}\n`)
}

interface OffsetRow extends TopicPartition {
  readonly committed: CommittedOffset | null
  /** Null when the partition does not exist any more, or has no leader now. */
  readonly logEnd: number | null
  readonly lag: number | null
  readonly member: GroupMember | null
}

/** What members have, of those with most partitions first, then what is committed for partitions that nobody has. */
async function offsetRows({ admin }: Client, group: GroupDescription): Promise<readonly OffsetRow[]> {
  const key = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`
  const committed = new Map((await admin.groups.offsets(group.groupId)).map((offset) => [key(offset), offset]))
  const held = group.members
    .toSorted((a, b) => b.assignment.length - a.assignment.length)
    .flatMap((member) => member.assignment.map((place) => ({ ...place, member })))
  const taken = new Set(held.map(key))
  const free = [...committed.values()]
    .filter((offset) => !taken.has(key(offset)))
    .map(({ topic, partition }) => ({ topic, partition, member: null }))
  const places = [...held, ...free]
  // The ends are asked for after the offsets, so that no lag is negative because somebody read on in between.
  const ends = await admin.partitionOffsets(places, 'latest')
  return places.map((place, at) => {
    const own = committed.get(key(place)) ?? null
    const logEnd = ends[at] ?? null
    return { ...place, committed: own, logEnd, lag: own === null || logEnd === null ? null : logEnd - own.offset }
  })
}

function offsetLines(groupId: string, rows: readonly OffsetRow[], verbose: boolean): readonly string[] {
  const columns: readonly Column[] = [
    { title: 'GROUP', width: 15, grows: true },
    { title: 'TOPIC', width: 15, grows: true },
    { title: 'PARTITION', width: 10 },
    ...(verbose ? [{ title: 'LEADER-EPOCH', width: 15 }] : []),
    { title: 'CURRENT-OFFSET', width: 15 },
    { title: 'LOG-END-OFFSET', width: 15 },
    { title: 'LAG', width: 15 },
    { title: 'CONSUMER-ID', width: 15, grows: true },
    { title: 'HOST', width: 15, grows: true },
    { title: 'CLIENT-ID' },
  ]
  const cells = rows.map(({ topic, partition, committed, logEnd, lag, member }) => [
    groupId,
    topic,
    partition,
    ...(verbose ? [known(committed?.leaderEpoch)] : []),
    committed?.offset ?? null,
    logEnd,
    lag,
    member?.memberId ?? null,
    member?.host ?? null,
    member?.clientId ?? null,
  ])
  return kafkaLines(columns, cells)
}

/** Numbers that are negative where nobody told them. */
function known(epoch: number | undefined): number | null {
  return epoch === undefined || epoch < 0 ? null : epoch
}

function memberLines({ groupId, assignmentEpoch, members }: GroupDescription, verbose: boolean): readonly string[] {
  const areStatic = members.some(({ instanceId }) => instanceId !== null)
  const areMixed = [true, false].every((newer) => members.some((member) => member.newer === newer))
  const columns: readonly Column[] = [
    { title: 'GROUP', width: 15, grows: true },
    { title: 'CONSUMER-ID', width: 15, grows: true },
    ...(areStatic ? [{ title: 'GROUP-INSTANCE-ID', width: 17, grows: true }] : []),
    { title: 'HOST', width: 15, grows: true },
    { title: 'CLIENT-ID', width: 15, grows: true },
    { title: '#PARTITIONS', width: 15 },
    ...(verbose
      ? [
          { title: 'CURRENT-EPOCH', width: 15 },
          { title: 'CURRENT-ASSIGNMENT', width: 20, grows: true },
          { title: 'TARGET-EPOCH', width: 15 },
          { title: 'TARGET-ASSIGNMENT', width: 20, grows: true },
          ...(areMixed ? [{ title: 'UPGRADED' }] : []),
        ]
      : [{ title: '' }]),
  ]
  const cells = members.map((member) => [
    groupId,
    member.memberId,
    ...(areStatic ? [member.instanceId ?? ''] : []),
    member.host,
    member.clientId,
    member.assignment.length,
    ...(verbose
      ? [
          known(member.epoch),
          assignmentText(member.assignment),
          assignmentEpoch,
          assignmentText(member.target ?? []),
          ...(areMixed ? [String(member.newer ?? '-')] : []),
        ]
      : ['']),
  ])
  return kafkaLines(columns, cells)
}

/** `orders:0,2;payments:1` */
function assignmentText(assignment: readonly TopicPartition[]): string | null {
  if (assignment.length === 0) return null
  return [...Map.groupBy(assignment, ({ topic }) => topic)]
    .map(([topic, places]) => `${topic}:${places.map(({ partition }) => partition).join(',')}`)
    .join(';')
}

function stateLines(group: GroupDescription, verbose: boolean): readonly string[] {
  const { coordinator, assignor, state, epoch, assignmentEpoch, members } = group
  const columns: readonly Column[] = [
    { title: 'GROUP', width: 15, grows: true },
    { title: 'COORDINATOR (ID)', width: 25, grows: true },
    { title: 'ASSIGNMENT-STRATEGY', width: 20 },
    { title: 'STATE', width: 20 },
    ...(verbose
      ? [
          { title: 'GROUP-EPOCH', width: 15 },
          { title: 'TARGET-ASSIGNMENT-EPOCH', width: 25 },
        ]
      : []),
    { title: '#MEMBERS' },
  ]
  const place = `${coordinator.host}:${coordinator.port}  (${coordinator.id})`
  const epochs = verbose ? [epoch, assignmentEpoch] : []
  const strategy = assignor === '' ? null : assignor
  return kafkaLines(columns, [[group.groupId, place, strategy, state, ...epochs, members.length]])
}

function asJson({ groupId, ...group }: GroupDescription, rows: readonly OffsetRow[]): unknown {
  return {
    group: groupId,
    ...group,
    offsets: rows.map(({ topic, partition, committed, logEnd, lag, member }) => ({
      topic,
      partition,
      currentOffset: committed?.offset ?? null,
      logEndOffset: logEnd,
      lag,
      leaderEpoch: known(committed?.leaderEpoch),
      metadata: committed?.metadata ?? null,
      memberId: member?.memberId ?? null,
      host: member?.host ?? null,
      clientId: member?.clientId ?? null,
    })),
  }
}
