// A cluster of real processes on loopback, for tests that kill them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from '@millrace/client'
import { freePorts } from './ports.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** One node: its files stay when its process dies. */
export class NodeProcess {
  readonly id: number
  readonly port: number
  readonly configFile: string
  private readonly logFile: string
  private child: ChildProcess | null = null

  constructor(id: number, port: number, folder: string) {
    this.id = id
    this.port = port
    this.configFile = join(folder, `n${id}.properties`)
    this.logFile = join(folder, `n${id}.log`)
  }

  get running(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null
  }

  start(): void {
    const child = spawn(
      process.execPath,
      [join(root, 'packages/cli/src/main.ts'), 'server', '--config', this.configFile],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const log = createWriteStream(this.logFile, { flags: 'a' })
    child.stdout.pipe(log)
    child.stderr.pipe(log)
    this.child = child
  }

  /** Returns once the process is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.child
    if (child === null || !this.running) return
    const gone = once(child, 'exit')
    child.kill(signal)
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await gone
  }

  /** Resolves once the port of the clients answers. */
  async listening(timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!(await answers(this.port))) {
      if (!this.running) throw new Error(`node ${this.id} ended before it listened; its log is ${this.logFile}`)
      if (Date.now() > deadline)
        throw new Error(`node ${this.id} did not listen within ${timeoutMs} ms; its log is ${this.logFile}`)
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

/** Three (or `count`) nodes with both roles, replication 3, min.insync.replicas 2, in a temporary folder. */
export class ProcessCluster {
  readonly nodes: readonly NodeProcess[]
  readonly folder: string

  private constructor(folder: string, nodes: readonly NodeProcess[]) {
    this.folder = folder
    this.nodes = nodes
  }

  static async start(count = 3, lines: readonly string[] = []): Promise<ProcessCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-'))
    const ports = await freePorts(count * 2)
    const voters = Array.from({ length: count }, (_, at) => `${at + 1}@127.0.0.1:${ports[count + at]}`).join(',')
    const nodes = Array.from({ length: count }, (_, at) => new NodeProcess(at + 1, ports[at] as number, folder))
    for (const node of nodes) {
      mkdirSync(join(folder, `n${node.id}`))
      const own = [
        'process.roles=broker,controller',
        `node.id=${node.id}`,
        `controller.quorum.voters=${voters}`,
        `listeners=PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${ports[count + node.id - 1]}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${node.port}`,
        'controller.listener.names=CONTROLLER',
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        `log.dirs=${join(folder, `n${node.id}`, 'data')}`,
        ...lines,
      ]
      writeFileSync(node.configFile, `${own.join('\n')}\n`)
    }
    const cluster = new ProcessCluster(folder, nodes)
    for (const node of nodes) node.start()
    await Promise.all(nodes.map((node) => node.listening()))
    await using client = createClient({ bootstrap: cluster.bootstrap })
    await client.admin.waitForBrokers(count)
    return cluster
  }

  get bootstrap(): string[] {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`)
  }

  node(id: number): NodeProcess {
    const node = this.nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** Stops every process and removes the folder, unless `keep` leaves it for a look. */
  async stop(keep = false): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')))
    if (!keep) rmSync(this.folder, { recursive: true, force: true })
  }
}
