// What clients need and the machine lacks comes into one folder beside the project's other tools; nothing is installed elsewhere but kcat.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The suite's folder. */
export const HERE = dirname(dirname(fileURLToPath(import.meta.url)))
const CACHE = join(dirname(dirname(HERE)), '.tools', 'conformance')
const INSTALL_MS = 280_000

export interface Finished {
  readonly status: number | null
  /** Standard output. */
  readonly bytes: Buffer
  readonly out: string
  readonly err: string
}

export interface RunLimits {
  readonly input?: string | Buffer
  readonly timeoutMs?: number
}

/** Runs a program to its end; one that does not start has status null and its reason in `err`. */
export function runProgram(command: string, args: readonly string[], limits: RunLimits = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args)
    // Not the option of spawn, whose timer stays when the program could not be started.
    const late = setTimeout(() => child.kill('SIGKILL'), limits.timeoutMs ?? 60_000)
    const pieces: Buffer[] = []
    let err = ''
    const end = (status: number | null): void => {
      clearTimeout(late)
      const bytes = Buffer.concat(pieces)
      resolve({ status, bytes, out: bytes.toString(), err })
    }
    child.stdout.on('data', (chunk: Buffer) => pieces.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.once('error', (error) => {
      err += error.message
      end(null)
    })
    child.once('close', end)
    child.stdin.on('error', () => {})
    child.stdin.end(limits.input ?? '')
  })
}

/** Whether this program is on the machine. */
export async function has(command: string, ...args: string[]): Promise<boolean> {
  return (await runProgram(command, args)).status === 0
}

/**
 * The folder `name` of the cache, filled by `fill` unless it was filled for the same `contents` before. Throws what the first program that
 * failed said.
 */
export async function cached(name: string, contents: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(CACHE, name)
  const stamp = join(folder, 'complete')
  const hash = createHash('sha256').update(contents).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return folder
  process.stderr.write(`bringing ${name} into .tools/conformance (once)\n`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await fill(folder)
  writeFileSync(stamp, hash)
  return folder
}

/** Runs a step of an installation; throws the end of what it said when it fails. */
export async function step(command: string, args: readonly string[]): Promise<void> {
  const { status, out, err } = await runProgram(command, args, { timeoutMs: INSTALL_MS })
  if (status !== 0) throw new Error(`${command} ${args.slice(0, 3).join(' ')}… failed: ${`${out}${err}`.slice(-300)}`)
}
