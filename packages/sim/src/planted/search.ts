import { readFileSync } from 'node:fs'
import { runOneAfterAnother } from '../run/jobs.ts'
import type { PlantedBug } from './bug.ts'
import { PLANTED_BUGS } from './bugs.ts'
import { patched } from './patched.ts'
import { SeedSearch } from './seed-search.ts'

/** How a bug fared. */
export interface Finding {
  readonly bug: string
  /** What caught it, in a run that breaks nothing without the bug; null when no seed did. */
  readonly invariant: string | null
  /** -1 for none. */
  readonly seed: number
  /** Seeds that it took, the one that found it included. */
  readonly seeds: number
  readonly realMs: number
}

export interface SearchOptions {
  readonly first: number
  readonly mostSeeds: number
  readonly jobs: number
  /** Part of a name; empty: all. */
  readonly only: string
  /** Told of each bug when it is found or given up. */
  readonly tell: (finding: Finding) => void
  /** Told now and then of a bug that takes long. */
  readonly progress: (bug: string, seeds: number) => void
}

/** So many seeds without a catch are worth a word. */
const WORD_SEEDS = 50

/** Bugs of which every patch applies to the source as it is; throws with all that do not. */
export function applicableBugs(only: string): readonly PlantedBug[] {
  const bugs = PLANTED_BUGS.filter(({ name }) => name.includes(only))
  const problems = bugs.flatMap((bug) => problemsOf(bug))
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return bugs
}

/** A file as the bug leaves it, with the file's path below `packages/`. */
export function patchedFiles({ patches }: PlantedBug): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const { file } of patches) {
    const source = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
    files.set(
      file,
      patched(
        source,
        patches.filter((patch) => patch.file === file),
      ),
    )
  }
  return files
}

function problemsOf(bug: PlantedBug): string[] {
  try {
    patchedFiles(bug)
    return []
  } catch (error) {
    return [`${bug.name}: ${(error as Error).message}`]
  }
}

/** Looks for every bug with the same seeds in their order; processes that have no bug of their own left help with the others'. */
export async function searchPlanted(options: SearchOptions): Promise<readonly Finding[]> {
  return new Search(options).run()
}

class Search {
  private readonly options: SearchOptions
  private readonly searches: readonly SeedSearch[]
  private readonly findings: Finding[] = []
  /** Whether a seed breaks nothing without any bug. */
  private readonly clean = new Map<number, Promise<boolean>>()

  constructor(options: SearchOptions) {
    this.options = options
    const range = { first: options.first, most: options.mostSeeds }
    this.searches = applicableBugs(options.only).map((bug) => new SeedSearch(bug, range))
  }

  async run(): Promise<readonly Finding[]> {
    await Promise.all(Array.from({ length: this.options.jobs }, () => this.work()))
    return this.findings
  }

  private async work(): Promise<void> {
    for (let search = this.pick(); search !== null; search = this.pick()) {
      await this.lookFor(search)
      if (search.idle && !search.over && !search.settling) await this.settle(search)
    }
  }

  /** One that nobody looks for yet, or else the one that has taken the most seeds. */
  private pick(): SeedSearch | null {
    const open = this.searches.filter(({ hasNext }) => hasNext)
    const fresh = open.find(({ seeds }) => seeds === 0)
    return fresh ?? open.toSorted((a, b) => b.seeds - a.seeds)[0] ?? null
  }

  private async lookFor(search: SeedSearch): Promise<void> {
    const { name } = search.bug
    const next = (): number | null => {
      const seed = search.take()
      if (seed !== null && search.seeds > 1 && search.seeds % WORD_SEEDS === 1)
        this.options.progress(name, search.seeds - 1)
      return seed
    }
    await runOneAfterAnother(next, search.ran, name)
  }

  private async settle(search: SeedSearch): Promise<void> {
    const { lowest } = search
    search.settling = true
    if (lowest !== null && !(await this.isClean(lowest.seed))) search.drop(lowest.seed)
    else if (lowest !== null) this.end(search, { ...lowest, seeds: search.countTo(lowest.seed) })
    search.settling = false
    if (search.over || search.hasNext) return
    if (search.lowest !== null) return this.settle(search)
    this.end(search, { invariant: null, seed: -1, seeds: search.seeds })
  }

  private end(search: SeedSearch, how: Pick<Finding, 'invariant' | 'seed' | 'seeds'>): void {
    search.over = true
    const finding = { bug: search.bug.name, ...how, realMs: search.realMs }
    this.findings.push(finding)
    this.options.tell(finding)
  }

  private isClean(seed: number): Promise<boolean> {
    const known = this.clean.get(seed) ?? passes(seed)
    this.clean.set(seed, known)
    return known
  }
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
