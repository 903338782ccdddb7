import { seedsOf } from '../run/many.ts'
import { Storm } from './raft/storm.ts'
import { runGroup } from './replication/run.ts'

/** Which seeds of the cores, for how long. */
export interface CoresOptions {
  /** Null: drawn afresh, and printed. */
  readonly first: number | null
  readonly count: number
  /** No seed begins after this time; null: all of `count`. */
  readonly seconds: number | null
  readonly json: boolean
}

/** Runs a seed of one core and answers with the number of its events; throws at a violation. */
export type Core = (seed: number, trace?: (line: string) => void) => number

interface CoreFailure {
  readonly core: string
  readonly seed: number
  readonly violation: string
}

/** What came out of one core. */
interface CoreSummary {
  readonly core: string
  seeds: number
  events: number
  /** Processor time: what else the machine does is not counted. */
  cpuSeconds: number
  readonly failures: CoreFailure[]
}

export const CORES: Readonly<Record<string, Core>> = {
  raft: (seed, trace) => new Storm({ seed, ...(trace && { trace }) }).run().events,
  replication: (seed, trace) => runGroup({ ...kindOf(seed), seed, ...(trace && { trace }) }).events,
}

/** After so many failures of a core another one tells nothing new. */
const MANY_FAILURES = 10

/** What a partition promises differs from seed to seed. */
function kindOf(seed: number): { flushMode: 'fsync' | 'pagecache'; unclean: boolean } {
  return { flushMode: seed % 2 === 0 ? 'fsync' : 'pagecache', unclean: seed % 5 === 0 }
}

/** `npm run sim -- --cores`: each seed through each core. Prints what came out; true when no invariant broke. */
export function runCores(options: CoresOptions, say: (line: string) => void = print, cores = CORES): boolean {
  const next = seedsOf({ ...options, jobs: 1 })
  if (!options.json) say(`the cores alone, seeds from ${next.first}, node ${process.version}`)
  const summaries = Object.keys(cores).map((core): CoreSummary => {
    return { core, seeds: 0, events: 0, cpuSeconds: 0, failures: [] }
  })
  for (let seed = next.seed(); seed !== null; seed = next.seed())
    for (const summary of summaries) {
      const failure = summary.failures.length < MANY_FAILURES ? run(cores[summary.core] as Core, seed, summary) : null
      if (failure === null) continue
      summary.failures.push(failure)
      say(
        options.json
          ? JSON.stringify(failure)
          : `\n${summary.core}, seed ${seed}: ${failure.violation}\n  npm run sim -- --cores --seed ${seed}`,
      )
    }
  if (options.json) say(JSON.stringify(summaries.map((summary) => ({ ...summary, eventsPerSecond: rateOf(summary) }))))
  else summaries.forEach((summary) => say(lineOf(summary)))
  return summaries.every(({ failures }) => failures.length === 0)
}

function run(core: Core, seed: number, summary: CoreSummary): CoreFailure | null {
  const before = process.cpuUsage()
  try {
    summary.events += core(seed)
    return null
  } catch (error) {
    return { core: summary.core, seed, violation: messageOf(error) }
  } finally {
    const { user, system } = process.cpuUsage(before)
    summary.cpuSeconds += (user + system) / 1e6
    summary.seeds++
  }
}

/** One seed through each core; of one that fails, the last lines of its story. */
export function tellCores(seed: number, lines: number, say: (line: string) => void = print, cores = CORES): boolean {
  let good = true
  for (const [name, core] of Object.entries(cores)) {
    let story: string[] = []
    try {
      const events = core(seed, (line) => {
        if (story.push(line) > 2 * lines) story = story.slice(lines)
      })
      say(`${name}, seed ${seed}: ${events} events, nothing broke`)
    } catch (error) {
      good = false
      story.slice(Math.max(0, story.length - lines)).forEach(say)
      say(`${name}, seed ${seed}: ${messageOf(error)}`)
    }
  }
  return good
}

function rateOf({ events, cpuSeconds }: CoreSummary): number {
  return cpuSeconds === 0 ? 0 : Math.round(events / cpuSeconds)
}

function lineOf(summary: CoreSummary): string {
  const { core, seeds, events, failures } = summary
  const [many, all, rate] = [seeds, events, rateOf(summary)].map((value) => value.toLocaleString('en'))
  return `${core}: ${many} seeds, ${all} events, ${rate} events per second of one processor, ${failures.length} violations`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
