import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function environment(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  delete env['MILLRACE_BOOTSTRAP']
  return env
}

/** Starts `millrace` with these arguments; its standard input stays open. */
export function start(...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [MAIN, ...args], { env: environment() })
  child.stdin.on('error', () => undefined)
  return child
}

/** What a started command says until it ends. */
export async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

/** Runs `millrace` to its end. */
export function run(args: readonly string[], input: string | Buffer = ''): Promise<Ended> {
  const child = start(...args)
  child.stdin.end(input)
  return ended(child)
}

/** The lines of JSON that a command printed. */
export function jsonLines<T = Record<string, unknown>>({ stdout }: Ended): T[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}
