// Ten kafkajs consumers that are killed, leave and join at random while records are written: what was read against what was written, and why and how
// long the group stood still each time.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { toldOtherwise } from './members/rebalance-lines.ts'
import { median } from './members/pauses.ts'
import { GroupStage, type Outcome, outcomeLines } from './members/stage.ts'
import { rebalanceLines, type ToldRebalance, toldRebalances, worstPause } from './members/told-rebalances.ts'
import { ProcessCluster } from './process-cluster.ts'

const USAGE = `npm run e2e:rebalance -- [--seconds 180] [--members 10] [--partitions 30] [--rate 600] [--seed N] [--json]`
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '180' },
    members: { type: 'string', default: '10' },
    partitions: { type: 'string', default: '30' },
    rate: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** Progress; with --json the report alone goes to standard output. */
function say(text: string): void {
  ;(values.json ? process.stderr : process.stdout).write(`${text}\n`)
}

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Done {
  readonly atMs: number
  readonly what: string
}

/** Kills, leaves and joins until the time is over; the group is never larger than two above what it began with, nor smaller than half. */
async function disturb(stage: GroupStage, seconds: number): Promise<Done[]> {
  const chance = chanceOf(Number(values.seed))
  const wanted = Number(values.members)
  const done: Done[] = []
  const endMs = Date.now() + seconds * 1000
  const note = (what: string): void => {
    done.push({ atMs: Date.now(), what })
    say(`${new Date().toISOString().slice(11, 19)} ${what}, ${stage.crowd.running.length} members run`)
  }
  for (;;) {
    await sleep(2_000 + chance() * 8_000)
    if (Date.now() >= endMs) return done
    const { running } = stage.crowd
    const victim = running[Math.floor(chance() * running.length)]
    const dice = chance()
    const mayEnd = running.length > Math.max(1, wanted / 2)
    if (victim !== undefined && mayEnd && dice < 0.35) {
      await victim.kill()
      note(`${victim.clientId} is killed`)
    } else if (victim !== undefined && mayEnd && dice < 0.5) {
      await victim.leave()
      note(`${victim.clientId} leaves`)
    } else if (running.length < wanted + 2) note(`${stage.crowd.join().clientId} joins`)
  }
}

function report(rebalances: readonly ToldRebalance[], outcome: Outcome): void {
  const worsts = rebalances.map(worstPause)
  say(
    [
      '',
      ...rebalanceLines(rebalances),
      '',
      `rebalances   ${rebalances.length}, without a cause ${rebalances.filter(({ causes }) => causes.length === 0).length}`,
      `pause        of the member that stood still longest: median ${median(worsts)} ms, worst ${Math.max(0, ...worsts)} ms`,
      ...outcomeLines(outcome),
    ].join('\n'),
  )
}

async function main(): Promise<boolean> {
  const [seconds = 0, members = 0, partitions = 0, rate = 0] = [
    values.seconds,
    values.members,
    values.partitions,
    values.rate,
  ].map(Number)
  say(`three processes, ${members} kafkajs consumers, ${rate} records a second, ${seconds} s, seed ${values.seed}`)
  const cluster = await ProcessCluster.start(3)
  const stage = new GroupStage(cluster, { client: 'kafkajs', partitions, rate, members })
  let good = false
  try {
    await stage.begin(cluster.bootstrap)
    say('all members read')
    const fromMs = Date.now()
    const done = await disturb(stage, seconds)
    const untilMs = Date.now()
    say('the writer stops; the members read to the end')
    const outcome = await stage.finish()
    const rebalances = toldRebalances(cluster, stage, { startedMs: fromMs, endedMs: untilMs })
    const silent = rebalances.filter(({ causes }) => causes.length === 0)
    const otherwise = await toldOtherwise(cluster, await stage.coordinator(), stage.group)
    good = outcome.good && silent.length === 0 && otherwise.length === 0
    report(rebalances, outcome)
    for (const line of otherwise) say(`WRONG        ${line}`)
    if (values.json)
      process.stdout.write(`${JSON.stringify({ good, seed: Number(values.seed), done, rebalances, outcome })}\n`)
  } finally {
    await stage.stop()
    await cluster.stop(!good)
  }
  return good
}

if (values.help) say(USAGE)
else process.exitCode = (await main()) ? 0 : 1
process.exit()
