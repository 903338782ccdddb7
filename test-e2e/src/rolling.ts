// Restarts three brokers one after the other under a group of ten consumers and 900 partitions, then adds ten more: pauses, and what was lost or reset.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from './cluster-view.ts'
import type { MemberClient } from './members/member.ts'
import { longestWithin, median, type Span } from './members/pauses.ts'
import { GroupStage, type Outcome, outcomeLines } from './members/stage.ts'
import { rebalanceLines, type ToldRebalance, toldRebalances, worstPause } from './members/told-rebalances.ts'
import { apacheKafka, MILLRACE } from './node-program.ts'
import { ProcessCluster } from './process-cluster.ts'

const USAGE = `npm run e2e:rolling -- [--client kafkajs|platformatic] [--members 10] [--add 10] [--partitions 900] [--rate 200] [--json] [--kafka]
kafkajs speaks the classic protocol of groups, platformatic the newer one (KIP-848); without --client both have their turn. --kafka runs Apache Kafka in our place
(needs Java and KAFKA_LIBS=<folder of its jars>); it does not tell of rebalances, only members do.`
const { values } = parseArgs({
  options: {
    client: { type: 'string', multiple: true, default: ['kafkajs', 'platformatic'] },
    members: { type: 'string', default: '10' },
    add: { type: 'string', default: '10' },
    partitions: { type: 'string', default: '900' },
    rate: { type: 'string', default: '200' },
    kafka: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const REST_MS = 3_000
const PATIENCE_MS = 120_000

/** Progress; with --json the report alone goes to standard output. */
function say(text: string): void {
  ;(values.json ? process.stderr : process.stdout).write(`${text}\n`)
}

interface Step {
  readonly what: string
  /** From the first act until everything was at rest again. */
  readonly span: Span
  readonly rebalances: readonly ToldRebalance[]
  /** The longest of each member in the whole span, in milliseconds. */
  readonly pausesMs: readonly number[]
}

async function step(cluster: ProcessCluster, stage: GroupStage, what: string, act: () => Promise<void>): Promise<Step> {
  const startedMs = Date.now()
  await act()
  await stage.settled()
  const span = { startedMs, endedMs: Date.now() }
  // Rebalances and pauses that begin late belong to their cause.
  await sleep(REST_MS)
  stage.crowd.refresh()
  const wide = { startedMs, endedMs: span.endedMs + REST_MS }
  const rebalances = toldRebalances(cluster, stage, wide)
  const pausesMs = stage.pausesOver(span).map((pauses) => longestWithin(pauses, wide))
  const numbers = `pause of a member: median ${median(pausesMs)} ms, worst ${Math.max(0, ...pausesMs)} ms`
  say(`${what}: at rest after ${span.endedMs - startedMs} ms, ${rebalances.length} rebalances, ${numbers}`)
  for (const line of rebalances.length > 0 ? rebalanceLines(rebalances) : []) say(`  ${line}`)
  return { what, span, rebalances, pausesMs }
}

async function restart(cluster: ProcessCluster, stage: GroupStage, id: number): Promise<void> {
  const node = cluster.node(id)
  await node.kill('SIGTERM')
  node.start()
  await node.listening(PATIENCE_MS)
  await waitFor('all replicas in sync', PATIENCE_MS, async () => {
    const { partitions } = await stage.client.admin.describeTopic(stage.topic)
    return partitions.every(({ isr }) => isr.length === cluster.nodes.length) ? true : null
  })
}

interface Run {
  readonly client: string
  readonly steps: readonly Step[]
  readonly outcome: Outcome
}

async function run(client: MemberClient): Promise<Run> {
  const [members = 0, add = 0, partitions = 0, rate = 0] = [
    values.members,
    values.add,
    values.partitions,
    values.rate,
  ].map(Number)
  say(`\n${client}: three processes, ${members} members, ${partitions} partitions, ${rate} records a second`)
  const cluster = await ProcessCluster.start(3, [], values.kafka ? apacheKafka() : MILLRACE)
  const stage = new GroupStage(cluster, { client, partitions, rate, members })
  let good = false
  try {
    await stage.begin(cluster.bootstrap)
    await sleep(REST_MS)
    say('all members read')
    const steps: Step[] = []
    for (const { id } of cluster.nodes)
      steps.push(await step(cluster, stage, `restart of node ${id}`, () => restart(cluster, stage, id)))
    const adding = async (): Promise<void> => {
      for (let at = 0; at < add; at++) stage.crowd.join()
    }
    if (add > 0) steps.push(await step(cluster, stage, `${add} members more`, adding))
    const outcome = await stage.finish()
    good = outcome.good
    say(outcomeLines(outcome).join('\n'))
    return { client, steps, outcome }
  } finally {
    await stage.stop()
    await cluster.stop(!good)
  }
}

function summary({ client, steps }: Run): void {
  const rebalances = steps.flatMap((one) => one.rebalances)
  const worsts = rebalances.map(worstPause)
  const told = `median ${median(worsts)} ms, worst ${Math.max(0, ...worsts)} ms`
  say(`${client}: ${rebalances.length} rebalances, pause of the member that stood still longest: ${told}`)
}

async function main(): Promise<boolean> {
  const clients = values.client.filter((name): name is MemberClient => name === 'kafkajs' || name === 'platformatic')
  if (clients.length !== values.client.length) throw new Error(USAGE)
  const runs: Run[] = []
  for (const client of clients) runs.push(await run(client))
  say('')
  for (const one of runs) summary(one)
  const good = runs.every(({ outcome }) => outcome.good)
  if (values.json) process.stdout.write(`${JSON.stringify({ good, runs })}\n`)
  return good
}

if (values.help) say(USAGE)
else process.exitCode = (await main()) ? 0 : 1
process.exit()
