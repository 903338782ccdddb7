// A cluster of real processes on loopback, for tests that kill them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@millrace/client'
import { freePorts } from '@millrace/testing'
import { MILLRACE, type NodeProgram } from './node-program.ts'

export { MAIN } from './node-program.ts'

/** What a node wrote to standard output: one JSON object a line. */
export interface LogLine {
  readonly level: string
  readonly time: string
  readonly node: number
  readonly event: string
  readonly [field: string]: unknown
}

interface NodePorts {
  readonly port: number
  readonly peerPort: number
  readonly httpPort: number
}

/** One node: its files stay when its process dies. */
export class NodeProcess {
  readonly id: number
  readonly port: number
  readonly peerPort: number
  /** Of metrics and what groups do. */
  readonly httpPort: number
  readonly configFile: string
  /** Standard output of all its processes, one after the other. */
  readonly logFile: string
  /** Standard error of all its processes. */
  readonly errorFile: string
  /** `log.dirs`. */
  readonly data: string
  readonly program: NodeProgram
  private child: ChildProcess | null = null

  constructor(id: number, ports: NodePorts, folder: string, program = MILLRACE) {
    this.id = id
    this.program = program
    this.port = ports.port
    this.peerPort = ports.peerPort
    this.httpPort = ports.httpPort
    this.configFile = join(folder, `n${id}.properties`)
    this.logFile = join(folder, `n${id}.log`)
    this.errorFile = join(folder, `n${id}.err`)
    this.data = join(folder, `n${id}`, 'data')
  }

  get running(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null
  }

  get pid(): number {
    const pid = this.child?.pid
    if (pid === undefined || !this.running) throw new Error(`node ${this.id} does not run`)
    return pid
  }

  get exitCode(): number | null {
    return this.child?.exitCode ?? null
  }

  start(): void {
    // Files, not pipes: what a process wrote before it was killed is there, and a paused test cannot hold it up.
    const out = openSync(this.logFile, 'a')
    const err = openSync(this.errorFile, 'a')
    const [command, ...args] = this.program.command(this.configFile)
    // The channel ends a node that this process left behind.
    this.child = spawn(command, args, {
      stdio: ['ignore', out, err, 'ipc'],
    })
    this.child.channel?.unref()
    closeSync(out)
    closeSync(err)
  }

  /** Returns once the process is gone; at once for a signal that ends nothing. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.child
    if (child === null || !this.running) return
    const gone = once(child, 'exit')
    child.kill(signal)
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await gone
  }

  /** Resolves once the port of the clients answers. */
  async listening(timeoutMs = 30_000): Promise<void> {
    await this.until(() => answers(this.port), 'listen', timeoutMs)
  }

  /** Resolves with the node's exit code, for a start that is expected to fail. */
  async ended(timeoutMs = 30_000): Promise<number | null> {
    const child = this.child as ChildProcess
    if (this.running) {
      const late = AbortSignal.timeout(timeoutMs)
      await once(child, 'exit', { signal: late }).catch(() => {
        throw new Error(`node ${this.id} still ran after ${timeoutMs} ms`)
      })
    }
    return child.exitCode
  }

  /** The lines that its processes wrote to standard output. */
  output(): string[] {
    if (!existsSync(this.logFile)) return []
    return readFileSync(this.logFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
  }

  /** Everything that its processes logged, from line `from` on; throws at a line that is no JSON. */
  lines(from = 0): LogLine[] {
    return this.output()
      .slice(from)
      .map((line) => JSON.parse(line) as LogLine)
  }

  /** What its processes wrote to standard error. */
  errors(): string {
    return existsSync(this.errorFile) ? readFileSync(this.errorFile, 'utf8') : ''
  }

  private async until(reached: () => Promise<boolean>, what: string, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!(await reached())) {
      if (!this.running)
        throw new Error(`node ${this.id} ended before it could ${what}; its log is ${this.logFile}\n${this.errors()}`)
      if (Date.now() > deadline)
        throw new Error(`node ${this.id} did not ${what} within ${timeoutMs} ms; its log is ${this.logFile}`)
      await sleep(20)
    }
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Three (or `count`) nodes with both roles in a temporary folder. */
export class ProcessCluster {
  readonly nodes: readonly NodeProcess[]
  readonly folder: string

  private constructor(folder: string, nodes: readonly NodeProcess[]) {
    this.folder = folder
    this.nodes = nodes
  }

  /** Writes the properties files, with `lines` after the usual ones, and starts nothing. */
  static async prepare(count = 3, lines: readonly string[] = [], program = MILLRACE): Promise<ProcessCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-'))
    const ports = await freePorts(count * 3)
    const nodes = Array.from({ length: count }, (_, at) => {
      const [port, peerPort, httpPort] = [0, count, 2 * count].map((from) => ports[from + at] as number)
      return new NodeProcess(at + 1, { port, peerPort, httpPort } as NodePorts, folder, program)
    })
    const voters = nodes.map(({ id, peerPort }) => `${id}@127.0.0.1:${peerPort}`).join(',')
    for (const node of nodes) {
      mkdirSync(dirname(node.data))
      const own = [
        'process.roles=broker,controller',
        `node.id=${node.id}`,
        `controller.quorum.voters=${voters}`,
        `listeners=PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.peerPort}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${node.port}`,
        'controller.listener.names=CONTROLLER',
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        `log.dirs=${node.data}`,
        ...program.lines(node),
        ...lines,
      ]
      writeFileSync(node.configFile, `${own.join('\n')}\n`)
      program.prepare(node.configFile)
    }
    return new ProcessCluster(folder, nodes)
  }

  static async start(count = 3, lines: readonly string[] = [], program = MILLRACE): Promise<ProcessCluster> {
    const cluster = await ProcessCluster.prepare(count, lines, program)
    await cluster.startAll()
    return cluster
  }

  /** Starts every node that does not run, and resolves once all brokers are known to the cluster. */
  async startAll(): Promise<void> {
    for (const node of this.nodes) if (!node.running) node.start()
    await Promise.all(this.nodes.map((node) => node.listening()))
    await using client = createClient({ bootstrap: this.bootstrap })
    await client.admin.waitForBrokers(this.nodes.length)
  }

  get bootstrap(): string[] {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`)
  }

  node(id: number): NodeProcess {
    const node = this.nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** Stops every process and removes the folder, unless `keep` (or MILLRACE_KEEP) leaves it for a look. */
  async stop(keep = process.env['MILLRACE_KEEP'] !== undefined): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')))
    if (keep) process.stdout.write(`the files and logs of the nodes are in ${this.folder}\n`)
    else rmSync(this.folder, { recursive: true, force: true })
  }
}
