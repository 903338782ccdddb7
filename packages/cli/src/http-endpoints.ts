import { MillraceError } from '@millrace/base'
import type { BrokerDescription, Client } from '@millrace/client'
import { UsageError } from './failure.ts'

/** A node's HTTP endpoint; `url` is null where it has none, or where the node could not be asked for it. */
export interface HttpEndpoint {
  readonly node: number
  readonly url: string | null
  readonly failure?: Error
}

const TIMEOUT_MS = 10_000
const NO_ENDPOINT_FIX = 'Set http.listener=host:port in the properties of every node, or name endpoints with --http.'

/** The endpoints of all brokers, from their own settings: each is asked through the cluster, so any broker is enough to start from. */
export async function httpEndpoints({ admin }: Client): Promise<readonly HttpEndpoint[]> {
  const { brokers } = await admin.describeCluster()
  return Promise.all(
    brokers.map((broker) =>
      admin.brokerConfigs(broker.id).then(
        (configs) => {
          const listener = configs.find(({ name }) => name === 'http.listener')?.value ?? ''
          return { node: broker.id, url: urlOf(listener, broker) }
        },
        (failure: Error) => ({ node: broker.id, url: null, failure }),
      ),
    ),
  )
}

/** One that is bound to every interface is reached as the broker itself is. */
function urlOf(listener: string, { host }: BrokerDescription): string | null {
  const match = /^(\[[^\]]+\]|[^:]*):(\d+)$/.exec(listener.trim())
  if (match === null) return null
  const own = ['', '0.0.0.0', '[::]'].includes(match[1] as string) ? host : (match[1] as string)
  return `http://${own.includes(':') && !own.startsWith('[') ? `[${own}]` : own}:${match[2]}`
}

/** The endpoints of `--http host:port,...`, whose nodes are not known. Throws `UsageError`. */
export function namedEndpoints(text: string): readonly HttpEndpoint[] {
  return text.split(',').map((item) => {
    const url = item.includes('://') ? item.trim() : `http://${item.trim()}`
    if (!URL.canParse(url) || item.trim() === '')
      throw new UsageError(`--http: "${item}" is not host:port`, 'Give host:port, with commas between.')
    return { node: -1, url: url.replace(/\/+$/, '') }
  })
}

/** An answer of an endpoint that is no success: what it said. */
export class HttpRefusal extends MillraceError {
  readonly error: string
  /** The node that would know, where that is told. */
  readonly coordinator: HttpEndpoint | null

  constructor({ error, message, coordinator }: Refused) {
    super('REQUEST_REFUSED', message ?? 'The node refused.', {
      fix: error === 'GROUP_ID_NOT_FOUND' ? 'Look at the names of the groups: millrace group list.' : NO_ENDPOINT_FIX,
    })
    this.error = error ?? ''
    this.coordinator = coordinator ?? null
  }
}

interface Refused {
  readonly error?: string
  readonly message?: string
  readonly coordinator?: HttpEndpoint | null
}

/** Throws `HttpRefusal`, or `MillraceError` UNREACHABLE. */
export async function getJson<T>({ node, url, failure }: HttpEndpoint, path: string): Promise<T> {
  const who = node === -1 ? 'The endpoint' : `Node ${node}`
  if (failure !== undefined)
    throw new MillraceError('UNREACHABLE', `${who} does not tell its HTTP endpoint: ${failure.message}`, {
      cause: failure,
      fix: 'Is that node running? Its log says.',
    })
  if (url === null) throw new MillraceError('UNREACHABLE', `${who} has no HTTP endpoint.`, { fix: NO_ENDPOINT_FIX })
  try {
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const body = (await response.json()) as T & Refused
    if (!response.ok) throw new HttpRefusal(body)
    return body
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw new MillraceError('UNREACHABLE', `${who} does not answer at ${url}: ${causeOf(error)}`, {
      cause: error,
      fix: 'Is http.listener bound where this machine reaches it? Name endpoints with --http host:port,...',
    })
  }
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? message
}
