import { MillraceError, type World } from '@millrace/base'
import {
  CryptoRandom,
  lockFolder,
  type LoggerOptions,
  memoryWorld,
  processLogger,
  productionWorld,
} from '@millrace/host'
import { readNodeConfig, startNode } from '@millrace/server'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface DevOptions {
  readonly nodes: number
  readonly port: number
  readonly data?: string
  readonly topic: string
  readonly json?: boolean
  readonly verbose?: boolean
}

const PEER_PORT_DISTANCE = 10_000
const HTTP_PORT_DISTANCE = 20_000

/** The port on which nodes talk to each other, beside a node's client port. */
export function peerPort(port: number): number {
  return beside(port, PEER_PORT_DISTANCE)
}

/** The port of a node's HTTP endpoint. */
export function httpPort(port: number): number {
  return beside(port, HTTP_PORT_DISTANCE)
}

function beside(port: number, distance: number): number {
  return port + distance <= 65_535 ? port + distance : port - distance
}

/** A cluster that `millrace dev` runs. */
export interface DevCluster {
  /** Where the data is; null for memory. */
  readonly folder: string | null
  /** Whether the data stays when the cluster stops. */
  readonly persistent: boolean
  /** Rejects when a node cannot start. */
  readonly ready: Promise<void>
  stop(): Promise<void>
}

function properties(id: number, ports: readonly number[], folder: string): string {
  const port = ports[id - 1] as number
  const voters = ports.map((each, at) => `${at + 1}@127.0.0.1:${peerPort(each)}`).join(',')
  const replicas = Math.min(3, ports.length)
  return [
    '# Written by millrace dev.',
    'process.roles=broker,controller',
    `node.id=${id}`,
    `controller.quorum.voters=${voters}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${peerPort(port)}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    `http.listener=127.0.0.1:${httpPort(port)}`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    `log.dirs=${folder}`,
    `default.replication.factor=${replicas}`,
    `min.insync.replicas=${Math.max(1, replicas - 1)}`,
    'num.partitions=3',
    'auto.create.topics.enable=true',
    'group.initial.rebalance.delay.ms=0',
    '',
  ].join('\n')
}

/** One node in this process: in memory, or in the folder that was named. */
export async function startInProcess(options: DevOptions, port: number): Promise<DevCluster> {
  const folder = options.data === undefined ? null : resolve(options.data)
  const { config, problems } = readNodeConfig(
    properties(1, [port], folder === null ? '/data' : join(folder, 'n1')),
    'localhost',
  )
  if (config === null) throw new MillraceError('CONFIG_INVALID', problems.map(({ message }) => message).join('\n'))
  const logger = { pretty: true, level: options.verbose === true ? ('info' as const) : ('warn' as const) }
  const world = folder === null ? inMemory(logger) : productionWorld({ logger, node: 1 })
  const node = await startNode(world, config, folder === null ? {} : { lock: lockFolder })
  return { folder, persistent: folder !== null, ready: node.ready, stop: () => node.stop() }
}

function inMemory(logger: LoggerOptions): World {
  return memoryWorld({
    name: 'dev',
    log: processLogger(logger),
    random: new CryptoRandom(),
    fatal: () => process.exit(1),
  })
}

/** Several processes, each `millrace server` with a properties file that is left beside its data to be looked at. */
export async function startProcesses(options: DevOptions, ports: readonly number[]): Promise<DevCluster> {
  const persistent = options.data !== undefined
  const folder = options.data === undefined ? mkdtempSync(join(tmpdir(), 'millrace-dev-')) : resolve(options.data)
  const children = ports.map((_, at) => startProcess(at + 1, ports, { folder, verbose: options.verbose === true }))
  let stopping = false
  const failed = new Promise<never>((_, reject) => {
    children.forEach((child, at) =>
      child.once(
        'exit',
        (code) =>
          stopping ||
          reject(
            new MillraceError('IO_FAILED', `Node ${at + 1} ended with exit code ${code}.`, {
              fix: `Its log is ${logFile(folder, at + 1)}.`,
            }),
          ),
      ),
    )
  })
  failed.catch((error: unknown) => {
    if (stopping) return
    for (const child of children) child.kill('SIGKILL')
    process.stderr.write(`${(error as MillraceError).message} ${(error as MillraceError).fix}\n`)
    process.exit(1)
  })
  const stop = async (): Promise<void> => {
    stopping = true
    await Promise.all(children.map((child) => end(child)))
    if (!persistent) rmSync(folder, { recursive: true, force: true })
  }
  return { folder, persistent, ready: Promise.resolve(), stop }
}

function logFile(folder: string, id: number): string {
  return join(folder, `n${id}.log`)
}

function startProcess(id: number, ports: readonly number[], place: { folder: string; verbose: boolean }): ChildProcess {
  const { folder, verbose } = place
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `n${id}.properties`)
  writeFileSync(file, properties(id, ports, join(folder, `n${id}`)))
  const main = fileURLToPath(new URL('./main.js', import.meta.url))
  // A process group of its own, so that Ctrl-C reaches this process alone; the channel tells the node when this process is gone.
  const child = spawn(process.execPath, [main, 'server', '--config', file, ...(verbose ? ['--pretty'] : [])], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  })
  const log = createWriteStream(logFile(folder, id))
  for (const stream of [child.stdout, child.stderr]) stream?.pipe(verbose ? process.stderr : log, { end: false })
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const impatience = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await gone
  clearTimeout(impatience)
}
