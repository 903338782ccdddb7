import { setTimeout as sleep } from 'node:timers/promises'
import { MillraceError } from '@millrace/base'
import { type ClusterOptions, withClient } from '../connect.ts'
import { getJson, type HttpEndpoint, httpEndpoints, HttpRefusal, namedEndpoints } from '../http-endpoints.ts'
import { printJson, printTable } from '../output.ts'
import { durationText } from '../times.ts'

export interface LagOptions extends ClusterOptions {
  /** Endpoints to ask instead of those that the brokers tell of. */
  readonly http?: string
}

interface Lag {
  readonly status: string
  readonly secondsToRetention: number | null
  readonly losesRecords: boolean | null
}

interface Summary extends Lag {
  readonly group: string
  readonly state: string
  readonly members: number
  readonly sumLag: number | null
  readonly maxLag: number | null
  readonly maxLagSeconds: number | null
  readonly rebalances: number
}

interface Detail extends Summary {
  readonly partitions: readonly (Lag & {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly logEnd: number | null
    readonly lag: number | null
    readonly lagSeconds: number | null
    readonly clientId: string | null
    readonly host: string | null
  })[]
}

interface Rebalances {
  readonly group: string
  readonly state: string
  readonly watchedSince: string
  readonly count: number
  readonly totalMs: number
  readonly reasons: Readonly<Record<string, number>>
  readonly rebalances: readonly {
    readonly generation: number
    readonly startedAt: string
    readonly durationMs: number
    readonly members: number
    readonly moved: number | null
    readonly moves: readonly Move[]
    readonly causes: readonly Cause[]
  }[]
}

interface Move {
  readonly topic: string | null
  readonly partitions: readonly number[]
  readonly from: string | null
  readonly to: string
}

interface Cause {
  readonly reason: string
  readonly memberId: string
  readonly clientId: string
  readonly detail: string
}

/** All groups, one a line, or the partitions of those that are named: how far behind, in which state, and when records will be lost. */
export async function groupLag(names: readonly string[], options: LagOptions): Promise<void> {
  const endpoints = await endpointsOf(options)
  if (names.length === 0) return showAll(endpoints, options)
  for (const name of new Set(names)) {
    const group = await ofGroup<Detail>(endpoints, name, '')
    if (options.json === true) printJson(group)
    else showGroup(group)
  }
}

/** Why a group rebalanced lately, how long each time took, and what moved. */
export async function groupRebalances(name: string, options: LagOptions & { readonly moves?: boolean }): Promise<void> {
  const told = await ofGroup<Rebalances>(await endpointsOf(options), name, '/rebalances')
  if (options.json === true) return printJson(told)
  const { group, state, watchedSince, count, totalMs, reasons, rebalances } = told
  const kinds = Object.entries(reasons).map(([reason, times]) => `${reason} ${times}`)
  const sum = count === 0 ? 'no rebalances' : `${count} rebalances, ${durationText(totalMs / 1000)} in all`
  process.stdout.write(
    `${group} is ${state}; ${sum} since ${watchedSince}${count === 0 ? '' : `: ${kinds.join(', ')}`}\n`,
  )
  if (rebalances.length === 0) return
  process.stdout.write('\n')
  printTable(
    ['STARTED', 'GENERATION', 'TOOK', 'MEMBERS', 'MOVED', 'CAUSE'],
    rebalances.map((one) => [
      one.startedAt,
      one.generation,
      durationText(one.durationMs / 1000),
      one.members,
      one.moved ?? '-',
      causesText(one.causes),
    ]),
  )
  if (options.moves === true) for (const { generation, moves } of rebalances) printMoves(generation, moves)
}

function printMoves(generation: number, moves: readonly Move[]): void {
  if (moves.length === 0) return
  process.stdout.write(`\nGeneration ${generation} moved\n`)
  for (const { topic, partitions, from, to } of moves)
    process.stdout.write(`  ${topic ?? 'a deleted topic'}:${partitions.join(',')} from ${from ?? 'nobody'} to ${to}\n`)
}

const MOST_CAUSES = 4

function causesText(causes: readonly Cause[]): string {
  const told = causes.slice(0, MOST_CAUSES).map(({ reason, clientId, memberId, detail }) => {
    const who = clientId === '' ? memberId : clientId
    return `${who === '' ? '' : `${who} `}${reason}${detail === '' ? '' : ` (${detail})`}`
  })
  const more = causes.length - told.length
  return more > 0 ? `${told.join(', ')} and ${more} more` : told.join(', ')
}

function endpointsOf(options: LagOptions): Promise<readonly HttpEndpoint[]> {
  return options.http === undefined
    ? withClient(options, (client) => httpEndpoints(client))
    : Promise.resolve(namedEndpoints(options.http))
}

/** Each group is known by its coordinator; a node that does not answer leaves its groups out, and is told. */
async function showAll(endpoints: readonly HttpEndpoint[], options: LagOptions): Promise<void> {
  const answers = await Promise.allSettled(
    endpoints.map((endpoint) => getJson<{ readonly groups: readonly Summary[] }>(endpoint, '/groups')),
  )
  const groups = answers
    .flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.groups : []))
    .toSorted((a, b) => (a.group < b.group ? -1 : 1))
  const failed = answers.filter((answer) => answer.status === 'rejected').map(({ reason }) => reason as MillraceError)
  const [first] = failed
  if (options.json === true) for (const group of groups) printJson(group)
  else if (groups.length > 0) printTable(SUMMARY, groups.map(summaryCells))
  else if (first === undefined) process.stderr.write('There are no groups.\n')
  if (first === undefined) return
  throw new MillraceError('UNREACHABLE', failed.map(({ message }) => message).join('\n'), {
    cause: first,
    fix: first.fix ?? '',
  })
}

const SUMMARY = ['GROUP', 'STATE', 'MEMBERS', 'STATUS', 'LAG', 'MAX-LAG', 'BEHIND', 'RETENTION-IN', 'REBALANCES']

function summaryCells(group: Summary): readonly (string | number)[] {
  const { state, members, status, sumLag, maxLag, maxLagSeconds, rebalances } = group
  return [
    group.group,
    state,
    members,
    status,
    sumLag ?? '-',
    maxLag ?? '-',
    durationText(maxLagSeconds),
    retentionText(group),
    rebalances,
  ]
}

function showGroup(group: Detail): void {
  printTable(SUMMARY, [summaryCells(group)])
  process.stdout.write('\n')
  const titles = [
    'TOPIC',
    'PARTITION',
    'STATUS',
    'OFFSET',
    'LOG-END',
    'LAG',
    'BEHIND',
    'RETENTION-IN',
    'CLIENT-ID',
    'HOST',
  ]
  const rows = group.partitions.map((one) => [
    one.topic,
    one.partition,
    one.status,
    one.offset,
    one.logEnd ?? '-',
    one.lag ?? '-',
    durationText(one.lagSeconds),
    retentionText(one),
    one.clientId ?? '-',
    one.host ?? '-',
  ])
  printTable(titles, rows)
  process.stdout.write('\n')
}

/** When retention takes what is left to read. */
function retentionText({ secondsToRetention, losesRecords }: Lag): string {
  if (losesRecords === false) return 'never'
  return secondsToRetention === 0 ? 'passed' : durationText(secondsToRetention)
}

const TRIES = 10
const PAUSE_MS = 300

/** From whoever coordinates the group; a coordinator that reads its log, or is being elected, is waited for. */
async function ofGroup<T>(endpoints: readonly HttpEndpoint[], name: string, what: string): Promise<T> {
  const path = `/groups/${encodeURIComponent(name)}${what}`
  for (let tries = 1; ; tries++) {
    try {
      return await ofCoordinator<T>(endpoints, path)
    } catch (error) {
      const waits = error instanceof HttpRefusal && /^COORDINATOR_|^NOT_COORDINATOR/.test(error.error)
      if (!waits || tries === TRIES) throw error
      await sleep(PAUSE_MS)
    }
  }
}

async function ofCoordinator<T>(endpoints: readonly HttpEndpoint[], path: string): Promise<T> {
  let failure: unknown = new MillraceError('UNREACHABLE', 'The cluster has no brokers now.')
  for (const endpoint of endpoints) {
    try {
      return await getJson<T>(endpoint, path)
    } catch (error) {
      failure = error
      if (!(error instanceof HttpRefusal) || error.coordinator === null) continue
      // As this machine reaches it; what the nodes tell of each other may be good among them only.
      const { coordinator } = error
      return getJson<T>(endpoints.find(({ node }) => node === coordinator.node) ?? coordinator, path)
    }
  }
  throw failure
}
