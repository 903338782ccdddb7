import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

export interface BenchNode {
  readonly bootstrap: string
  readonly stop: () => void
}

/** Two ports that a node wants, its own and 10,000 above. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 10_000); ; port++) {
    const free = await Promise.all([port, port + 10_000].map(isFree))
    if (free.every(Boolean)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** A node in memory, in a process of its own so that it does not share a thread with what is measured. */
export async function startNode(): Promise<BenchNode> {
  const main = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url))
  const child = spawn(process.execPath, [main, 'dev', '--json', '--port', String(await freePort())], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
    child.once('exit', (code) => reject(new Error(`the node ended with exit code ${code}`)))
  })
  const { bootstrap } = JSON.parse(line) as { bootstrap: string }
  return { bootstrap, stop: () => void child.kill('SIGTERM') }
}
