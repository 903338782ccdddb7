// A thousand groups of ten members, each on a connection of its own, on three nodes: heartbeats, latencies, CPU and memory, in both protocols.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Client, createClient } from '@millrace/client'
import { waitFor } from './cluster-view.ts'
import { ClassicMember } from './heartbeats/classic-member.ts'
import { againWithFiles, fileLimit } from './heartbeats/file-limit.ts'
import { NewerMember } from './heartbeats/newer-member.ts'
import type { RawMember, RawMemberOptions } from './heartbeats/raw-member.ts'
import { Tally } from './heartbeats/tally.ts'
import { cpuMs, descriptors, hasProc, residentBytes } from './proc.ts'
import { ProcessCluster } from './process-cluster.ts'

const USAGE = `npm run e2e:groups -- [--groups 1000] [--members 10] [--seconds 30] [--heartbeat-ms 3000] [--protocol classic|consumer] [--json]
Members of the classic protocol beat every --heartbeat-ms; those of the newer one as the coordinator tells them.`
const { values } = parseArgs({
  options: {
    groups: { type: 'string', default: '1000' },
    members: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '30' },
    'heartbeat-ms': { type: 'string', default: '3000' },
    protocol: { type: 'string', multiple: true, default: ['classic', 'consumer'] },
    'join-seconds': { type: 'string', default: '120' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const TOPIC = 'many-groups'
/** Beside the connections of members. */
const SPARE_FILES = 1_000
const OPEN_AT_ONCE = 100
const SETTLE_MS = 5_000

/** Progress; with --json the report alone goes to standard output. */
function say(text: string): void {
  ;(values.json ? process.stderr : process.stdout).write(`${text}\n`)
}

interface NodeCost {
  readonly node: number
  /** Of one core, in percent. */
  readonly cpu: number
  readonly residentMb: number
  readonly descriptors: number
}

interface Run {
  readonly protocol: string
  readonly members: number
  /** From the first connection until all had their partition, in milliseconds. */
  readonly joinedMs: number
  /** Answered until then. */
  readonly heartbeatsToJoin: number
  readonly heartbeats: number
  readonly perSecond: number
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** In the time that was measured, when all should be quiet. */
  readonly errors: Readonly<Record<string, number>>
  readonly steady: number
  readonly nodes: readonly NodeCost[]
  readonly idle: readonly NodeCost[]
}

async function coordinators(client: Client, groups: readonly string[]): Promise<Map<string, number>> {
  const described = await client.admin.groups.describe(groups)
  return new Map(described.map(({ groupId, coordinator }) => [groupId, coordinator.port]))
}

/** What each node costs over so many seconds. */
async function costs(cluster: ProcessCluster, seconds: number): Promise<NodeCost[]> {
  const look = (pid: number): number => (hasProc ? cpuMs(pid) : Number.NaN)
  const before = cluster.nodes.map(({ pid }) => look(pid))
  const startMs = performance.now()
  await sleep(seconds * 1000)
  const tookMs = performance.now() - startMs
  return cluster.nodes.map(({ id, pid }, at) => ({
    node: id,
    cpu: (100 * (look(pid) - (before[at] as number))) / tookMs,
    residentMb: hasProc ? residentBytes(pid) / 1e6 : Number.NaN,
    descriptors: hasProc ? descriptors(pid) : Number.NaN,
  }))
}

async function openAll(members: readonly RawMember[]): Promise<void> {
  for (let at = 0; at < members.length; at += OPEN_AT_ONCE)
    await Promise.all(members.slice(at, at + OPEN_AT_ONCE).map((member) => member.open()))
}

async function makeMembers(client: Client, protocol: string, tally: Tally): Promise<RawMember[]> {
  const perGroup = Number(values.members)
  const topicId = (await client.admin.describeTopic(TOPIC)).topicId
  const groups = Array.from({ length: Number(values.groups) }, (_, at) => `${protocol}-${at}`)
  const ports = await waitFor('coordinators', 60_000, () => coordinators(client, groups))
  const heartbeatMs = Number(values['heartbeat-ms'])
  return groups.flatMap((groupId) => {
    const port = ports.get(groupId)
    if (port === undefined) throw new Error(`nobody coordinates ${groupId}`)
    const options: RawMemberOptions = { port, groupId, topic: TOPIC, topicId, partitions: perGroup, heartbeatMs, tally }
    const make = (): RawMember => (protocol === 'classic' ? new ClassicMember(options) : new NewerMember(options))
    return Array.from({ length: perGroup }, make)
  })
}

async function run(protocol: string): Promise<Run> {
  const cluster = await ProcessCluster.start(3)
  const client = createClient({ bootstrap: cluster.bootstrap })
  const tally = new Tally()
  let members: RawMember[] = []
  let good = false
  try {
    const seconds = Number(values.seconds)
    await client.admin.createTopic({ name: TOPIC, partitions: Number(values.members), replicationFactor: 3 })
    members = await makeMembers(client, protocol, tally)
    const idle = await costs(cluster, Math.min(5, seconds))
    say(`${protocol}: ${members.length} members connect and join`)
    const joinMs = performance.now()
    await openAll(members)
    await waitFor('all members at work', Number(values['join-seconds']) * 1000, () => {
      if (tally.steady === members.length) return true
      throw new Error(
        `${tally.steady} of ${members.length}, errors ${JSON.stringify(Object.fromEntries(tally.errors))}`,
      )
    })
    const joinedMs = performance.now() - joinMs
    const heartbeatsToJoin = tally.heartbeats
    say(`${protocol}: all have a partition after ${(joinedMs / 1000).toFixed(1)} s and ${heartbeatsToJoin} heartbeats`)
    await sleep(SETTLE_MS)
    tally.reset()
    const nodes = await costs(cluster, seconds)
    const result = resultOf(protocol, tally, {
      members: members.length,
      joinedMs,
      heartbeatsToJoin,
      seconds,
      nodes,
      idle,
    })
    good = result.steady === members.length && Object.keys(result.errors).length === 0
    return result
  } finally {
    for (const member of members) member.close()
    await client.close()
    await cluster.stop(!good)
  }
}

type Measured = Pick<Run, 'members' | 'joinedMs' | 'heartbeatsToJoin' | 'nodes' | 'idle'> & { readonly seconds: number }

function resultOf(protocol: string, tally: Tally, { seconds, ...measured }: Measured): Run {
  const latencyMs = { p50: tally.latencyMs(50), p99: tally.latencyMs(99), max: tally.latencyMs(100) }
  const { heartbeats, steady } = tally
  const errors = Object.fromEntries(tally.errors)
  return { protocol, ...measured, heartbeats, perSecond: heartbeats / seconds, latencyMs, errors, steady }
}

function tell({ protocol, heartbeats, perSecond, latencyMs, errors, steady, members, nodes, idle }: Run): void {
  const { p50, p99, max } = latencyMs
  const wrong = Object.entries(errors).map(([what, count]) => `${what}: ${count}`)
  say(
    [
      `${protocol}: ${heartbeats} heartbeats, ${perSecond.toFixed(0)} a second; latency p50 ${p50} ms, p99 ${p99} ms, worst ${max} ms`,
      `  members at work ${steady} of ${members}; errors ${wrong.join(', ') || 'none'}`,
      '  node  CPU of a core  before   resident  descriptors',
      ...nodes.map(({ node, cpu, residentMb, descriptors }, at) => {
        const [now, before] = [cpu, idle[at]?.cpu ?? 0].map((share) => `${share.toFixed(1)} %`) as [string, string]
        const memory = `${residentMb.toFixed(0)} MB`
        return `  ${String(node).padStart(4)}  ${now.padStart(13)} ${before.padStart(7)} ${memory.padStart(10)} ${String(descriptors).padStart(12)}`
      }),
    ].join('\n'),
  )
}

async function main(): Promise<boolean> {
  const runs: Run[] = []
  for (const protocol of values.protocol) runs.push(await run(protocol))
  say('')
  for (const one of runs) tell(one)
  const good = runs.every(({ steady, members, errors }) => steady === members && Object.keys(errors).length === 0)
  if (values.json) process.stdout.write(`${JSON.stringify({ good, runs })}\n`)
  return good
}

/** The exit code. */
async function start(): Promise<number> {
  if (values.help) {
    say(USAGE)
    return 0
  }
  if (values.protocol.some((name) => name !== 'classic' && name !== 'consumer')) throw new Error(USAGE)
  const needed = Number(values.groups) * Number(values.members) + SPARE_FILES
  if (fileLimit() < needed) {
    const code = againWithFiles(needed)
    if (code !== null) return code
    say(`${needed} open files are needed, ${fileLimit()} are allowed. Raise the hard limit (ulimit -Hn ${needed}), or`)
    say(`take fewer: --groups ${Math.max(1, Math.floor((fileLimit() - SPARE_FILES) / Number(values.members)))}`)
    return 2
  }
  return (await main()) ? 0 : 1
}

process.exitCode = await start()
process.exit()
