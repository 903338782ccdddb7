// The adapter's side of the conversation, for the clients of Node.
import { createInterface } from 'node:readline'
import type { Answer, Arguments, OperationName } from '../core/operations.ts'

/** What an adapter can do. What is missing is refused by name. */
export type Handlers = {
  readonly [O in OperationName]?: (args: Arguments<O>) => Promise<Answer<O>>
} & {
  /** Ends all that the client started. */
  readonly close: () => Promise<void>
}

type Command = { readonly id: number; readonly operation: OperationName } & Record<string, unknown>

/** Answers the commands of standard input until it ends. Commands overlap when the scenario lets them. */
export function serve(handlers: Handlers): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void answer(handlers, JSON.parse(line) as Command))
  lines.on('close', () => {
    void handlers.close().finally(() => process.exit(0))
  })
}

async function answer(handlers: Handlers, command: Command): Promise<void> {
  const { id, operation, ...args } = command
  const handler = handlers[operation] as ((args: object) => Promise<unknown>) | undefined
  try {
    if (handler === undefined) throw new Error(`this client has no ${operation}`)
    const result = (await handler(args)) ?? {}
    process.stdout.write(`${JSON.stringify({ id, result }, plainNumbers)}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ id, error: describe(error) })}\n`)
  }
}

function plainNumbers(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}

interface ErrorParts {
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
  readonly partitions?: readonly { readonly error?: unknown }[]
  readonly type?: string
}

/** Errors of client libraries hide the broker's answer in causes and lists. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error)
  const { cause, errors = [], partitions = [], type } = error as ErrorParts
  const inner = [...errors, ...partitions.map((each) => each.error), cause].filter((part) => part !== undefined)
  return [type, error.message, ...inner.map(describe)].filter((part) => part !== undefined).join(': ')
}

export function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text, 'base64')
}

export function textOf(bytes: Buffer | Uint8Array | null | undefined): string | null {
  return bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('base64')
}

/** Waits until `done` or the time is over. */
export async function within(timeoutMs: number, done: () => boolean): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!done() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
}
