import { MillraceError } from '@millrace/base'
import { type Client, createClient } from '@millrace/client'

export interface ClusterOptions {
  readonly bootstrap: string
  readonly json?: boolean
}

/** Runs `use` with a client and closes it afterwards. An unreachable cluster is told with the way out. */
export async function withClient<T>(options: ClusterOptions, use: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient({
    bootstrap: options.bootstrap.split(','),
    clientId: 'millrace-cli',
    retryTimeoutMs: 10_000,
  })
  try {
    return await use(client)
  } catch (error) {
    if ((error as Error).name === 'ConnectionError' || (error as Error).name === 'TimeoutError')
      throw new MillraceError('UNREACHABLE', (error as Error).message, {
        cause: error,
        fix: 'Is the cluster running? Start one with "millrace dev", or name its brokers with --bootstrap host:port.',
      })
    throw error
  } finally {
    await client.close()
  }
}

/** `key=value` pairs. Throws `MillraceError` CONFIG_INVALID for one without `=`. */
export function pairs(items: readonly string[] = []): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const item of items) {
    const at = item.indexOf('=')
    if (at <= 0) throw new MillraceError('CONFIG_INVALID', `"${item}" is not key=value`)
    found[item.slice(0, at).trim()] = item.slice(at + 1).trim()
  }
  return found
}
