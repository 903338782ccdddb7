import { readFileSync, writeFileSync } from 'node:fs'
import { runSeed } from './run.ts'

interface Golden {
  /** The exact version that the digests were made with. */
  readonly node: string
  readonly digests: Readonly<Record<string, string>>
}

const FILE = new URL('../../golden.json', import.meta.url)
const SEEDS: readonly number[] = [1, 2, 3, 4]

/** Holds the digests of a few seeds against those that are kept with the code; under another Node they are only told. */
export async function checkGolden(): Promise<boolean> {
  const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Golden
  if (golden.node !== process.version) {
    process.stdout.write(`golden digests are of Node ${golden.node}, this is ${process.version}: not compared\n`)
    return true
  }
  let good = true
  for (const [seed, expected] of Object.entries(golden.digests)) {
    const { digest } = await runSeed(Number(seed))
    const equal = digest === expected
    good = equal && good
    process.stdout.write(`seed ${seed}: ${digest}${equal ? '' : `, kept is ${expected}`}\n`)
  }
  if (!good)
    process.stdout.write('A change of what nodes do changes digests: after one, npm run sim -- --golden --write\n')
  return good
}

/** Keeps the digests of today's code. */
export async function writeGolden(): Promise<boolean> {
  const digests: Record<string, string> = {}
  for (const seed of SEEDS) digests[seed] = (await runSeed(seed)).digest
  writeFileSync(FILE, `${JSON.stringify({ node: process.version, digests }, null, 2)}\n`)
  process.stdout.write(`kept ${SEEDS.length} digests\n`)
  return true
}
