// `npm run sim:planted`: the tester tested. Every planted bug must be found.
import { parseArgs } from 'node:util'
import { applicableBugs, type Finding, searchPlanted } from './search.ts'

/** More in the median, and the plans have lost their bite. */
const MEDIAN_SEEDS = 50

const { values } = parseArgs({
  options: {
    first: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    jobs: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

process.exitCode = (await main()) ? 0 : 1

async function main(): Promise<boolean> {
  const bugs = applicableBugs(values.only)
  if (values.list) {
    process.stdout.write(bugs.map(({ name }) => `${name}\n`).join(''))
    return true
  }
  const width = Math.max(...bugs.map(({ name }) => name.length))
  const started = Date.now()
  const findings = await searchPlanted({
    first: Number(values.first),
    mostSeeds: Number(values.seeds),
    jobs: Number(values.jobs),
    only: values.only,
    tell: (finding) => say(finding, row(finding, width)),
    progress: (bug, seeds) => values.json || process.stdout.write(`${bug.padEnd(width)}  ... ${seeds} seeds\n`),
  })
  const summary = summaryOf(findings, Date.now() - started)
  say(summary, `\n${summary.found} of ${summary.planted} found, ${seedsText(summary)}; ${minutesText(summary)}`)
  return summary.found === summary.planted && summary.median <= MEDIAN_SEEDS
}

/** An object for programs, or its line for people. */
function say(object: object, line: string): void {
  process.stdout.write(values.json ? `${JSON.stringify(object)}\n` : `${line}\n`)
}

function row({ bug, invariant, seeds, seed, realMs }: Finding, width: number): string {
  const seconds = `${(realMs / 1000).toFixed(1)} s`.padStart(8)
  if (invariant === null) return `${bug.padEnd(width)}  NOT FOUND in ${seeds} seeds ${seconds}`
  return `${bug.padEnd(width)}  ${invariant.padEnd(24)} ${String(seeds).padStart(4)} seeds  seed ${seed} ${seconds}`
}

interface Summary {
  readonly planted: number
  readonly found: number
  /** Of the seeds that the found ones took. */
  readonly median: number
  readonly most: number
  readonly tookMs: number
}

function summaryOf(findings: readonly Finding[], tookMs: number): Summary {
  const found = findings.filter(({ invariant }) => invariant !== null)
  const seeds = found.map((finding) => finding.seeds).sort((a, b) => a - b)
  const median = seeds[Math.floor((seeds.length - 1) / 2)] ?? 0
  return { planted: findings.length, found: found.length, median, most: seeds.at(-1) ?? 0, tookMs }
}

function seedsText({ median, most }: Summary): string {
  return `median ${median} seeds, most ${most}`
}

function minutesText({ tookMs }: Summary): string {
  return `${(tookMs / 60_000).toFixed(1)} minutes`
}
