// A member of a group that is a command line program: it runs until it is told to leave.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Program } from './adapter.ts'
import type { PollAnswer, ReadRecord } from './operations.ts'

export interface MemberOutput {
  /** Takes whole records from the front of what was printed, and leaves the rest. */
  readonly parse: (printed: Buffer) => { readonly records: readonly ReadRecord[]; readonly rest: Buffer }
  /** The partitions that this line of standard error says the member owns now, if it does. */
  readonly assigned?: (line: string) => readonly number[] | null
}

const LEAVE_MS = 15_000

/** One running consumer program. */
export class ProgramMember {
  private readonly child: ChildProcess
  private readonly output: MemberOutput
  private printed: Buffer = Buffer.alloc(0)
  private errors = ''
  /** Of standard error, the line that is not whole yet. */
  private line = ''
  private assigned: readonly number[] | null

  constructor(program: Program, output: MemberOutput) {
    this.output = output
    this.assigned = output.assigned === undefined ? null : []
    this.child = spawn(program.command, program.args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout?.on('data', (chunk: Buffer) => (this.printed = Buffer.concat([this.printed, chunk])))
    this.child.stderr?.on('data', (chunk: Buffer) => this.said(chunk.toString()))
    this.child.once('error', (error) => (this.errors += error.message))
  }

  /** What it printed since the last call, waiting for some for at most the time. */
  async poll(timeoutMs: number): Promise<PollAnswer> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const { records, rest } = this.output.parse(this.printed)
      this.printed = rest
      if (records.length > 0 || Date.now() >= deadline) return { records, assigned: this.assigned }
      if (this.child.exitCode !== null)
        throw new Error(`it ended with ${this.child.exitCode}: ${this.errors.slice(-400)}`)
      await sleep(20)
    }
  }

  /** Asks it to end, as Ctrl-C does, and resolves once it has. */
  async leave(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGINT')
    const late = setTimeout(() => this.child.kill('SIGKILL'), LEAVE_MS)
    await gone
    clearTimeout(late)
  }

  private said(text: string): void {
    this.errors = `${this.errors}${text}`.slice(-4000)
    // Programs print a line piece by piece.
    const lines = `${this.line}${text}`.split('\n')
    this.line = lines.pop() ?? ''
    for (const line of lines) this.assigned = this.output.assigned?.(line) ?? this.assigned
  }
}
