// `npm run sim:planted`: the tester tested. Every planted bug must be found.
import { parseArgs } from 'node:util'
import { applicableBugs, type Finding, searchPlanted } from './search.ts'

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
    tell: (finding) => process.stdout.write(values.json ? `${JSON.stringify(finding)}\n` : `${row(finding, width)}\n`),
  })
  if (!values.json) process.stdout.write(summary(findings, Date.now() - started))
  return findings.every(isFound)
}

function isFound({ invariant, passesWithout }: Finding): boolean {
  // A process that ends or hangs shows that the patch is broken, not that an invariant caught it.
  return invariant !== null && invariant !== 'run-ended' && passesWithout
}

function row(finding: Finding, width: number): string {
  const { bug, invariant, seeds, seed, passesWithout, realMs } = finding
  const seconds = `${(realMs / 1000).toFixed(1)} s`.padStart(8)
  if (invariant === null) return `${bug.padEnd(width)}  NOT FOUND in ${seeds} seeds ${seconds}`
  const doubt = passesWithout ? '' : '  BUT the seed fails without the bug too'
  return `${bug.padEnd(width)}  ${invariant.padEnd(28)} ${String(seeds).padStart(4)} seeds  seed ${seed} ${seconds}${doubt}`
}

function summary(findings: readonly Finding[], tookMs: number): string {
  const found = findings.filter(isFound)
  const seeds = found.map((finding) => finding.seeds).sort((a, b) => a - b)
  const median = seeds[Math.floor((seeds.length - 1) / 2)] ?? 0
  const minutes = (tookMs / 60_000).toFixed(1)
  return `\n${found.length} of ${findings.length} found, median ${median} seeds, most ${seeds.at(-1) ?? 0}; ${minutes} minutes\n`
}
