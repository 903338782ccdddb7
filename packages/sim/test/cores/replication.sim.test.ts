import { describe, expect, it } from 'vitest'
import type { GroupOptions, GroupResult } from '../../src/cores/replication/group.ts'
import { PLANTED, PROVOKED } from '../../src/cores/replication/planted.ts'
import { runGroup } from '../../src/cores/replication/run.ts'

/** Begin elsewhere with MILLRACE_SEED=12345; run longer with MILLRACE_SEEDS=100000. */
const FIRST_SEED = Number(process.env['MILLRACE_SEED'] ?? '1')
const SEEDS = Number(process.env['MILLRACE_SEEDS'] ?? '0')

type Kind = Omit<GroupOptions, 'seed'>

/** The seed is in the message, and running it again with a trace tells the whole story. */
function runSeed(seed: number, kind: Kind): GroupResult {
  try {
    return runGroup({ ...kind, seed })
  } catch (error) {
    const what = `seed ${seed}, ${kind.flushMode}${kind.unclean === true ? ', unclean elections' : ''}: ${String(error)}`
    throw new Error(`${what}\n${lastLines(seed, kind)}`, { cause: error })
  }
}

function lastLines(seed: number, kind: Kind): string {
  const lines: string[] = []
  try {
    runGroup({ ...kind, seed, trace: (line) => lines.push(line) })
  } catch {
    // It fails again, as it should.
  }
  return lines.slice(-40).join('\n')
}

function runSeeds(seeds: number, kind: Kind): GroupResult {
  const total = { events: 0, committed: 0, acked: 0, elections: 0, truncations: 0, uncleanElections: 0 }
  const many = SEEDS === 0 ? seeds : SEEDS
  for (let seed = FIRST_SEED; seed < FIRST_SEED + many; seed++) {
    const result = runSeed(seed, kind)
    for (const key of Object.keys(total) as (keyof GroupResult)[]) total[key] += result[key]
  }
  process.stdout.write(
    `seeds ${FIRST_SEED} to ${FIRST_SEED + many - 1}, ${JSON.stringify(kind)}: ${JSON.stringify(total)}\n`,
  )
  return total
}

const LIMIT_MS = 60_000 + SEEDS * 100

describe('a partition group, whatever happens to it', () => {
  it(
    'loses nothing it committed when acks mean on disk, and agrees in the end',
    () => {
      const total = runSeeds(200, { flushMode: 'fsync' })
      expect(total.acked).toBeGreaterThan(0)
      expect(total.truncations).toBeGreaterThan(0)
      expect(total.elections).toBeGreaterThan(0)
    },
    LIMIT_MS,
  )

  it(
    'loses nothing it committed when acks mean in the page cache and unclean restarts leave the ELR',
    () => {
      const total = runSeeds(150, { flushMode: 'pagecache' })
      expect(total.acked).toBeGreaterThan(0)
      expect(total.truncations).toBeGreaterThan(0)
    },
    LIMIT_MS,
  )

  it(
    'agrees in the end after unclean elections, and keeps what was committed since',
    () => {
      const total = runSeeds(80, { flushMode: 'fsync', unclean: true })
      runSeeds(60, { flushMode: 'pagecache', unclean: true })
      expect(total.uncleanElections).toBeGreaterThan(0)
    },
    LIMIT_MS,
  )

  it('is the same story each time it is told', () => {
    const tell = (): string[] => {
      const lines: string[] = []
      runGroup({ seed: FIRST_SEED, flushMode: 'fsync', trace: (line) => lines.push(line) })
      return lines
    }
    expect(tell()).toEqual(tell())
  })
})

describe('the simulation finds a machine', () => {
  it.each(Object.keys(PLANTED).map((name) => ({ name })))(
    'in which $name',
    ({ name }) => {
      const create = PLANTED[name]
      expect(create).toBeDefined()
      expect(firstCaught(create as Required<GroupOptions>['create'], PROVOKED[name] ?? {})).not.toBeNull()
    },
    LIMIT_MS,
  )
})

/** The first seed at which a planted bug shows; null when a thousand do not find it. */
function firstCaught(
  create: Required<GroupOptions>['create'],
  faults: Required<GroupOptions>['faults'],
): number | null {
  for (let seed = 1; seed <= 1000; seed++)
    for (const flushMode of ['fsync', 'pagecache'] as const)
      try {
        runGroup({ seed, flushMode, create, faults })
      } catch {
        return seed
      }
  return null
}
