// Unmodified clients of Kafka against a cluster, cell by cell; the README of this folder tells how.
import { parseArgs } from 'node:util'
import { ProcessCluster } from '../src/process-cluster.ts'
import { CLIENTS } from './clients/clients.ts'
import { platformatic } from './clients/node-clients.ts'
import type { ClientSpec } from './core/client.ts'
import { Judge } from './core/judge.ts'
import { type Cell, install, type Installed, runClient } from './core/run.ts'
import { summary, table } from './core/table.ts'
import type { Feature } from './features/feature.ts'
import { FEATURES } from './features/features.ts'

const HELP = `npm run conformance -- [--clients a,b] [--features x,y] [--bootstrap HOST:PORT] [--json] [--jobs 2]

Runs unmodified clients of Kafka against three nodes that it starts, or against any cluster (--bootstrap; never one with
data that matters: topics and groups are made and deleted). Exit code 1 when a cell fails. --features takes beginnings: admin, produce.

clients:
${CLIENTS.map(({ name, version }) => `  ${name.padEnd(26)}${version}`).join('\n')}
features:
${FEATURES.map(({ name, shows }) => `  ${name.padEnd(26)}${shows}`).join('\n')}`

interface Options {
  readonly clients: readonly ClientSpec[]
  readonly features: readonly Feature[]
  readonly bootstrap: string | null
  readonly json: boolean
  readonly jobs: number
}

/** The text is what is wrong with the command line. */
function optionsOf(args: readonly string[]): Options | string {
  const { values } = parseArgs({
    args: [...args],
    options: {
      clients: { type: 'string' },
      features: { type: 'string' },
      bootstrap: { type: 'string' },
      json: { type: 'boolean', default: false },
      jobs: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return HELP
  const clients = chosen(values.clients, CLIENTS)
  const features = chosen(values.features, FEATURES)
  if (typeof clients === 'string') return `no client ${clients}\n\n${HELP}`
  if (typeof features === 'string') return `no feature ${features}\n\n${HELP}`
  const jobs = Number(values.jobs)
  if (!(jobs >= 1)) return `--jobs ${values.jobs} is no number of at least 1`
  return { clients, features, bootstrap: values.bootstrap ?? null, json: values.json, jobs }
}

/** Those whose name begins with one of the words; the first word that fits none as text. */
function chosen<T extends { readonly name: string }>(
  list: string | undefined,
  all: readonly T[],
): readonly T[] | string {
  if (list === undefined) return all
  const words = list.split(',').filter((word) => word !== '')
  const lost = words.find((word) => !all.some(({ name }) => name.startsWith(word)))
  return lost ?? all.filter(({ name }) => words.some((word) => name.startsWith(word)))
}

function progress(cell: Cell): void {
  const time = cell.ms === 0 ? '' : ` ${(cell.ms / 1000).toFixed(1)} s`
  const text = cell.text === '' ? '' : `: ${cell.text}`
  process.stderr.write(`${cell.client} ${cell.feature} ${cell.outcome}${time}${text}\n`)
}

/** A few clients at a time; a client's rows follow each other. */
async function runAll(options: Options, bootstrap: string, judge: Judge): Promise<Cell[]> {
  const cells: Cell[] = []
  const report = (cell: Cell): void => {
    cells.push(cell)
    progress(cell)
  }
  const waiting: Installed[] = []
  // One after the other: some share what is installed.
  for (const client of options.clients) waiting.push(await install(client))
  // Node is here in any case.
  const modern = await platformatic.install()
  if (typeof modern === 'string') throw new Error(modern)
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      await runClient(next, { judge, bootstrap, features: options.features, modern, report })
  }
  await Promise.all(Array.from({ length: options.jobs }, worker))
  const order = CLIENTS.map(({ name }) => name)
  return cells.sort((a, b) => order.indexOf(a.client) - order.indexOf(b.client))
}

async function main(options: Options): Promise<number> {
  const began = Date.now()
  const cluster = options.bootstrap === null ? await ProcessCluster.start(3, CLUSTER_LINES) : null
  try {
    const brokers = cluster?.bootstrap ?? options.bootstrap?.split(',') ?? []
    const judge = await Judge.open(brokers, cluster === null ? 1 : 3)
    const cells = await runAll(options, brokers.join(','), judge)
    await judge.close()
    const text = options.json ? JSON.stringify(cells, null, 2) : `\n${table(cells)}`
    process.stdout.write(`${text}\n`)
    process.stderr.write(`${summary(cells, Date.now() - began)}\n`)
    return cells.some(({ outcome }) => outcome === 'FAIL') ? 1 : 0
  } finally {
    await cluster?.stop()
  }
}

/** What a group waits for its first members costs every cell three seconds. */
const CLUSTER_LINES = ['group.initial.rebalance.delay.ms=0', 'offsets.topic.replication.factor=3']

const options = optionsOf(process.argv.slice(2))
if (typeof options === 'string') {
  process.stdout.write(`${options}\n`)
  process.exitCode = options === HELP ? 0 : 2
} else
  process.exitCode = await main(options).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 2
  })
