import { drawPlan, type Plan } from './plan.ts'
import type { RunReport } from './report.ts'
import { Simulation } from './simulation.ts'

/** What a caller wants of a run. */
export interface RunOptions {
  /** How many lines of the story come with the report; 0 unless given, 60 when an invariant breaks. */
  readonly storyLines?: number
}

/** Draws a run from its seed and runs it. Equal seeds give equal reports, but for the real time. */
export function runSeed(seed: number, options: RunOptions = {}): Promise<RunReport> {
  return runPlan(drawPlan(seed), options)
}

/** Runs a plan: faults and load, then healing, convergence and final reads. Resolves when it is over or an invariant broke. */
export function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunReport> {
  return new Simulation(plan).run(options.storyLines ?? 0)
}
