import type { Operation } from '../seams.ts'
import type { StoryLine } from './story.ts'

/** A broken promise, where and when. */
export interface ViolationReport {
  readonly invariant: string
  readonly detail: string
  readonly atUs: number
  readonly event: number
}

/** What came out of a run. */
export interface RunReport {
  readonly seed: number
  /** The rolling hash of everything that happened: the same for the same seed and code. */
  readonly digest: string
  readonly violation: ViolationReport | null
  readonly events: number
  readonly virtualUs: number
  /** What it took, in milliseconds of real time. */
  readonly realMs: number
  /** Faults that did something, by kind. */
  readonly faults: Readonly<Record<string, number>>
  /** How often nodes took paths that are seldom taken, by path; 0 for one that they did not take. */
  readonly paths: Readonly<Record<string, number>>
  readonly counts: RunCounts
  /** The last things worth telling; empty unless asked for or a violation was found. */
  readonly story: readonly StoryLine[]
}

/** What clients and nodes did. A run in which nothing was acknowledged tested nothing. */
export interface RunCounts {
  readonly acked: number
  readonly failed: number
  readonly unknown: number
  readonly valuesRead: number
  readonly incarnations: number
}

/** Sums of many runs. */
export interface Summary {
  runs: number
  idle: number
  events: number
  realMs: number
  virtualUs: number
  acked: number
  valuesRead: number
  incarnations: number
  readonly faults: Map<string, number>
  /** In how many runs each path was taken. */
  readonly paths: Map<string, number>
  readonly failures: RunReport[]
}

/** An empty summary. */
export function newSummary(): Summary {
  return {
    runs: 0,
    idle: 0,
    events: 0,
    realMs: 0,
    virtualUs: 0,
    acked: 0,
    valuesRead: 0,
    incarnations: 0,
    faults: new Map(),
    paths: new Map(),
    failures: [],
  }
}

/** Adds a run. */
export function addReport(summary: Summary, report: RunReport): void {
  summary.runs++
  summary.events += report.events
  summary.realMs += report.realMs
  summary.virtualUs += report.virtualUs
  summary.acked += report.counts.acked
  summary.valuesRead += report.counts.valuesRead
  summary.incarnations += report.counts.incarnations
  if (report.counts.acked === 0) summary.idle++
  for (const [kind, count] of Object.entries(report.faults))
    summary.faults.set(kind, (summary.faults.get(kind) ?? 0) + count)
  for (const [path, times] of Object.entries(report.paths))
    summary.paths.set(path, (summary.paths.get(path) ?? 0) + Math.min(times, 1))
  if (report.violation !== null) summary.failures.push(report)
}

/** The summary as lines for people. */
export function printSummary(summary: Summary): string {
  const perSecond = summary.realMs === 0 ? 0 : (summary.events / summary.realMs) * 1000
  const faults = [...summary.faults].sort(([a], [b]) => (a < b ? -1 : 1))
  const paths = [...summary.paths].sort(([, a], [, b]) => b - a)
  return [
    `${count(summary.runs)} seeds, ${count(summary.failures.length)} violations, ${count(summary.idle)} idle`,
    `${count(summary.events)} events, ${count(Math.round(perSecond))} events/s per core, ${Math.round(summary.virtualUs / 60e6)} virtual minutes`,
    `${count(summary.acked)} sends acknowledged, ${count(summary.valuesRead)} values read, ${count(summary.incarnations)} lives of nodes`,
    `faults: ${faults.map(([kind, times]) => `${kind} ${count(times)}`).join(', ') || 'none'}`,
    `seeds that took a path: ${paths.map(([path, runs]) => `${path} ${count(runs)}`).join(', ') || 'none'}`,
  ].join('\n')
}

function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** What clients did. */
export function countOperations(history: readonly Operation[]): Omit<RunCounts, 'incarnations'> {
  const counts = { acked: 0, failed: 0, unknown: 0, valuesRead: 0 }
  for (const { kind, outcome, values } of history) {
    if (kind === 'poll') counts.valuesRead += values.length
    if (kind !== 'send') continue
    if (outcome === 'ok') counts.acked++
    else if (outcome === 'fail') counts.failed++
    else counts.unknown++
  }
  return counts
}
