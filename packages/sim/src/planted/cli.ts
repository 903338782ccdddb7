// `npm run sim:planted`: the tester tested. Every planted bug must be found.
import { parseArgs } from 'node:util'
import type { PlantedBug } from './bug.ts'
import { applicableBugs, type Finding, searchPlanted } from './search.ts'

/** More in the median, and the plans have lost their bite. */
const MEDIAN_SEEDS = 50

const USAGE = `Breaks rules of the product one by one, by patches of its source as it is loaded, and tells which seed and invariant found each.

  npm run sim:planted                     all bugs, each with the seeds 1 to 1000 until one finds it
  npm run sim:planted -- --only leader    those with this in their names
  npm run sim:planted -- --list           their names

  --first N   the first seed; 1 unless given
  --seeds N   seeds for each bug at most; 1000 unless given
  --jobs N    processes; 2 unless given
  --json      a line of JSON for each bug, and one for the summary
`

const { values } = parseArgs({
  options: {
    first: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    jobs: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

process.exitCode = (await main()) ? 0 : 1

async function main(): Promise<boolean> {
  if (values.help) {
    process.stdout.write(USAGE)
    return true
  }
  const bugs = applicableBugs(values.only)
  if (values.list) {
    process.stdout.write(bugs.map(({ name }) => `${name}\n`).join(''))
    return true
  }
  return search(bugs)
}

async function search(bugs: readonly PlantedBug[]): Promise<boolean> {
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
