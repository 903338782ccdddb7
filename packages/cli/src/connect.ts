import { MillraceError } from '@millrace/base'
import { type Client, ConnectionError, createClient, TimeoutError } from '@millrace/client'
import { UsageError } from './failure.ts'
import { endQuietlyWithoutReader } from './output.ts'

/** What every command that talks to a cluster takes. */
export interface ClusterOptions {
  readonly bootstrap: string
  readonly json?: boolean
}

/** A person waits: long enough for an election, short enough for a cluster that does not run. */
const RETRY_TIMEOUT_MS = 5_000
const CLOSE_TIMEOUT_MS = 5_000

/** Runs `use` with a client and closes it afterwards. An unreachable cluster is told with the way out. */
export async function withClient<T>(options: ClusterOptions, use: (client: Client) => Promise<T>): Promise<T> {
  endQuietlyWithoutReader()
  const client = clientFor(options.bootstrap)
  try {
    return await use(client)
  } catch (error) {
    throw isUnreachable(error)
      ? new MillraceError('UNREACHABLE', (error as Error).message, {
          cause: error,
          fix: 'Is the cluster running? Start one with "millrace dev", or name its brokers with --bootstrap host:port.',
        })
      : error
  } finally {
    await client.close({ timeoutMs: CLOSE_TIMEOUT_MS })
  }
}

function clientFor(bootstrap: string): Client {
  try {
    return createClient({
      bootstrap: bootstrap.split(',').filter((address) => address.trim() !== ''),
      clientId: 'millrace-cli',
      retryTimeoutMs: RETRY_TIMEOUT_MS,
    })
  } catch (error) {
    const { message, fix } = error as MillraceError
    throw new UsageError(`--bootstrap: ${message}`, fix ?? 'Give host:port.')
  }
}

/** No connection was made, also where tries were given up for that reason. */
function isUnreachable(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof TimeoutError && error.cause instanceof ConnectionError)
}

/** `key=value` pairs. Throws `UsageError` for one without `=`. */
export function pairs(items: readonly string[] = []): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const item of items) {
    const at = item.indexOf('=')
    if (at <= 0) throw new UsageError(`"${item}" is not key=value`, 'Write the name, an equals sign and the value.')
    found[item.slice(0, at).trim()] = item.slice(at + 1).trim()
  }
  return found
}
