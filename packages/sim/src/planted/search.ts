import { readFileSync } from 'node:fs'
import { runOneAfterAnother } from '../run/jobs.ts'
import type { RunReport } from '../run/report.ts'
import { PLANTED_BUGS, type PlantedBug } from './bugs.ts'
import { patched } from './patched.ts'

/** How a bug fared. */
export interface Finding {
  readonly bug: string
  /** What caught it; null when no seed did. */
  readonly invariant: string | null
  readonly seed: number
  /** Seeds that ran, the one that found it included. */
  readonly seeds: number
  /** Without the bug the same seed breaks nothing: it was the bug that was found. */
  readonly passesWithout: boolean
  readonly realMs: number
}

export interface SearchOptions {
  readonly first: number
  readonly mostSeeds: number
  readonly jobs: number
  /** Part of a name; empty: all. */
  readonly only: string
  readonly tell: (finding: Finding) => void
}

/** Bugs of which every patch applies to the source as it is; throws with all that do not. */
export function applicableBugs(only: string): readonly PlantedBug[] {
  const bugs = PLANTED_BUGS.filter(({ name }) => name.includes(only))
  const problems = bugs.flatMap((bug) => problemsOf(bug))
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return bugs
}

function problemsOf({ name, patches }: PlantedBug): string[] {
  return patches.flatMap((patch) => {
    const source = readFileSync(new URL(`../../../${patch.file}`, import.meta.url), 'utf8')
    try {
      patched(source, [patch])
      return []
    } catch (error) {
      return [`${name}: ${(error as Error).message}`]
    }
  })
}

/** Looks for every bug with the same seeds, several bugs at a time, each in one process, so that the figures repeat. */
export async function searchPlanted(options: SearchOptions): Promise<readonly Finding[]> {
  const bugs = [...applicableBugs(options.only)]
  const findings: Finding[] = []
  const work = async (): Promise<void> => {
    for (let bug = bugs.shift(); bug !== undefined; bug = bugs.shift()) {
      const finding = await searchOne(bug, options)
      findings.push(finding)
      options.tell(finding)
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
  return findings
}

async function searchOne({ name }: PlantedBug, { first, mostSeeds }: SearchOptions): Promise<Finding> {
  let found: RunReport | null = null
  let seeds = 0
  let realMs = 0
  const next = (): number | null => (found === null && seeds < mostSeeds ? first + seeds++ : null)
  const done = (report: RunReport): void => {
    realMs += report.realMs
    if (report.violation !== null) found = report
  }
  await runOneAfterAnother(next, done, name)
  const report = found as RunReport | null
  if (report === null) return { bug: name, invariant: null, seed: -1, seeds, passesWithout: false, realMs }
  const passesWithout = await passes(report.seed)
  return { bug: name, invariant: report.violation?.invariant ?? null, seed: report.seed, seeds, passesWithout, realMs }
}

async function passes(seed: number): Promise<boolean> {
  const seeds = [seed]
  let violated = true
  await runOneAfterAnother(
    () => seeds.pop() ?? null,
    (report) => void (violated = report.violation !== null),
  )
  return !violated
}
