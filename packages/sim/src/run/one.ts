import { readFileSync, writeFileSync } from 'node:fs'
import { tellAct } from './act.ts'
import { drawPlan, type Plan } from './plan.ts'
import type { RunReport } from './report.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'
import { printLine } from './story.ts'

/** Runs a seed and prints its plan, its story and what came out; true when no invariant broke. */
export async function tellSeed(seed: number, lines: number): Promise<boolean> {
  return tellPlan(drawPlan(seed), lines)
}

/** The same for a plan in a file. */
export async function tellPlanFile(path: string, lines: number): Promise<boolean> {
  return tellPlan(JSON.parse(readFileSync(path, 'utf8')) as Plan, lines)
}

async function tellPlan(plan: Plan, lines: number): Promise<boolean> {
  process.stdout.write(`${describePlan(plan)}\n\n`)
  const report = await runPlan(plan, { storyLines: lines })
  process.stdout.write(`${describeReport(report)}\n`)
  return report.violation === null
}

/** Reduces what a seed breaks and writes the smallest plan beside the caller; true when there was something to reduce. */
export async function shrinkSeed(seed: number): Promise<boolean> {
  const plan = drawPlan(seed)
  const first = await runPlan(plan)
  if (first.violation === null) {
    process.stdout.write(`seed ${seed} breaks nothing\n`)
    return false
  }
  const { invariant, atUs } = first.violation
  process.stdout.write(`seed ${seed} breaks ${invariant} with ${plan.acts.length} acts\n`)
  const smallest = await shrink(plan, atUs, async (candidate) => {
    const { violation } = await runPlan(candidate)
    const still = violation?.invariant === invariant
    process.stdout.write(still ? `  ${candidate.acts.length} acts\n` : '.')
    return still
  })
  const file = `sim-${seed}.json`
  writeFileSync(file, `${JSON.stringify(smallest, null, 2)}\n`)
  const report = await runPlan(smallest, { storyLines: 60 })
  process.stdout.write(`\n${describePlan(smallest)}\n\n${describeReport(report)}\n\nkept in ${file}\n`)
  return true
}

/** A plan in some lines. */
export function describePlan(plan: Plan): string {
  const nodes = plan.nodes.map(({ id, broker, controller }) => `${id}${broker ? 'b' : ''}${controller ? 'c' : ''}`)
  const topics = plan.clients.topics.map(
    ({ name, partitions, replicas, minInSync }) => `${name} (${partitions} x ${replicas}, at least ${minInSync})`,
  )
  return [
    `seed ${plan.seed}: nodes ${nodes.join(' ')}, ${plan.clients.count} clients, ${topics.join(', ')}`,
    `faults until ${plan.horizonUs / 1e6} s${plan.lost.length > 0 ? `, then without ${plan.lost.join(', ')}` : ''}`,
    `network ${JSON.stringify(plan.network)}`,
    `disk ${JSON.stringify(plan.disk)}`,
    ...plan.acts.map((act) => `${(act.atUs / 1e6).toFixed(6).padStart(11)}  ${tellAct(act)}`),
  ].join('\n')
}

function describeReport(report: RunReport): string {
  const { violation, counts } = report
  const outcome =
    violation === null
      ? 'No invariant broke.'
      : `${violation.invariant} at ${(violation.atUs / 1e6).toFixed(6)} s, event ${violation.event}:\n${violation.detail}`
  return [
    ...report.story.map(printLine),
    '',
    `${report.events} events in ${(report.virtualUs / 1e6).toFixed(1)} virtual and ${(report.realMs / 1000).toFixed(1)} real seconds, digest ${report.digest}`,
    `${counts.acked} acknowledged, ${counts.failed} failed, ${counts.unknown} unknown, ${counts.valuesRead} values read, ${counts.incarnations} lives`,
    `faults: ${JSON.stringify(report.faults)}`,
    outcome,
  ].join('\n')
}
