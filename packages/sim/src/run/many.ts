import { randomInt } from 'node:crypto'
import { runJobs } from './jobs.ts'
import { addReport, newSummary, printSummary, type RunReport, type Summary } from './report.ts'

/** Which seeds, for how long, on how many processes. */
export interface ManyOptions {
  /** Null: drawn afresh, and printed. */
  readonly first: number | null
  readonly count: number
  /** No seed begins after this time; null: all of `count`. */
  readonly seconds: number | null
  readonly jobs: number
  readonly json?: boolean
}

/** Of 100 runs so many may have nothing acknowledged; more means that the simulation tests nothing. */
const IDLE_PERCENT = 20

/** After so many failures another one tells nothing new. */
const MANY_FAILURES = 25

/** Runs seeds and prints what came out; true when no invariant broke. */
export async function runMany(options: ManyOptions): Promise<boolean> {
  const summary = newSummary()
  const started = Date.now()
  const next = seedsOf(options)
  if (options.json !== true) process.stdout.write(`seeds from ${next.first}, node ${process.version}\n`)
  const draw = (): number | null => (summary.failures.length < MANY_FAILURES ? next.seed() : null)
  await runJobs(options.jobs, draw, (report) => {
    addReport(summary, report)
    if (options.json === true) process.stdout.write(`${JSON.stringify({ ...report, story: undefined })}\n`)
    else tell(report, summary, started)
  })
  const idle = summary.idle * 100 > summary.runs * IDLE_PERCENT && summary.runs >= 10
  if (options.json === true) process.stdout.write(`${JSON.stringify(plainSummary(summary))}\n`)
  else {
    const seconds = ((Date.now() - started) / 1000).toFixed(1)
    process.stdout.write(`\n${printSummary(summary)}\n${seconds} s on ${options.jobs} processes\n`)
    for (const { seed, violation } of summary.failures)
      process.stdout.write(`FAILED npm run sim -- --seed ${seed}   ${violation?.invariant}\n`)
    if (idle) process.stdout.write('Too many runs acknowledged nothing: the simulation tests too little.\n')
  }
  return summary.failures.length === 0 && !idle
}

/** The seeds in their order, and the first of them. */
export function seedsOf({ first, count, seconds }: ManyOptions): { first: number; seed: () => number | null } {
  const from = first ?? randomInt(1, 2 ** 40)
  const until = seconds === null ? Infinity : Date.now() + seconds * 1000
  let given = 0
  return { first: from, seed: () => (given < count && Date.now() < until ? from + given++ : null) }
}

function tell(report: RunReport, summary: Summary, started: number): void {
  const { seed, violation } = report
  if (violation !== null)
    process.stdout.write(
      `\nseed ${seed}: ${violation.invariant} at ${(violation.atUs / 1e6).toFixed(6)} s (event ${violation.event})\n  ${violation.detail}\n  npm run sim -- --seed ${seed}\n`,
    )
  else if (summary.runs % 10 === 0) {
    const seconds = (Date.now() - started) / 1000
    process.stdout.write(
      `${summary.runs} seeds, ${summary.failures.length} failed, ${(summary.runs / seconds).toFixed(2)} seeds/s\n`,
    )
  }
}

function plainSummary(summary: Summary): object {
  return {
    ...summary,
    faults: Object.fromEntries(summary.faults),
    paths: Object.fromEntries(summary.paths),
    failures: summary.failures.map(({ seed, violation }) => ({ seed, violation })),
  }
}
