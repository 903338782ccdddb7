import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type Answer, APIS, type Arguments, type OperationName } from './operations.ts'

/** A client under test, running. */
export interface Adapter {
  /** Rejects with {@link ClientError} when the client reports an error or does not answer in time. */
  ask<O extends OperationName>(operation: O, args: Arguments<O>): Promise<Answer<O>>
  /** Ends the client and whatever it started. */
  close(): Promise<void>
}

/** What a client said when an operation failed. */
export class ClientError extends Error {
  readonly operation: OperationName

  constructor(operation: OperationName, text: string) {
    super(`${operation} (${APIS[operation]}): ${text}`)
    this.name = 'ClientError'
    this.operation = operation
  }
}

/** How to start an adapter program; the bootstrap address is its last argument. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  readonly operation: OperationName
}

interface AnswerLine {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

const ANSWER_MS = 40_000
const CLOSE_MS = 5_000
const STDERR_TAIL = 600

/** A program in any language that reads commands from standard input and answers on standard output. */
export class ProcessAdapter implements Adapter {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, Waiting>()
  private readonly gone: Promise<void>
  private errors = ''
  private next = 1

  constructor(program: Program, bootstrap: string) {
    this.child = spawn(program.command, [...program.args, bootstrap], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.gone = new Promise((resolve) => {
      this.child.once('close', (code) => this.ended(`the program ended with ${code}: ${this.errors}`, resolve))
      this.child.once('error', (error) => this.ended(`the program did not start: ${error.message}`, resolve))
    })
    this.child.stdin?.on('error', () => {})
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = `${this.errors}${chunk.toString()}`.slice(-STDERR_TAIL)
    })
    if (this.child.stdout !== null) createInterface(this.child.stdout).on('line', (line) => this.line(line))
  }

  async ask<O extends OperationName>(operation: O, args: Arguments<O>): Promise<Answer<O>> {
    const id = this.next++
    const answer = new Promise<unknown>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, operation })
    })
    const late = setTimeout(
      () => this.waiting.get(id)?.reject(new ClientError(operation, `no answer within ${ANSWER_MS / 1000} s`)),
      ANSWER_MS,
    )
    if (this.child.exitCode === null) this.child.stdin?.write(`${JSON.stringify({ id, operation, ...args })}\n`)
    else this.waiting.get(id)?.reject(new ClientError(operation, `the program has ended: ${this.errors}`))
    try {
      return (await answer) as Answer<O>
    } finally {
      clearTimeout(late)
      this.waiting.delete(id)
    }
  }

  async close(): Promise<void> {
    this.child.stdin?.end()
    const late = setTimeout(() => this.child.kill('SIGKILL'), CLOSE_MS)
    await this.gone
    clearTimeout(late)
  }

  private line(line: string): void {
    // Libraries print to standard output as they like; only JSON objects are answers.
    if (!line.startsWith('{"id":')) return
    const { id, result, error } = JSON.parse(line) as AnswerLine
    const waiting = this.waiting.get(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(new ClientError(waiting.operation, error))
  }

  private ended(why: string, resolve: () => void): void {
    for (const { reject, operation } of this.waiting.values()) reject(new ClientError(operation, why))
    resolve()
  }
}
