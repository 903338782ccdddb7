import { runJobs } from './jobs.ts'
import { type ManyOptions, seedsOf } from './many.ts'

/** Runs every seed in two processes and holds the digests against each other; prints them, true when all are equal. */
export async function repeatTwice(options: ManyOptions): Promise<boolean> {
  const next = seedsOf(options)
  const digests = new Map<number, string[]>()
  const again: number[] = []
  let different = 0
  const draw = (): number | null => {
    const repeated = again.shift()
    if (repeated !== undefined) return repeated
    const seed = next.seed()
    if (seed !== null) again.push(seed)
    return seed
  }
  await runJobs(options.jobs, draw, ({ seed, digest, violation }) => {
    const both = [...(digests.get(seed) ?? []), `${digest} ${violation?.invariant ?? 'good'}`]
    digests.set(seed, both)
    if (both.length < 2) return
    const equal = both[0] === both[1]
    if (!equal) different++
    process.stdout.write(`seed ${seed}: ${both[0]}${equal ? '' : ` and then ${both[1]}: NOT DETERMINISTIC`}\n`)
  })
  process.stdout.write(`${digests.size} seeds twice, ${different} of them different\n`)
  return different === 0
}
