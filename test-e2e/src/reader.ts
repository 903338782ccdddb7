import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), 'reading-program.ts')

export interface Place {
  readonly partition: number
  readonly offset: number
}

/** A kafkajs consumer in a process of its own, and everything that it was handed, in order. */
export class Reader {
  readonly read: Place[] = []
  /** The partitions that it was assigned last. */
  owned: readonly number[] = []
  private readonly child: ChildProcess

  constructor(bootstrap: readonly string[], group: string, topic: string) {
    const args = ['--no-warnings', PROGRAM, bootstrap.join(','), group, topic]
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    if (this.child.stdout !== null) createInterface(this.child.stdout).on('line', (line) => this.line(line))
  }

  /** Its process is gone, without a word to anybody, and all that it printed is here. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = once(this.child, 'close')
    this.child.kill('SIGKILL')
    await gone
  }

  private line(line: string): void {
    const told = JSON.parse(line) as ['owns', number[]] | ['read', number, number]
    if (told[0] === 'owns') this.owned = told[1]
    else this.read.push({ partition: told[1], offset: told[2] })
  }
}
