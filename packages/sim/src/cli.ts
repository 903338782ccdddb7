// `npm run sim`: seeds by the thousand, one seed with its story, a failure reduced to its cause.
import { parseArgs } from 'node:util'
import { runCores, tellCores } from './cores/run-cores.ts'
import { repeatTwice } from './run/determinism.ts'
import { checkGolden, writeGolden } from './run/golden.ts'
import { runMany } from './run/many.ts'
import { shrinkSeed, tellPlanFile, tellSeed } from './run/one.ts'

const USAGE = `Runs whole clusters of Millrace on virtual time, under faults drawn from a seed.

  npm run sim -- --seeds 1000             fresh random seeds, in two processes
  npm run sim -- --seeds 100 --first 1    the seeds 1 to 100
  npm run sim -- --seconds 120            fresh seeds for so long
  npm run sim -- --seed 42                one seed, with its story
  npm run sim -- --seed 42 --shrink       the smallest plan that breaks the same invariant, as JSON in a file
  npm run sim -- --plan FILE              a plan that --shrink wrote, with its story
  npm run sim -- --cores                  consensus and replication alone, for 20 seconds; --seeds, --seconds, --first and --seed as above
  npm run sim -- --golden                 the digests of packages/sim/golden.json once more

  --jobs N              processes; 2 unless given
  --json                a line of JSON for each seed, and one for the summary
  --check-determinism   every seed twice, in two processes; the digests must be equal
  --lines N             with --seed and --plan: how many lines of the story; 60 unless given
  --write               with --golden: keeps the digests as they are now
`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    first: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    plan: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    lines: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    golden: { type: 'boolean', default: false },
    cores: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    'check-determinism': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

process.exitCode = (await main()) ? 0 : 1

async function main(): Promise<boolean> {
  const lines = number('lines', values.lines)
  const jobs = number('jobs', values.jobs)
  if (values.help) return say(USAGE)
  if (values.golden) return values.write ? writeGolden() : checkGolden()
  if (values.plan !== undefined) return tellPlanFile(values.plan, lines)
  if (values.seed !== undefined) {
    const seed = number('seed', values.seed)
    if (values.cores) return tellCores(seed, lines)
    return values.shrink ? shrinkSeed(seed) : tellSeed(seed, lines)
  }
  const first = values.first === undefined ? null : number('first', values.first)
  const seconds = values.seconds === undefined ? null : number('seconds', values.seconds)
  if (values.cores) {
    const count = values.seeds === undefined ? Infinity : number('seeds', values.seeds)
    return runCores({ first, count, seconds: seconds ?? (count === Infinity ? 20 : null), json: values.json })
  }
  const count = values.seeds === undefined ? (seconds === null ? 100 : Infinity) : number('seeds', values.seeds)
  if (values['check-determinism']) return repeatTwice({ first, count, seconds, jobs })
  return runMany({ first, count, seconds, jobs, json: values.json })
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`--${name} ${text}: a whole number is wanted\n`)
    process.exit(2)
  }
  return value
}

function say(text: string): boolean {
  process.stdout.write(text)
  return true
}
