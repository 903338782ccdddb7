import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { BUG_VARIABLE, plantArguments } from '../planted/variable.ts'
import type { RunReport } from './report.ts'

/** Asked of a worker process. */
export interface Job {
  readonly seed: number
}

/** What runs a seed, and how long it may take. */
export interface WorkerKind {
  readonly script: URL
  /** A run takes seconds; one that takes this long of real time hangs. */
  readonly hangMs: number
  /** Planted in it. */
  readonly bug?: string | undefined
}

const WORKER: WorkerKind = { script: new URL('worker.ts', import.meta.url), hangMs: 60_000 }

/** Runs seeds in processes of their own, `jobs` at a time, and tells every report as it comes. Ends when `next` gives null. */
export async function runJobs(
  jobs: number,
  next: () => number | null,
  done: (report: RunReport) => void,
): Promise<void> {
  await Promise.all(Array.from({ length: jobs }, () => runOneAfterAnother(next, done)))
}

/** The same in one process, of which another takes the place when it dies or hangs. `bug` is planted in it. */
export async function runOneAfterAnother(
  next: () => number | null,
  done: (report: RunReport) => void,
  bug?: string,
): Promise<void> {
  return runInWorker({ ...WORKER, bug }, next, done)
}

/** The same, for a worker of any kind. */
export async function runInWorker(
  kind: WorkerKind,
  next: () => number | null,
  done: (report: RunReport) => void,
): Promise<void> {
  let child: ChildProcess | null = null
  for (let seed = next(); seed !== null; seed = next()) {
    if (child?.connected !== true) child = startWorker(kind)
    const answer = await ask(child, { seed }, kind.hangMs)
    if (answer.alive) done(answer.report)
    else {
      child.kill('SIGKILL')
      child = null
      done(deadReport(seed, answer.why))
    }
  }
  child?.disconnect()
}

function startWorker({ script, bug }: WorkerKind): ChildProcess {
  return fork(fileURLToPath(script), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
    ...(bug === undefined ? {} : { execArgv: plantArguments(), env: { ...process.env, [BUG_VARIABLE]: bug } }),
  })
}

type Answer = { readonly alive: true; readonly report: RunReport } | { readonly alive: false; readonly why: string }

function ask(child: ChildProcess, job: Job, hangMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const answer = (value: Answer): void => {
      clearTimeout(timer)
      child.removeAllListeners()
      resolve(value)
    }
    const hangs = (): void => answer({ alive: false, why: `no end after ${hangMs / 1000} s of real time` })
    const timer = setTimeout(hangs, hangMs)
    child.once('message', (report) => answer({ alive: true, report: report as RunReport }))
    child.once('exit', (code, signal) => answer({ alive: false, why: `the process ended (${signal ?? code})` }))
    child.once('error', (error) => answer({ alive: false, why: error.message }))
    child.send(job)
  })
}

/** A run that took its process with it, or never came to an end, is a failure too. */
export function deadReport(seed: number, why: string): RunReport {
  return {
    seed,
    digest: '',
    violation: { invariant: 'run-ended', detail: why, atUs: 0, event: 0 },
    events: 0,
    virtualUs: 0,
    realMs: 0,
    faults: {},
    paths: {},
    counts: { acked: 0, failed: 0, unknown: 0, valuesRead: 0, incarnations: 0 },
    story: [],
  }
}
